"""What a reference means: the names that are shared at a place of a description."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from medpipe_core.errors import did_you_mean
from medpipe_core.frozen_mapping import FrozenMapping
from medpipe_core.space.errors import SpaceError
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
from medpipe_core.space.values import value_key

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class Declared:
    """A shared node where it is declared.

    Attributes:
        node: What is shared.
        path: Where its choices stand.
        names: What it can refer to itself.
    """

    node: Mutable
    path: str
    names: Mapping[str, Declared]

    @property
    def choice(self) -> ValueChoice:
        """The node as a parameter's choice; `check` has seen that it is one."""
        if not isinstance(self.node, ValueChoice):
            raise AssertionError(self.node)
        return self.node


NOTHING_SHARED: Mapping[str, Declared] = FrozenMapping({})


def join(path: str, name: str) -> str:
    """Join two parts of a path; the root's path is empty."""
    return f"{path}/{name}" if path else name


def declare(node: Shared, path: str, names: Mapping[str, Declared]) -> Mapping[str, Declared]:
    """Return the names that are known in the body of a `Shared` whose choices stand at `path`."""
    for name, part in node.parts.items():
        names = {**names, name: Declared(part, join(path, name), names)}
    return names


def free_names(node: Mutable) -> set[str]:
    """Return the names that a node refers to and does not share itself."""
    match node:
        case Ref():
            return {node.name}
        case Operation():
            return {reference.name for reference in node.references.values()}
        case OperationChoice():
            return set().union(*map(free_names, node.candidates.values()))
        case Group():
            return set().union(*map(free_names, node.children.values()))
        case Repeat():
            return free_names(node.template)
        case Shared():
            used = free_names(node.body)
            for name in reversed(list(node.parts)):
                used = (used - {name}) | free_names(node.parts[name])
            return used
    return set()


def check(root: Mutable, space: str) -> None:
    """Check that every reference leads to a shared node that fits, and that each is used.

    Raises:
        SpaceError: One does not; the text names the place and what is near. Or the root is no node.
    """
    if not isinstance(root, Mutable):
        raise SpaceError(
            f"space {space!r}: its description is a {type(root).__name__}, not a node; give a "
            "Group, or another node"
        )
    _Checker(space).used(root, "", {})


class _Checker:
    def __init__(self, space: str) -> None:
        self.space = space

    def used(self, node: Mutable, path: str, names: Mapping[str, Mutable]) -> set[str]:
        """Check what lies under a node; return the names it refers to."""
        match node:
            case Ref(name=name):
                self._known(path, name, names)
                return {name}
            case Operation():
                return self._operation(node, path, names)
            case OperationChoice():
                return self._all(node.candidates, path, names)
            case Group():
                return self._all(node.children, path, names)
            case Repeat():
                return self.used(node.template, join(path, "item1"), names)
            case Shared():
                return self._shared(node, path, names)
        return set()

    def _all(
        self, nodes: Mapping[str, Mutable], path: str, names: Mapping[str, Mutable]
    ) -> set[str]:
        return {u for name, node in nodes.items() for u in self.used(node, join(path, name), names)}

    def _shared(self, node: Shared, path: str, names: Mapping[str, Mutable]) -> set[str]:
        used: set[str] = set()
        for name, part in node.parts.items():
            if name in names:
                raise self._error(
                    path, f"shares {name!r}, which a scope around it shares already; rename one"
                )
            used |= self.used(part, join(path, name), names)
            names = {**names, name: part}
        used |= self.used(node.body, path, names)
        idle = [name for name in node.parts if name not in used]
        if idle:
            raise self._error(
                path, f"shares {idle[0]!r}, but nothing refers to it; use Ref({idle[0]!r}) or drop"
            )
        return used - node.parts.keys()

    def _operation(self, node: Operation, path: str, names: Mapping[str, Mutable]) -> set[str]:
        for parameter, reference in node.references.items():
            target = self._known(join(path, parameter), reference.name, names)
            if not isinstance(target, ValueChoice):
                raise self._error(
                    join(path, parameter),
                    f"is a parameter and refers to {reference.name!r}, which is no ValueChoice but "
                    f"a part ({type(target).__name__}); share the value it needs",
                )
            value = (node.neutral or {}).get(parameter)
            if parameter in (node.neutral or {}) and value_key(value) not in target.keys:
                raise self._error(
                    path, f"is neutral at {parameter}={value!r}, which is not among {target.keys}"
                )
        return {reference.name for reference in node.references.values()}

    def _known(self, path: str, name: str, names: Mapping[str, Mutable]) -> Mutable:
        if name not in names:
            remedy = did_you_mean(name, names) or " Put Shared({...}, body) around it."
            raise self._error(path, f"refers to {name!r}, which nothing around it shares.{remedy}")
        return names[name]

    def _error(self, path: str, problem: str) -> SpaceError:
        return SpaceError(f"space {self.space!r}: {path or 'the root'} {problem}")
