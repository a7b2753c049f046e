"""A race of candidates: many short trainings, and more of it for the better ones.

Successive halving (Jamieson and Talwalkar 2016): in each round the better 1/η go on with η times
the epochs. A training of more epochs begins anew, because a learning rate that was annealed to zero
cannot be gone on with.

Who goes on is settled by the scores of a whole round, so the answer does not depend on how many
trials run at once; but a candidate that can no longer fall behind goes on at once, and of several
races the next one begins where the first has to wait, so that no worker is idle.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from medpipe_core.execution.trial import Trial, TrialRecord


@dataclass(frozen=True)
class Rung:
    """One round.

    Attributes:
        count: Candidates in it.
        epochs: Epochs that each is trained.
        level: How far up it is; above 0 in the first round of a race that begins with more.
    """

    count: int
    epochs: int
    level: int = 0


@dataclass(frozen=True)
class Finish:
    """How far a candidate came.

    Attributes:
        number: Its position among the entrants, from 0.
        rung: The level of its last round.
        record: What came of that round.
        dropped: Whether others go on from there and it does not.
    """

    number: int
    rung: int
    record: TrialRecord
    dropped: bool = False


def rungs_of(count: int, epochs: int, *, rungs: int, reduction: int, level: int = 0) -> list[Rung]:
    """Return the rounds of a race; the last one has a candidate at least.

    Args:
        count: Entrants, at least 1.
        epochs: Epochs of the first round.
        rungs: How many rounds; fewer where the entrants are used up.
        reduction: η: of so many one goes on, with so many times the epochs.
        level: Level of the first round.

    Example:
        >>> [(rung.count, rung.epochs) for rung in rungs_of(8, 5, rungs=3, reduction=2)]
        [(8, 5), (4, 10), (2, 20)]
    """
    found = [Rung(count, epochs, level)]
    while len(found) < rungs and found[-1].count > 1:
        last = found[-1]
        fewer = math.ceil(last.count / reduction)
        found.append(Rung(fewer, last.epochs * reduction, last.level + 1))
    return found


def brackets_of(
    count: int, epochs: int, *, rungs: int, reduction: int, brackets: int
) -> list[list[Rung]]:
    """Return the races that so many entrants are spread over; each begins a level above the last.

    A race that begins lower has more entrants, in the proportions of Hyperband (Li et al. 2018,
    algorithm 1), where all brackets cost about the same; with one bracket this is `rungs_of`.

    Args:
        count: Entrants of all of them, at least 1.
        epochs: Epochs of the first round of the first race.
        rungs: Rounds of the first race.
        reduction: η.
        brackets: How many races, at most `rungs`; fewer where there are fewer entrants.

    Example:
        >>> [[(r.count, r.epochs) for r in race] for race in brackets_of(
        ...     17, 1, rungs=3, reduction=3, brackets=3)]
        [[(9, 1), (3, 3), (1, 9)], [(5, 3), (2, 9)], [(3, 9)]]
    """
    brackets = min(brackets, count)
    steps = [rungs - 1 - level for level in range(brackets)]
    shares = [reduction**step / (step + 1) for step in steps]
    entrants = _apportioned(count, shares)
    return [
        rungs_of(
            number, epochs * reduction**level, rungs=rungs - level, reduction=reduction, level=level
        )
        for level, number in enumerate(entrants)
    ]


def _apportioned(count: int, shares: Sequence[float]) -> list[int]:
    """Share a number out, at least 1 each; what rounding leaves goes to the largest remainders."""
    free = count - len(shares)
    exact = [free * share / sum(shares) for share in shares]
    found = [1 + math.floor(part) for part in exact]
    order = sorted(range(len(shares)), key=lambda i: (math.floor(exact[i]) - exact[i], i))
    for i in order[: count - sum(found)]:
        found[i] += 1
    return found


def race(
    rungs: Sequence[Rung],
    trial_of: Callable[[int, Rung], Trial],
    run: Callable[[Iterator[Trial]], Iterator[TrialRecord]],
    tell: Callable[[Finish], None],
) -> list[Finish]:
    """Run a race; return how far each entrant came, the winner first.

    Args:
        rungs: The rounds.
        trial_of: Makes the trial of an entrant in a round.
        run: Runs trials; asks for the next one when there is room for it.
        tell: Told of each finish of a round.
    """
    last = {finish.number: finish for finish in races([rungs], trial_of, run, tell)}
    return sorted(last.values(), key=lambda f: (f.record.score == -math.inf, -f.rung, *_rank(f)))


def races(
    brackets: Sequence[Sequence[Rung]],
    trial_of: Callable[[int, Rung], Trial],
    run: Callable[[Iterator[Trial]], Iterator[TrialRecord]],
    tell: Callable[[Finish], None],
) -> Iterator[Finish]:
    """Run races at once; yield how far each entrant came, as soon as that is settled.

    Those settled at the same time are in the order of their numbers.

    Args:
        brackets: The rounds of each race; entrants are numbered through, from the first race on.
        trial_of: Makes the trial of an entrant in a round.
        run: Runs trials; asks for the next one when there is room for it.
        tell: Told of each finish of a round.
    """
    state = _Races(brackets)
    started: dict[int, tuple[int, Rung]] = {}
    waiting: list[Trial] = []  # keeps the identities of trials that run

    def trials() -> Iterator[Trial]:
        while (ready := state.next()) is not None:
            trial = trial_of(*ready)
            started[id(trial)] = ready
            waiting.append(trial)
            yield trial

    while not state.over:
        for record in run(trials()):
            number, rung = started[id(record.trial)]
            finish = Finish(number, rung.level, record)
            state.take(finish)
            tell(finish)
            yield from state.settled()


class _Races:
    """Several races; an entrant's number says which one it is in."""

    def __init__(self, brackets: Sequence[Sequence[Rung]]) -> None:
        self._races: list[_Race] = []
        first = 0
        for rungs in brackets:
            self._races.append(_Race(rungs, first))
            first += rungs[0].count

    @property
    def over(self) -> bool:
        """Whether every race is."""
        return all(race.over for race in self._races)

    def next(self) -> tuple[int, Rung] | None:
        """Return an entrant and a round that it may begin now, of the first race that has one."""
        return next(filter(None, (race.next() for race in self._races)), None)

    def take(self, finish: Finish) -> None:
        """Take what came of a round."""
        next(race for race in self._races if finish.number < race.end).take(finish)

    def settled(self) -> Iterator[Finish]:
        """Iterate over the last rounds that are newly known to be the last."""
        found = chain.from_iterable(race.settled() for race in self._races)
        yield from sorted(found, key=lambda finish: finish.number)


