"""The one hook that a plugin implements."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pluggy

from medpipe_core.plugins.distribution_names import PROJECT

if TYPE_CHECKING:
    from medpipe_core.plugins.registry import Registrar

hookimpl = pluggy.HookimplMarker(PROJECT)
hookspec = pluggy.HookspecMarker(PROJECT)


class Hooks:
    """The specification of the hook."""

    @hookspec
    def medpipe_register(self, registry: Registrar) -> None:
        """Register operations, blocks, spaces, searchers, datasets and models.

        Called once, when plugins are loaded. Nothing heavy should be imported for it: give import
        strings, which are imported on first use.
        """
