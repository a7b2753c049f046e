"""Plugins that a user asked for by name: the files to load, and the names to leave out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from medpipe_core.errors import did_you_mean
from medpipe_core.plugins.distribution_names import FILE, normal

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from medpipe_core.plugins.registry import PluginRecord


def broken_files(plugins: Iterable[PluginRecord]) -> Iterator[str]:
    """Iterate over what is wrong with the files that were to be loaded.

    A file is asked for by name, so that nobody wants to go on without it; an installed plugin that
    fails harms only those who need it.
    """
    for plugin in plugins:
        if plugin.status == "failed" and plugin.distribution.startswith(FILE):
            yield plugin.error


def not_there(names: Iterable[str], plugins: Iterable[PluginRecord]) -> Iterator[str]:
    """Iterate over what is wrong with the names of plugins to leave out: there is no such plugin.

    Args:
        names: Names of entry points or distributions.
        plugins: What became of every plugin that was found.
    """
    found = list(plugins)
    known = [*(p.name for p in found), *(p.distribution for p in found)]
    for name in names:
        if name not in known and normal(name) not in map(normal, known):
            near = did_you_mean(name, set(known))
            yield f"plugins.disable: there is no plugin or distribution {name!r}.{near}"
