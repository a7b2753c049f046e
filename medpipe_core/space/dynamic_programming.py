"""Sums over the members that keep constraints, over the tree with counts as state.

A node's table has, for each state of the limits' counts, the sum over all ways to choose under the
node that lead to it. Tables of parts that are all there are multiplied, those of alternatives are
added. What is exact for numbers of members is exact for least costs, with (min, +) for (+, ×).
"""

from __future__ import annotations

import operator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from medpipe_core.space.choices import repetitions
from medpipe_core.space.errors import SpaceError
from medpipe_core.space.nodes import (
    Group,
    Mutable,
    Operation,
    OperationChoice,
    Repeat,
    Shared,
    ValueChoice,
)
from medpipe_core.space.sharing import join

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from medpipe_core.space.constraint_counter import ConstraintCounter, Counts

T = TypeVar("T")
Parts = list[tuple[Mutable, str]]
_MOST_STATES = 20_000
_MOST_SUMS = 3_000_000


@dataclass(frozen=True)
class Table(Generic[T]):
    """Sums by state.

    Attributes:
        sums: State → sum over all ways to reach it; a state that cannot be reached is absent.
        seen: For each limit, how many of its choices lie under the node.
    """

    sums: dict[Counts, T]
    seen: Counts


class MemberSums(Generic[T]):
    """The members under a root that keep constraints, each with a weight.

    Args:
        root: The description.
        counter: The constraints.
        weigh: Weight of taking a key at a path; None where it must not be taken.
        plus: Adds the weights of alternatives.
        times: Combines the weights of choices made together.
        one: The weight of no choice at all.

    Raises:
        SpaceError: The constraints are so entangled that there are more than 20,000 states.
    """

    def __init__(
        self,
        root: Mutable,
        counter: ConstraintCounter,
        weigh: Callable[[str, str], T | None],
        plus: Callable[[T, T], T],
        times: Callable[[T, T], T],
        one: T,
    ) -> None:
        self._root = root
        self._counter = counter
        self._weigh = weigh
        self._plus = plus
        self._times = times
        self._unit = Table({counter.none: one}, counter.none)
        self._tables: dict[tuple[str, int], Table[T]] = {}
        self._work = 0

    def total(self) -> T | None:
        """Return the sum over all members; None where there is none."""
        return self._sum(self._counter.none, self.table(self._root, ""), self._unit)

    def walk(self, pick: Callable[[str, Sequence[str], list[T | None]], str]) -> dict[str, str]:
        """Choose a member, key after key in tree order.

        Args:
            pick: Path, keys and the sum over all members that each leads to (None for none), given
                what was picked before, → key.
        """
        chosen: dict[str, str] = {}
        self._visit([(self._root, "")], self._counter.none, self._unit, pick, chosen)
        return chosen

    def table(self, node: Mutable, path: str) -> Table[T]:
        """Return the sums under a node whose choices stand at a path."""
        known = (path, id(node))
        if known not in self._tables:
            keyed = isinstance(node, ValueChoice | OperationChoice | Repeat)
            table = self._any_of(node, path) if keyed else self._all_of(parts(node, path))
            self._tables[known] = table
        return self._tables[known]

    def _all_of(self, nodes: Parts) -> Table[T]:
        table = self._unit
        for node, path in nodes:
            table = self._product(table, self.table(node, path))
        return table

    def _any_of(self, node: Mutable, path: str) -> Table[T]:
        sums: dict[Counts, T] = {}
        seen = self._counter.about(path)
        inside = []
        for _, option in self._options(node, path):
            inside.append(option.seen)
            for counts, value in option.sums.items():
                sums[counts] = self._plus(sums[counts], value) if counts in sums else value
        # Repetitions are the same choices in every count; candidates have choices of their own.
        merge: Callable[[Iterable[int]], int] = max if isinstance(node, Repeat) else sum
        seen = tuple(own + merge(c[i] for c in inside) for i, own in enumerate(seen))
        return self._settled(sums, seen)

    def _options(self, node: Mutable, path: str) -> Iterator[tuple[str, Table[T]]]:
        """Iterate over keys, each with the table of taking it; its own choice is not in `seen`."""
        match node:
            case ValueChoice():
                inner: Iterable[tuple[str, Table[T]]] = ((key, self._unit) for key in node.keys)
            case OperationChoice():
                inner = ((k, self.table(c, join(path, k))) for k, c in node.candidates.items())
            case Repeat():
                inner = self._counts(node, path)
            case _:
                raise AssertionError(node)
        for key, table in inner:
            weight, hit = self._weigh(path, key), self._counter.hit(path, key)
            taking = {} if weight is None or hit is None else {hit: weight}
            sums = self._multiplied(taking, table.sums)
            yield key, Table(sums, table.seen)

    def _counts(self, node: Repeat, path: str) -> Iterator[tuple[str, Table[T]]]:
        table, after = self._unit, {0: self._unit}
        items = repetitions(node, path, max(node.counts))
        for number, (where, item) in enumerate(items, start=1):
            table = self._product(table, self.table(item, where))
            if number in node.counts:
                after[number] = table
        return ((str(count), after[count]) for count in node.counts)

    def _visit(
        self,
        nodes: Parts,
        before: Counts,
        after: Table[T],
        pick: Callable[[str, Sequence[str], list[T | None]], str],
        chosen: dict[str, str],
    ) -> Counts:
        """Choose under nodes that are all there; return the counts including theirs."""
        later = [after]
        for node, path in reversed(nodes[1:]):
            later.append(self._product(self.table(node, path), later[-1]))
        for node, path in nodes:
            rest = later.pop()
            below = parts(node, path)
            if isinstance(node, ValueChoice | OperationChoice | Repeat):
                options = list(self._options(node, path))
                weights = [self._sum(before, option, rest) for _, option in options]
                key = chosen[path] = pick(path, [key for key, _ in options], weights)
                before = self._added(before, self._counter.hit(path, key))
                below = opened(node, path, key)
            before = self._visit(below, before, rest, pick, chosen) if below else before
        return before

    def _sum(self, before: Counts, table: Table[T], after: Table[T]) -> T | None:
        """Sum over what a table and what comes after it allow, given what was counted before."""
        total: T | None = None
        for counts, value in table.sums.items():
            so_far = self._counter.add(before, counts)
            if so_far is None:
                continue
            for more, other in after.sums.items():
                final = self._counter.add(so_far, more)
                if final is not None and self._counter.fulfilled(final):
                    both = self._times(value, other)
                    total = both if total is None else self._plus(total, both)
        return total

    def _product(self, one: Table[T], other: Table[T]) -> Table[T]:
        seen = tuple(map(operator.add, one.seen, other.seen))
        return self._settled(self._multiplied(one.sums, other.sums), seen)

    def _multiplied(self, one: dict[Counts, T], other: dict[Counts, T]) -> dict[Counts, T]:
        self._work = check_work(self._work + len(one) * len(other))
        sums: dict[Counts, T] = {}
        for a, x in one.items():
            for b, y in other.items():
                both = self._counter.add(a, b)
                if both is not None:
                    value = self._times(x, y)
                    sums[both] = self._plus(sums[both], value) if both in sums else value
        return sums

    def _settled(self, sums: dict[Counts, T], seen: Counts) -> Table[T]:
        check_states(len(sums))
        settled: dict[Counts, T] = {}
        for counts, value in sums.items():
            final = self._counter.settle(counts, seen)
            if final is not None:
                settled[final] = self._plus(settled[final], value) if final in settled else value
        return Table(settled, seen)

    def _added(self, one: Counts, other: Counts | None) -> Counts:
        both = None if other is None else self._counter.add(one, other)
        if both is None:
            raise AssertionError("a key was picked that leads to no member")
        return both


