"""The plugins that a configuration wants."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from medpipe_core.plugins import load_plugins

if TYPE_CHECKING:
    from collections.abc import Mapping

    from medpipe_core.plugins import Registry


def registry_for(given: Mapping[str, Any]) -> Registry:
    """Load the plugins that a configuration wants.

    Args:
        given: Dotted key → value; `plugins.*` are read.
    """
    return load_plugins(
        disable=_texts(given.get("plugins.disable")),
        load=_texts(given.get("plugins.load")),
        strict=given.get("plugins.strict") is True,
    )


def _texts(value: Any) -> list[str]:
    return [str(v) for v in value] if isinstance(value, list | tuple) else []
