"""The nodes of a description: an immutable tree of named parts, operations and choices."""

from __future__ import annotations

import re
import reprlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from medpipe_core.frozen_mapping import FrozenMapping
from medpipe_core.space.errors import SpaceError
from medpipe_core.space.value_declaration import Declaration
from medpipe_core.space.values import Value, plain_text, plain_value, value_key

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
        SpaceError: No value, two values with one key, one that is not plain or not within bounds,
            or a bound that is no number or stands beside values that are none.

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
        self.values = tuple(plain_value(value) for value in values)
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
        choice = ValueChoice(*self.declaration.checked(map(plain_value, values)))
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
class Ref(Mutable):
    """What an enclosing `Shared` declares under this name: its decisions, at this place.

    It stands for a parameter of an operation, or for a whole part. A part that is referred to at
    several places is decided once and has modules and weights of its own at each.

    Attributes:
        name: The name under which it is shared.

    Raises:
        SpaceError: The name cannot be one. Whether it is shared is checked by `SearchSpace`.
    """

    name: str

    def __post_init__(self) -> None:
        _checked_name(self.name)


@dataclass(frozen=True)
class Operation(Mutable):
    """A named operation with fixed parameters and searchable ones.

    Attributes:
        kind: What the catalogue knows it as, such as `"augmentation"` or `"block"`.
        name: Its name there.
        parameters: Name → plain value, a `ValueChoice`, or a `Ref` to a shared one.
        neutral: Parameter → value at which the operation is the identity, whatever its other
            choices say; None where there is no such value.
    """

    kind: str
    name: str
    parameters: Mapping[str, Value | ValueChoice | Ref] = field(default_factory=dict)
    neutral: Mapping[str, Value] | None = None

    def __post_init__(self) -> None:
        for what, text in (("kind", self.kind), ("name", self.name)):
            if not isinstance(text, str) or not text:
                raise SpaceError(f"the {what} of an Operation must be a text, but is {text!r}")
            plain_text(text)
        for what, table in (("parameters", self.parameters), ("neutral", self.neutral or {})):
            if not isinstance(table, Mapping):
                raise SpaceError(
                    f"operation {self.name!r}: {what} must be names with values, but are {table!r}"
                )
        frozen = {
            _checked_name(name): value
            if isinstance(value, ValueChoice | Ref)
            else plain_value(value)
            for name, value in self.parameters.items()
        }
        object.__setattr__(self, "parameters", FrozenMapping(frozen))
        if self.neutral is None:
            return
        for name, value in self.neutral.items():
            choice = frozen.get(name)
            if isinstance(choice, Ref):
                continue  # what it refers to is known where it stands
            if not isinstance(choice, ValueChoice) or _key(value) not in choice.keys:
                raise SpaceError(
                    f"operation {self.name!r}: neutral {name}={value!r} is not among its choices"
                )
        object.__setattr__(self, "neutral", FrozenMapping(self.neutral))

    @cached_property
    def choices(self) -> Mapping[str, ValueChoice]:
        """The searchable parameters of its own by name."""
        return FrozenMapping(
            {n: value for n, value in self.parameters.items() if isinstance(value, ValueChoice)}
        )

    @cached_property
    def references(self) -> Mapping[str, Ref]:
        """The parameters that take the value of a shared choice, by name."""
        return FrozenMapping(
            {n: value for n, value in self.parameters.items() if isinstance(value, Ref)}
        )


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
        if not isinstance(self.template, Mutable):
            raise SpaceError(f"Repeat: what is repeated is a {_kind(self.template)}, {_NODES}")
        if not isinstance(self.counts, Iterable) or isinstance(self.counts, str):
            raise SpaceError(
                f"Repeat needs the numbers to choose from, such as (1, 2, 3), or ({self.counts},) "
                f"for always the same, but got {self.counts!r}"
            )
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


@dataclass(frozen=True)
class Shared(Mutable):
    """A part, and nodes that it refers to by name: each is decided once, wherever it is used.

    The choices of a shared node stand beside those of the body, under its name. A shared node may
    refer to those declared before it.

    Attributes:
        parts: Name → node. Within the body `Ref(name)` stands for it.
        body: Where the names are known.

    Raises:
        SpaceError: No part, a part that is a mere `Ref`, or a name that the body uses itself.

    Example:
        >>> from medpipe_core import SearchSpace
        >>> conv = Operation("block", "conv3d", {"channels": 8, "kernel": Ref("kernel")})
        >>> body = Group({"first": conv, "second": conv})
        >>> space = SearchSpace("even", Shared({"kernel": ValueChoice(3, 5, 7)}, body))
        >>> space.size(), list(space.choices)
        (3, ['kernel'])
    """

    parts: Mapping[str, Mutable]
    body: Mutable

    def __post_init__(self) -> None:
        object.__setattr__(self, "parts", _children("Shared", self.parts))
        if not isinstance(self.body, Mutable):
            raise SpaceError(f"Shared: the body is a {_kind(self.body)}, {_NODES}")
        for name, part in self.parts.items():
            if isinstance(part, Ref):
                raise SpaceError(
                    f"Shared: {name!r} is nothing but Ref({part.name!r}); refer to {part.name!r} "
                    "where it is used"
                )
        taken = sorted(self.parts.keys() & _names_within(self.body))
        if taken:
            raise SpaceError(
                f"Shared: {', '.join(map(repr, taken))} would name both a shared node and a part "
                "of the body, and their choices one path; rename one of the two"
            )


def _key(value: Value) -> str:
    return value_key(plain_value(value))


_NODES = (
    "not a node (ValueChoice, Operation, OperationChoice, Group, Repeat, Shared, Ref); that of a "
    "space is space.root"
)


def _kind(found: object) -> str:
    return type(found).__name__


def _children(what: str, nodes: Mapping[str, Mutable]) -> Mapping[str, Mutable]:
    if not isinstance(nodes, Mapping):
        raise SpaceError(
            f"{what} needs names, as in {what}({{'first': ..., 'second': ...}}), but got a "
            f"{_kind(nodes)}"
        )
    if not nodes:
        raise SpaceError(f"{what} needs at least one named part")
    for name, node in nodes.items():
        _checked_name(name)
        if not isinstance(node, Mutable):
            raise SpaceError(f"{what}: {name!r} is a {_kind(node)}, {_NODES}")
    return FrozenMapping(nodes)


def _names_within(node: Mutable) -> set[str]:
    """Return the names under which a node's choices stand directly below it."""
    around: set[str] = set()
    while isinstance(node, Shared):
        around |= set(node.parts)
        node = node.body
    return around | _names_below(node)


def _names_below(node: Mutable) -> set[str]:
    match node:
        case Operation():
            return set(node.choices)
        case OperationChoice():
            return set(node.candidates)
        case Repeat():
            return {f"item{number}" for number in range(1, max(node.counts) + 1)}
        case Group():
            return set(node.children)
    return set()


def _checked_name(name: str) -> str:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise SpaceError(
            f"{reprlib.repr(name)} cannot be a name: use lower-case letters, digits, '_', '-' and "
            "'.', beginning with a letter or digit"
        )
    return name
