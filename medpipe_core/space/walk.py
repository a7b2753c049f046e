"""Walking a description: its choices, the active ones of a genotype, and the steps to run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from medpipe_core.space.counting import size
from medpipe_core.space.nodes import Group, Mutable, Operation, OperationChoice, Repeat, ValueChoice

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from medpipe_core.space.nodes import Value


@dataclass(frozen=True)
class Choice:
    """One choice of a space, by its path.

    Attributes:
        path: Its explicit name, such as `network/block3/layer2`.
        kind: `"value"`, `"operation"` or `"count"`.
        keys: The keys to choose from, in order.
        values: The values that the keys stand for; None for a choice of operations.
        weights: How many members of the space lie under each key; None where all are equal.
        owner: Path of the operation whose parameter this is, or None.
    """

    path: str
    kind: Literal["value", "operation", "count"]
    keys: tuple[str, ...]
    values: tuple[Value, ...] | None = None
    weights: tuple[int, ...] | None = None
    owner: str | None = None


@dataclass(frozen=True)
class Step:
    """One operation of a genotype, ready to run.

    Attributes:
        path: Path of the operation, its candidate key included.
        kind: The operation's kind.
        name: The operation's name.
        parameters: All its values, fixed and chosen.
        choices: Paths of the choices that govern it: its own parameters, and every choice of
            operations or counts of whose outcome it is the last step.
        neutral: Whether the chosen values make it the identity.
    """

    path: str
    kind: str
    name: str
    parameters: Mapping[str, Value]
    choices: tuple[str, ...]
    neutral: bool


def join(path: str, name: str) -> str:
    """Join two parts of a path; the root's path is empty."""
    return f"{path}/{name}" if path else name


def all_choices(root: Mutable) -> Iterator[Choice]:
    """Iterate over every choice under a node, active or not, in tree order."""
    yield from _choices(root, "", None)


def active_choices(root: Mutable, choose: Callable[[str], str]) -> Iterator[str]:
    """Iterate over the paths of the active choices; `choose(path)` gives the key of each."""
    stack: list[tuple[str, Mutable]] = [("", root)]
    while stack:
        path, node = stack.pop()
        match node:
            case ValueChoice():
                choose(path)
                yield path
            case Operation():
                for name in node.choices:
                    choose(join(path, name))
                    yield join(path, name)
            case OperationChoice():
                key = choose(path)
                yield path
                stack.append((join(path, key), node.candidates[key]))
            case Repeat():
                count = int(choose(path))
                yield path
                stack.extend(reversed(list(repetitions(node, path, count))))
            case Group():
                children = [(join(path, name), child) for name, child in node.children.items()]
                stack.extend(reversed(children))


def steps(root: Mutable, chosen: Mapping[str, str]) -> Iterator[Step]:
    """Iterate over the operations that a complete set of choices describes, in running order."""
    yield from _steps(root, "", chosen)


def neutral_parameters(root: Mutable, path: str = "") -> Iterator[tuple[str, tuple[str, ...]]]:
    """Iterate over operations that can be neutral: path, and the parameters that decide it."""
    match root:
        case Operation(neutral=neutral) if neutral is not None:
            yield path, tuple(neutral)
        case OperationChoice():
            for key, candidate in root.candidates.items():
                yield from neutral_parameters(candidate, join(path, key))
        case Repeat():
            for where, item in repetitions(root, path, max(root.counts)):
                yield from neutral_parameters(item, where)
        case Group():
            for name, child in root.children.items():
                yield from neutral_parameters(child, join(path, name))


def repetitions(node: Repeat, path: str, count: int) -> Iterator[tuple[str, Mutable]]:
    """Iterate over the items of a repetition with their paths."""
    for number in range(1, count + 1):
        yield join(path, f"item{number}"), node.template


def _choices(node: Mutable, path: str, owner: str | None) -> Iterator[Choice]:
    match node:
        case ValueChoice():
            yield Choice(path, "value", node.keys, node.values, owner=owner)
        case Operation():
            for name, choice in node.choices.items():
                yield from _choices(choice, join(path, name), path)
        case OperationChoice():
            sizes = tuple(size(candidate) for candidate in node.candidates.values())
            yield Choice(path, "operation", node.keys, weights=_unequal(sizes))
            for key, candidate in node.candidates.items():
                yield from _choices(candidate, join(path, key), None)
        case Repeat():
            one = size(node.template)
            sizes = tuple(one**count for count in node.counts)
            yield Choice(path, "count", node.keys, node.counts, weights=_unequal(sizes))
            for item_path, item in repetitions(node, path, max(node.counts)):
                yield from _choices(item, item_path, None)
        case Group():
            for name, child in node.children.items():
                yield from _choices(child, join(path, name), None)


def _unequal(sizes: tuple[int, ...]) -> tuple[int, ...] | None:
    return None if len(set(sizes)) == 1 else sizes


def _steps(node: Mutable, path: str, chosen: Mapping[str, str]) -> Iterator[Step]:
    match node:
        case Operation():
            yield _step(node, path, chosen)
        case OperationChoice():
            key = chosen[path]
            yield from _governed(path, _steps(node.candidates[key], join(path, key), chosen))
        case Repeat():
            items = repetitions(node, path, int(chosen[path]))
            yield from _governed(
                path, (step for where, item in items for step in _steps(item, where, chosen))
            )
        case Group():
            for name, child in node.children.items():
                yield from _steps(child, join(path, name), chosen)


def _governed(path: str, inner: Iterator[Step]) -> Iterator[Step]:
    """Add a choice to the last step of its outcome: that step's output is the choice's output."""
    last: Step | None = None
    for step in inner:
        if last is not None:
            yield last
        last = step
    if last is not None:
        yield Step(
            last.path,
            last.kind,
            last.name,
            last.parameters,
            (*last.choices, path),
            last.neutral,
        )


def _step(node: Operation, path: str, chosen: Mapping[str, str]) -> Step:
    own = {name: join(path, name) for name in node.choices}
    parameters = {
        name: value.value_of(chosen[own[name]]) if isinstance(value, ValueChoice) else value
        for name, value in node.parameters.items()
    }
    neutral = node.neutral is not None and all(
        chosen[own[name]] == node.choices[name].key_of(value)
        for name, value in node.neutral.items()
    )
    return Step(path, node.kind, node.name, parameters, tuple(own.values()), neutral)
