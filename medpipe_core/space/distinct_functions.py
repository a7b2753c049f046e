"""Counting distinct functions: genotypes that differ in choices without effect count as one.

A class of such genotypes counts where one of its members keeps the constraints. So a state holds
all counts that the members of a class reach, beside the shared choices that it has used.
"""

from __future__ import annotations

import itertools
import math
import operator
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from medpipe_core.space.choices import repetitions
from medpipe_core.space.constrained_counting import counted
from medpipe_core.space.dynamic_programming import check_states, check_work
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
from medpipe_core.space.sharing import NOTHING_SHARED, Declared, declare, join
from medpipe_core.space.values import value_key

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from medpipe_core.space.constraint_counter import ConstraintCounter, Counts

State = tuple[frozenset[str], frozenset["Counts"]]


def distinct_size(root: Mutable, counter: ConstraintCounter) -> int:
    """Count the classes of genotypes with a member that keeps the constraints."""
    table = _Classes(root, counter).table(root, _Scope("", NOTHING_SHARED, {}))
    return sum(
        number
        for (_, reached), number in table.numbers.items()
        if any(map(counter.fulfilled, reached))
    )


@dataclass(frozen=True)
class _Table:
    """Numbers of classes by state, and how many choices of each limit were seen."""

    numbers: Mapping[State, int]
    seen: Counts


@dataclass(frozen=True)
class _Scope:
    """Where a walk is: its path, the shared names, and keys of choices that decide neutrality."""

    path: str
    names: Mapping[str, Declared]
    fixed: Mapping[str, str]

    def below(self, name: str) -> _Scope:
        return replace(self, path=join(self.path, name))