class _Race:
    """Who has finished which round, and who may begin which.

    Args:
        rungs: The rounds.
        first: Number of the first entrant.
    """

    def __init__(self, rungs: Sequence[Rung], first: int) -> None:
        self._rungs = rungs
        self._first = first
        self.end = first + rungs[0].count
        self._finished: list[dict[int, Finish]] = [{} for _ in rungs]
        self._begun: list[set[int]] = [set() for _ in rungs]
        self._settled: set[int] = set()

    @property
    def over(self) -> bool:
        """Whether every round is complete."""
        return all(map(self._complete, range(len(self._rungs))))

    def next(self) -> tuple[int, Rung] | None:
        """Return an entrant and a round that it may begin now, later rounds first; or None."""
        for k in range(len(self._rungs) - 1, 0, -1):
            for number in self._certain(k - 1):
                if number not in self._begun[k]:
                    self._begun[k].add(number)
                    return number, self._rungs[k]
        if len(self._begun[0]) < self._rungs[0].count:
            number = self._first + len(self._begun[0])
            self._begun[0].add(number)
            return number, self._rungs[0]
        return None

    def take(self, finish: Finish) -> None:
        """Take what came of a round."""
        self._finished[finish.rung - self._rungs[0].level][finish.number] = finish

    def settled(self) -> Iterator[Finish]:
        """Iterate over the last rounds that are newly known to be the last."""
        for k, done in enumerate(self._finished):
            last = k == len(self._rungs) - 1
            if not last and not self._complete(k):
                continue
            going_on = [] if last else self._certain(k)
            for number, finish in done.items():
                if number not in going_on and number not in self._settled:
                    self._settled.add(number)
                    yield finish if last else replace(finish, dropped=True)

    def _complete(self, k: int) -> bool:
        return len(self._finished[k]) == self._rungs[k].count

    def _certain(self, k: int) -> list[int]:
        """Return those that go on from a round whatever those still running reach, best first."""
        done = sorted(self._finished[k].values(), key=_rank)
        must_lose = self._rungs[k].count - self._rungs[k + 1].count
        return [finish.number for finish in done[: max(len(done) - must_lose, 0)]]


def _rank(finish: Finish) -> tuple[float, int]:
    """Return what is smaller for the better; of equal scores the earlier entrant is."""
    return -finish.record.score, finish.number
