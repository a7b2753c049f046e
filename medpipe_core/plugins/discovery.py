"""Finding the plugins that are installed, without importing any."""

from __future__ import annotations

import importlib.metadata
from typing import TYPE_CHECKING, Any, NamedTuple

from medpipe_core.plugins.distribution_names import FILE, PROJECT, normal
from medpipe_core.plugins.errors import PluginError

if TYPE_CHECKING:
    from collections.abc import Callable

ENTRY_POINT_GROUP = "medpipe.plugins.v1"
ANY_VERSION = ENTRY_POINT_GROUP.rpartition(".v")[0] + ".v"


class Candidate(NamedTuple):
    """A plugin that was found and not yet imported.

    Attributes:
        name: Name of its entry point.
        distribution: The distribution that has it.
        version: Its version.
        target: The object that the entry point names, or a file.
        load: Imports that object.
    """

    name: str
    distribution: str
    version: str
    target: str
    load: Callable[[], Any]

    @property
    def is_file(self) -> bool:
        """Whether it is a file that was asked for, not an installed plugin."""
        return self.distribution.startswith(FILE)


def installed() -> list[Candidate]:
    """Return the entry points of every installed distribution, by distribution, then by name.

    Those of medpipe itself come first, so that nobody takes a name away from it unawares. Of a
    distribution that lies on the path twice, as beside its own source, the first copy counts, as it
    does for an import.
    """
    found: dict[str, list[Candidate]] = {}
    for distribution in importlib.metadata.distributions():
        points = _read(distribution)
        if points:
            found.setdefault(normal(points[0].distribution), points)
    order = sorted(found, key=lambda name: (name != PROJECT, name))
    return [point for name in order for point in sorted(found[name], key=lambda p: p.name)]


def _read(distribution: importlib.metadata.Distribution) -> list[Candidate]:
    name = version = ""
    try:
        # Most distributions have no plugin, and reading their whole metadata would take long.
        if ANY_VERSION not in (distribution.read_text("entry_points.txt") or ""):
            return []
        told = distribution.metadata  # one that says nothing of itself is asked in vain
        name, version = (told[key] if key in told else "" for key in ("Name", "Version"))  # noqa: SIM401
        version = version or "?"
        if not name:
            raise ValueError("METADATA has no Name")
        points = distribution.entry_points.select(group=ENTRY_POINT_GROUP)
        if points:
            return [Candidate(p.name, name, version, p.value, p.load) for p in points]
        others = [p for p in distribution.entry_points if p.group.startswith(ANY_VERSION)]
        return [_other_version(p, name, version) for p in others]
    except Exception as error:  # damaged metadata of one distribution hides no other
        return [_damaged(distribution, name, version, error)]


def _other_version(
    point: importlib.metadata.EntryPoint, distribution: str, version: str
) -> Candidate:
    """Return a plugin for another version of this interface; it fails with words, if loaded."""

    def load() -> Any:
        raise PluginError(
            f"it is made for the plugin interface {point.group!r}, and this medpipe has "
            f"{ENTRY_POINT_GROUP!r}; install a release of {distribution} that is made for that one"
        )

    return Candidate(point.name, distribution, version, point.value, load)


def _damaged(
    distribution: importlib.metadata.Distribution, name: str, version: str, error: Exception
) -> Candidate:
    folder = str(getattr(distribution, "_path", distribution.locate_file("")))
    reason = f"{folder} cannot be read ({type(error).__name__}: {error})"

    def load() -> Any:
        raise PluginError(reason)

    return Candidate(name or folder, name or folder, version or "?", "entry_points.txt", load)
