"""The nodes of a description: an immutable tree of named parts, operations and choices."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from medpipe_core.space.declaration import Declaration
from medpipe_core.space.errors import SpaceError

if TYPE_CHECKING:
    from collections.abc import Mapping

Value = bool | int | float | str | None | tuple[Any, ...]

_MOST_REPEATS = 10_000
_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]*")


class Mutable:
    """Base of all nodes; a node is immutable and knows nothing of where it stands."""


class ValueChoice(Mutable):
    """One of an ordered tuple of values, and a declaration of what values there may be.

    The declaration tells help and schema, and holds where a user offers other values (`offering`).
    It is no part of a space's digest.

    Args:
        values: Distinct plain values: bool, int, float, str, None or tuples of these. Where all
            are whole numbers without a decimal point, others have to be whole numbers too.
        gt: What numbers have to be above, or None.
        ge: What they have to reach.
        lt: What they have to stay below.
        le: What they must not exceed.
        unit: Their unit, such as `"degrees"` or `"voxels"`.
        description: One line about them.

    Raises:
        SpaceError: No value, two values with one key, one that is not plain or not within bounds.

    Example:
        >>> ValueChoice(-30, -22.5, 0, le=0, unit="degrees").keys
        ('-30', '-22.5', '0')
    """

    def __init__(
        self,
        *values: Value,
        gt: float | None = None,
        ge: float | None = None,
        lt: float | None = None,
        le: float | None = None,
        unit: str = "",
        description: str = "",
    ) -> None:
        if not values:
            raise SpaceError("a ValueChoice needs at least one value")
        self.values = tuple(_plain(value) for value in values)
        self.keys = tuple(value_key(value) for value in self.values)
        self.declaration = Declaration.of(self.values, gt, ge, lt, le, unit, description)
        self.declaration.checked(self.values)
        if len(set(self.keys)) < len(self.keys):
            raise SpaceError(f"a ValueChoice needs distinct values, but got {self.values}")

    def offering(self, *values: Value) -> ValueChoice:
        """Return a choice of other values under the same declaration.

        Raises:
            SpaceError: A value is not what the declaration allows.
        """
        choice = ValueChoice(*self.declaration.checked(map(_plain, values)))
        choice.declaration = self.declaration
        return choice

    def key_of(self, value: Value) -> str:
        """Return the key under which a value stands in genotypes."""
        return value_key(value)

    def value_of(self, key: str) -> Value:
        """Return the value that a key stands for."""
        return self.values[self.keys.index(key)]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ValueChoice) and self.keys == other.keys

    def __hash__(self) -> int:
        return hash(self.keys)

    def __repr__(self) -> str:
        return f"ValueChoice({', '.join(map(repr, self.values))})"


@dataclass(frozen=True)
class Operation(Mutable):
    """A named operation with fixed parameters and searchable ones.

    Attributes:
        kind: What the catalogue knows it as, such as `"augmentation"` or `"block"`.
        name: Its name there.
        parameters: Name → plain value, or a `ValueChoice`.
        neutral: Parameter → value at which the operation is the identity, whatever its other
            choices say; None where there is no such value.
    """

    kind: str
    name: str
    parameters: Mapping[str, Value | ValueChoice] = field(default_factory=dict)
    neutral: Mapping[str, Value] | None = None

    def __post_init__(self) -> None:
        frozen = {
            _checked_name(name): value if isinstance(value, ValueChoice) else _plain(value)
            for name, value in self.parameters.items()
        }
        object.__setattr__(self, "parameters", MappingProxyType(frozen))
        if self.neutral is None:
            return
        for name, value in self.neutral.items():
            choice = frozen.get(name)
            if not isinstance(choice, ValueChoice) or value_key(value) not in choice.keys:
                raise SpaceError(
                    f"operation {self.name!r}: neutral {name}={value!r} is not among its choices"
                )
        object.__setattr__(self, "neutral", MappingProxyType(dict(self.neutral)))

    @property
    def choices(self) -> dict[str, ValueChoice]:
        """The searchable parameters by name."""
        return {n: value for n, value in self.parameters.items() if isinstance(value, ValueChoice)}


@dataclass(frozen=True)
class OperationChoice(Mutable):
    """Exactly one of several candidates; choices inside a candidate exist only with it.

    Attributes:
        candidates: Key → node.
    """

    candidates: Mapping[str, Mutable]

    def __post_init__(self) -> None:
        object.__setattr__(self, "candidates", _children("OperationChoice", self.candidates))

    @property
    def keys(self) -> tuple[str, ...]:
        """The candidates' keys, in order."""
        return tuple(self.candidates)


@dataclass(frozen=True)
class Group(Mutable):
    """Named parts that are all there, run in order.

    Attributes:
        children: Name → node.
    """

    children: Mapping[str, Mutable]

    def __post_init__(self) -> None:
        object.__setattr__(self, "children", _children("Group", self.children))


@dataclass(frozen=True)
class Repeat(Mutable):
    """A part repeated a searchable number of times; each repetition has choices of its own.

    Attributes:
        template: What is repeated, as `item1`, `item2`, ….
        counts: The numbers of repetitions to choose from, each in [0, 10000].
    """

    template: Mutable
    counts: tuple[int, ...]

    def __post_init__(self) -> None:
        counts = tuple(self.counts)
        object.__setattr__(self, "counts", counts)
        if not counts or len(set(counts)) < len(counts):
            raise SpaceError(f"Repeat needs distinct counts, but got {counts}")
        if any(type(count) is not int or not 0 <= count <= _MOST_REPEATS for count in counts):
            raise SpaceError(
                f"Repeat counts must be integers in [0, {_MOST_REPEATS}], but are {counts}"
            )

    @cached_property
    def keys(self) -> tuple[str, ...]:
        """The counts as keys, in order."""
        return tuple(str(count) for count in self.counts)


def value_key(value: Value) -> str:
    """Return the text that stands for a value in genotypes and paths.

    A number is written as short as it can be, so `0`, `0.0` and `-0.0` share the key `"0"`.

    Example:
        >>> value_key(0.5), value_key(-30.0), value_key(True), value_key((1, 2.5))
        ('0.5', '-30', 'true', '[1,2.5]')
    """
    if isinstance(value, str):
        return value
    if isinstance(value, tuple):
        return f"[{','.join(value_key(part) for part in value)}]"
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return str(int(value))
    return json.dumps(value)


def _plain(value: Any) -> Value:
    if isinstance(value, list | tuple):
        return tuple(_plain(part) for part in value)
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float) and abs(value) < float("inf"):
        return value
    raise SpaceError(
        f"{value!r} is no plain value; a description holds bool, int, finite float, str, None "
        "and tuples of these"
    )


def _children(what: str, nodes: Mapping[str, Mutable]) -> Mapping[str, Mutable]:
    if not nodes:
        raise SpaceError(f"{what} needs at least one named part")
    for name, node in nodes.items():
        _checked_name(name)
        if not isinstance(node, Mutable):
            raise SpaceError(
                f"{what}: {name!r} is a {type(node).__name__}, not a node (ValueChoice, Operation, "
                "OperationChoice, Group, Repeat)"
            )
    return MappingProxyType(dict(nodes))


def _checked_name(name: str) -> str:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise SpaceError(
            f"{name!r} cannot be a name: use lower-case letters, digits, '_', '-' and '.', "
            "beginning with a letter or digit"
        )
    return name