class _Classes:
    def __init__(self, root: Mutable, counter: ConstraintCounter) -> None:
        self._counter = counter
        self._members = counted(root, counter)
        self._work = 0
        self._unit = self._certain([counter.none])

    def table(self, node: Mutable, scope: _Scope) -> _Table:
        """Return the classes under a node."""
        match node:
            case ValueChoice():
                return self._choice(node, scope.path, node.keys)
            case Operation():
                return self._operation(node, scope)
            case OperationChoice():
                inner = [
                    (key, self.table(c, scope.below(key))) for key, c in node.candidates.items()
                ]
                seen = self._total(table.seen for _, table in inner)
                return self._any_of(scope.path, inner, seen)
            case Repeat():
                return self._repeat(node, scope)
            case Group():
                return self._all_of(
                    self.table(child, scope.below(name)) for name, child in node.children.items()
                )
            case Shared():
                return self._shared(node, scope)
            case Ref():
                return self._using([scope.names[node.name].path])
        raise AssertionError(node)

    def _operation(self, node: Operation, scope: _Scope) -> _Table:
        neutral = {name: value_key(value) for name, value in (node.neutral or {}).items()}
        used = {name: scope.names[ref.name].path for name, ref in node.references.items()}
        free = self._all_of(
            self._choice(choice, join(scope.path, name), choice.keys)
            for name, choice in node.choices.items()
            if name not in neutral
        )
        deciding = {name: choice for name, choice in node.choices.items() if name in neutral}
        every = self._all_of(
            self._choice(choice, join(scope.path, name), choice.keys)
            for name, choice in deciding.items()
        )
        effective = self._product(free, self._using(used.values()))
        fits = all(scope.fixed[used[n]] == key for n, key in neutral.items() if n in used)
        if node.neutral is None or not fits:
            return self._product(every, effective)
        idle = self._all_of(
            self._choice(choice, join(scope.path, name), [neutral[name]])
            for name, choice in deciding.items()
        )
        idle = replace(idle, seen=every.seen)
        others = Counter(every.numbers)
        others.subtract(idle.numbers)
        numbers = Counter(self._product(_Table(+others, every.seen), effective).numbers)
        loose = self._all_of(
            self._certain(
                [self._counter.hit(join(scope.path, name), key) for key in choice.keys],
                self._counter.about(join(scope.path, name)),
            )
            for name, choice in node.choices.items()
            if name not in neutral
        )
        deciders = self._using(path for name, path in used.items() if name in neutral)
        neutral_ones = self._product(idle, self._product(loose, deciders))
        numbers.update(neutral_ones.numbers)
        return _Table(numbers, neutral_ones.seen)

    def _repeat(self, node: Repeat, scope: _Scope) -> _Table:
        table, after = self._unit, {0: self._unit}
        same = None
        for number, (path, item) in enumerate(
            repetitions(node, scope.path, max(node.counts)), start=1
        ):
            if same is None or self._counter.limits:  # else all repetitions are alike
                same = self.table(item, replace(scope, path=path))
            table = self._product(table, same)
            if number in node.counts:
                after[number] = table
        inner = [(str(count), after[count]) for count in node.counts]
        return self._any_of(scope.path, inner, table.seen)

    def _shared(self, node: Shared, scope: _Scope) -> _Table:
        names = declare(node, scope.path, scope.names)
        deciding = _deciding(node)
        choices = {name: names[name].choice for name in node.parts if name in deciding}
        check_states(math.prod(len(choice.keys) for choice in choices.values()))
        numbers: Counter[State] = Counter()
        table = self._unit
        for keys in itertools.product(*(choice.keys for choice in choices.values())):
            fixed = {names[name].path: key for name, key in zip(choices, keys, strict=True)}
            inside = replace(scope, names=names, fixed={**scope.fixed, **fixed})
            table = self.table(node.body, inside)
            # The last first: a shared node may use those declared before it.
            for name in reversed(tuple(node.parts)):
                table = self._closed(table, names[name], inside.fixed)
            numbers.update(table.numbers)
        return _Table(numbers, table.seen)

    def _closed(self, table: _Table, declared: Declared, fixed: Mapping[str, str]) -> _Table:
        """Decide a shared node: as itself where it was used, as one class where it was not."""
        path, key = declared.path, fixed.get(declared.path)
        all_ways = self._members.table(declared.node, path)
        used = self._product(
            _Table({s: n for s, n in table.numbers.items() if path in s[0]}, table.seen),
            self._choice(declared.choice, path, [key])
            if key is not None
            else self.table(declared.node, _Scope(path, declared.names, fixed)),
        )
        numbers = Counter[State]()
        for (names, reached), number in used.numbers.items():
            numbers[names - {path}, reached] += number
        # Fixed in turn at each of its keys, a choice that is not used counts at the first.
        if key is None or key == declared.choice.keys[0]:
            unused = _Table(
                {s: n for s, n in table.numbers.items() if path not in s[0]}, table.seen
            )
            numbers.update(
                self._product(unused, self._certain(all_ways.sums, all_ways.seen)).numbers
            )
        return _Table(numbers, used.seen)

    def _choice(self, choice: ValueChoice, path: str, keys: Iterable[str]) -> _Table:
        inner = [(key, self._unit) for key in keys]
        return self._any_of(path, inner, self._counter.none)

    def _any_of(self, path: str, inner: list[tuple[str, _Table]], seen: Counts) -> _Table:
        numbers: Counter[State] = Counter()
        for key, table in inner:
            taking = self._certain([self._counter.hit(path, key)])
            numbers.update(self._product(taking, replace(table, seen=self._counter.none)).numbers)
        return self._settled(numbers, self._total((self._counter.about(path), seen)))

    def _all_of(self, tables: Iterable[_Table]) -> _Table:
        table = self._unit
        for other in tables:
            table = self._product(table, other)
        return table

    def _product(self, one: _Table, other: _Table) -> _Table:
        self._work = check_work(self._work + len(one.numbers) * len(other.numbers))
        numbers: Counter[State] = Counter()
        for (names, reached), number in one.numbers.items():
            for (more, further), times in other.numbers.items():
                sums = (self._counter.add(a, b) for a in reached for b in further)
                both = frozenset(counts for counts in sums if counts is not None)
                if both:
                    numbers[names | more, both] += number * times
        return self._settled(numbers, self._total((one.seen, other.seen)))

    def _settled(self, numbers: Mapping[State, int], seen: Counts) -> _Table:
        check_states(len(numbers))
        settled: Counter[State] = Counter()
        for (names, reached), number in numbers.items():
            finals = (self._counter.settle(counts, seen) for counts in reached)
            kept = frozenset(counts for counts in finals if counts is not None)
            if kept:
                settled[names, kept] += number
        return _Table(settled, seen)

    def _certain(self, reached: Iterable[Counts | None], seen: Counts | None = None) -> _Table:
        """Return one class that reaches several counts; a None among them is none."""
        some = frozenset(counts for counts in reached if counts is not None)
        return self._settled({(frozenset(), some): 1}, self._counter.none if seen is None else seen)

    def _using(self, paths: Iterable[str]) -> _Table:
        return _Table({(frozenset(paths), frozenset([self._counter.none])): 1}, self._counter.none)

    def _total(self, seen: Iterable[Counts]) -> Counts:
        total = self._counter.none
        for counts in seen:
            total = tuple(map(operator.add, total, counts))
        return total


def _deciding(node: Mutable) -> set[str]:
    """Return the shared names whose values decide whether an operation under a node is neutral."""
    match node:
        case Operation():
            return {ref.name for n, ref in node.references.items() if n in (node.neutral or {})}
        case OperationChoice():
            return {name for inner in node.candidates.values() for name in _deciding(inner)}
        case Group():
            return {name for inner in node.children.values() for name in _deciding(inner)}
        case Repeat():
            return _deciding(node.template)
        case Shared():
            inner = (*node.parts.values(), node.body)
            return {name for part in inner for name in _deciding(part)}
    return set()
