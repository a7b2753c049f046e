"""How deep and how wide a description is, told without walking through all of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from medpipe_core.space.errors import SpaceError
from medpipe_core.space.nodes import (
    Group,
    Mutable,
    Operation,
    OperationChoice,
    Repeat,
    Shared,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

DEEPEST = 64
MOST_PLACES = 20_000


def check_extent(root: Mutable, space: str) -> None:
    """Refuse a description that is too large to be walked through.

    A node that stands at several places is looked at once, so that this takes no time however
    often things are repeated.

    Raises:
        SpaceError: It is nested deeper than 64 levels, or has more than 20,000 places: nodes and
            searchable parameters, each as often as it stands in a network of the most repetitions.
    """
    places = _Extent(space).places(root, 0)[0]
    if places > MOST_PLACES:
        raise SpaceError(
            f"space {space!r}: its description is too large, with {_number(places)} layers, "
            f"candidates and parameters where {MOST_PLACES:,} can be; give fewer of them, or "
            "fewer repetitions"
        )


class _Extent:
    def __init__(self, space: str) -> None:
        self._space = space
        self._known: dict[int, tuple[int, int]] = {}

    def places(self, node: Mutable, depth: int) -> tuple[int, int]:
        """Return how many places are under a node, itself included, and how many levels."""
        known = self._known.get(id(node))
        if known is None:
            self._check(depth)
            inner = [(self.places(part, depth + 1), times) for part, times in _parts(node)]
            own = 1 + (len(node.choices) if isinstance(node, Operation) else 0)
            places = own + sum(count * times for (count, _), times in inner)
            searchable = isinstance(node, Operation) and bool(node.choices or node.references)
            known = places, 1 + max((levels for (_, levels), _ in inner), default=int(searchable))
            self._known[id(node)] = known
        self._check(depth + known[1] - 1)
        return known

    def _check(self, depth: int) -> None:
        if depth > DEEPEST:
            raise SpaceError(
                f"space {self._space!r}: its description is nested deeper than {DEEPEST} levels"
            )


def _parts(node: Mutable) -> Iterator[tuple[Mutable, int]]:
    """Iterate over the nodes directly under a node, each with how often it stands there."""
    match node:
        case OperationChoice():
            yield from ((part, 1) for part in node.candidates.values())
        case Group():
            yield from ((part, 1) for part in node.children.values())
        case Repeat():
            yield node.template, max(node.counts)
        case Shared():
            yield from ((part, 1) for part in (*node.parts.values(), node.body))


def _number(places: int) -> str:
    return f"{places:,}" if places < 10**15 else f"about 10^{len(str(places)) - 1}"
