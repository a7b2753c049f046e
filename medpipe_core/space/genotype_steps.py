"""What a genotype runs: its operations with their values, and which of its choices matter."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from medpipe_core.space.choices import item_names
from medpipe_core.space.nodes import (
    Group,
    Mutable,
    Operation,
    OperationChoice,
    Ref,
    Repeat,
    Shared,
    ValueChoice,
)
from medpipe_core.space.sharing import NOTHING_SHARED, declare, join
from medpipe_core.space.values import value_key

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from medpipe_core.space.sharing import Declared
    from medpipe_core.space.values import Value


@dataclass(frozen=True)
class Step:
    """One operation of a genotype, ready to run.

    Attributes:
        path: Path of the operation, its candidate key included.
        kind: The operation's kind.
        name: The operation's name.
        parameters: All its values, fixed and chosen.
        choices: Paths of the choices that govern it: those of its parameters, and every choice of
            operations or counts of whose outcome it is the last step.
        neutral: Whether the chosen values make it the identity.
        sources: Searchable parameter → path of the choice that gives its value.
        place: Where it stands for people: `path` without the key of a candidate.
    """

    path: str
    kind: str
    name: str
    parameters: Mapping[str, Value]
    choices: tuple[str, ...]
    neutral: bool
    sources: Mapping[str, str]
    place: str


def steps(root: Mutable, chosen: Mapping[str, str]) -> Iterator[Step]:
    """Iterate over the operations that a complete set of choices describes, in running order."""
    yield from _steps(root, _ROOT, chosen)


def effective_choices(root: Mutable, chosen: Mapping[str, str]) -> set[str]:
    """Return the choices that have an effect in a complete set of choices.

    Without one are the parameters of an operation that its neutral values make the identity, those
    values aside, and whatever is shared and not used by what is chosen.
    """
    return set(_effective(root, _ROOT, chosen))


@dataclass(frozen=True)
class _Place:
    """Where a walk is: the same path twice, except in what a reference leads to.

    Attributes:
        site: Path of the modules.
        choices: Path of the choices.
        names: What can be referred to.
    """

    site: str
    choices: str
    names: Mapping[str, Declared]

    def below(self, name: str) -> _Place:
        return _Place(join(self.site, name), join(self.choices, name), self.names)

    def within(self, node: Shared) -> _Place:
        return _Place(self.site, self.choices, declare(node, self.choices, self.names))

    def follow(self, reference: Ref) -> tuple[Mutable, _Place]:
        declared = self.names[reference.name]
        return declared.node, _Place(self.site, declared.path, declared.names)

    def sources(self, node: Operation) -> dict[str, str]:
        """Return the paths of the choices behind an operation's parameters."""
        own, references = node.choices, node.references
        return {
            name: join(self.choices, name)
            if name in own
            else self.names[references[name].name].path
            for name in node.parameters
            if name in own or name in references
        }

    def choice(self, node: Operation, parameter: str) -> ValueChoice:
        """Return the choice behind a searchable parameter."""
        reference = node.references.get(parameter)
        return self.names[reference.name].choice if reference else node.choices[parameter]

    def neutral(
        self, node: Operation, sources: Mapping[str, str], chosen: Mapping[str, str]
    ) -> bool:
        """Say whether the chosen values make an operation with these sources the identity."""
        return node.neutral is not None and all(
            chosen[sources[name]] == value_key(value) for name, value in node.neutral.items()
        )


_ROOT = _Place("", "", NOTHING_SHARED)


def _steps(
    node: Mutable, place: _Place, chosen: Mapping[str, str], shown: str | None = None
) -> Iterator[Step]:
    """Iterate; `shown` is where people see what stands at this place, if elsewhere."""
    match node:
        case Operation():
            yield _step(node, place, chosen, shown)
        case OperationChoice():
            key = chosen[place.choices]
            inner = _steps(node.candidates[key], place.below(key), chosen, place.site)
            yield from _governed(place.choices, inner)
        case Repeat():
            places = map(place.below, item_names(int(chosen[place.choices])))
            inner = (step for where in places for step in _steps(node.template, where, chosen))
            yield from _governed(place.choices, inner)
        case Group():
            for name, child in node.children.items():
                yield from _steps(child, place.below(name), chosen)
        case Shared():
            yield from _steps(node.body, place.within(node), chosen, shown)
        case Ref():
            yield from _steps(*place.follow(node), chosen, shown)


def _effective(node: Mutable, place: _Place, chosen: Mapping[str, str]) -> Iterator[str]:
    match node:
        case ValueChoice():
            yield place.choices
        case Operation():
            sources = place.sources(node)
            neutral = place.neutral(node, sources, chosen)
            deciding = node.neutral or {}
            for name, source in sources.items():
                if name in deciding or not neutral:
                    yield source
        case OperationChoice():
            yield place.choices
            key = chosen[place.choices]
            yield from _effective(node.candidates[key], place.below(key), chosen)
        case Repeat():
            yield place.choices
            for item in item_names(int(chosen[place.choices])):
                yield from _effective(node.template, place.below(item), chosen)
        case Group():
            for name, child in node.children.items():
                yield from _effective(child, place.below(name), chosen)
        case Shared():
            yield from _effective(node.body, place.within(node), chosen)
        case Ref():
            yield from _effective(*place.follow(node), chosen)


def _governed(path: str, inner: Iterator[Step]) -> Iterator[Step]:
    """Add a choice to the last step of its outcome: that step's output is the choice's output."""
    last: Step | None = None
    for step in inner:
        if last is not None:
            yield last
        last = step
    if last is not None:
        yield replace(last, choices=(*last.choices, path))


def _step(node: Operation, place: _Place, chosen: Mapping[str, str], shown: str | None) -> Step:
    sources = place.sources(node)
    parameters: dict[str, Any] = {
        name: place.choice(node, name).value_of(chosen[sources[name]]) if name in sources else value
        for name, value in node.parameters.items()
    }
    # A choice behind two parameters governs the operation once.
    governing = tuple(dict.fromkeys(sources.values()))
    neutral = place.neutral(node, sources, chosen)
    return Step(
        place.site, node.kind, node.name, parameters, governing, neutral, sources,
        place.site if shown is None else shown,
    )  # fmt: skip