def check_states(number: int) -> None:
    """Check that counting stays possible.

    Raises:
        SpaceError: There are more than 20,000 states.
    """
    if number > _MOST_STATES:
        raise _entangled(f"over {_MOST_STATES:,} states")


def check_work(sums: int) -> int:
    """Return how many sums were made; check that counting ends soon.

    Raises:
        SpaceError: There are more than three million.
    """
    if sums > _MOST_SUMS:
        raise _entangled(f"over {_MOST_SUMS:,} sums of states")
    return sums


def _entangled(how: str) -> SpaceError:
    return SpaceError(
        f"the constraints tie so many choices together that members cannot be counted ({how}); use "
        "fewer of them, lower bounds, or put choices that belong together side by side"
    )


def parts(node: Mutable, path: str) -> Parts:
    """Return what is all there under a node without a choice of its own, with its paths."""
    match node:
        case Operation():
            return [(choice, join(path, name)) for name, choice in node.choices.items()]
        case Group():
            return [(child, join(path, name)) for name, child in node.children.items()]
        case Shared():
            shared = [(part, join(path, name)) for name, part in node.parts.items()]
            return [*shared, (node.body, path)]
    return []


def opened(node: Mutable, path: str, key: str) -> Parts:
    """Return what is there under a choice that took a key, with its paths."""
    match node:
        case OperationChoice():
            return [(node.candidates[key], join(path, key))]
        case Repeat():
            return [(item, where) for where, item in repetitions(node, path, int(key))]
    return []
