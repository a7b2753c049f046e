"""Who makes the operations that a description names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from medpipe_core.errors import MedpipeError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from medpipe_core.space.values import Value


class Catalogue(Protocol):
    """Looks operations up by kind and name; the plugin registry is one."""

    def factory(self, kind: str, name: str, /) -> Callable[..., Any]:
        """Return what makes the operation; raise a `MedpipeError` where it is unknown."""

    def origin(self, kind: str, name: str, /) -> tuple[str, str]:
        """Return the distribution that the operation comes from, and its version."""

    def versions(self) -> Mapping[str, str]:
        """Return distribution → version of all whose operations it knows."""


@runtime_checkable
class SettingsChecker(Protocol):
    """A catalogue that knows what settings its factories take; the plugin registry is one."""

    def settings_problems(
        self, kind: str, name: str, settings: Mapping[str, Sequence[Value]], /
    ) -> list[str]:
        """Return what is wrong with settings of a factory: name → each value it may be given."""


class MergedCatalogue:
    """Asks several catalogues in turn."""

    def __init__(self, catalogues: Iterable[Catalogue]) -> None:
        self._catalogues = tuple(catalogues)

    def factory(self, kind: str, name: str) -> Callable[..., Any]:
        """Return the first catalogue's factory that knows the operation."""
        factory: Callable[..., Any] = self._first("factory", kind, name)
        return factory

    def origin(self, kind: str, name: str) -> tuple[str, str]:
        """Return where the first catalogue that knows the operation has it from."""
        origin: tuple[str, str] = self._first("origin", kind, name)
        return origin

    def versions(self) -> dict[str, str]:
        """Return the distributions of all catalogues."""
        return {name: v for known in self._catalogues for name, v in known.versions().items()}

    def settings_problems(
        self, kind: str, name: str, settings: Mapping[str, Sequence[Value]]
    ) -> list[str]:
        """Ask the first catalogue that knows the operation, if it can tell."""
        for catalogue in self._catalogues:
            try:
                catalogue.origin(kind, name)
            except MedpipeError:
                continue
            if isinstance(catalogue, SettingsChecker):
                return catalogue.settings_problems(kind, name, settings)
            return []
        return []

    def _first(self, question: str, kind: str, name: str) -> Any:
        failures = []
        for catalogue in self._catalogues:
            try:
                return getattr(catalogue, question)(kind, name)
            except MedpipeError as error:
                failures.append(error)
        raise failures[0]


def merge(catalogues: Iterable[Catalogue | None]) -> Catalogue | None:
    """Return one catalogue that stands for several, each asked once."""
    distinct: list[Catalogue] = []
    for catalogue in catalogues:
        if catalogue is not None and not any(catalogue is known for known in distinct):
            distinct.append(catalogue)
    if not distinct:
        return None
    return distinct[0] if len(distinct) == 1 else MergedCatalogue(distinct)
