"""A race of candidates: many short trainings, and more of it for the better ones.

Successive halving (Jamieson and Talwalkar 2016): in each round the better 1/η go on with η times
the epochs. A training of more epochs begins anew, because a learning rate that was annealed to zero
cannot be gone on with.

Who goes on is settled by the scores of a whole round, so the answer does not depend on how many
trials run at once; but a candidate that can no longer fall behind goes on at once, so that nobody
waits for the end of a round.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
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
    """

    count: int
    epochs: int


@dataclass(frozen=True)
class Finish:
    """How far a candidate came.

    Attributes:
        number: Its position among the entrants, from 0.
        rung: Its last round, from 0.
        record: What came of that round.
    """

    number: int
    rung: int
    record: TrialRecord


def rungs_of(count: int, epochs: int, *, rungs: int, reduction: int) -> list[Rung]:
    """Return the rounds of a race; the last one has a candidate at least.

    Args:
        count: Entrants, at least 1.
        epochs: Epochs of the first round.
        rungs: How many rounds; fewer where the entrants are used up.
        reduction: η: of so many one goes on, with so many times the epochs.

    Example:
        >>> [(rung.count, rung.epochs) for rung in rungs_of(8, 5, rungs=3, reduction=2)]
        [(8, 5), (4, 10), (2, 20)]
    """
    found = [Rung(count, epochs)]
    while len(found) < rungs and found[-1].count > 1:
        last = found[-1]
        found.append(Rung(math.ceil(last.count / reduction), last.epochs * reduction))
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
    state = _Race(rungs)
    started: dict[int, tuple[int, int]] = {}

    def trials() -> Iterator[Trial]:
        while (ready := state.next()) is not None:
            number, rung = ready
            trial = trial_of(number, rungs[rung])
            started[id(trial)] = ready
            waiting.append(trial)
            yield trial

    waiting: list[Trial] = []  # keeps the identities of trials that run
    while not state.over:
        for record in run(trials()):
            number, rung = started[id(record.trial)]
            finish = Finish(number, rung, record)
            state.take(finish)
            tell(finish)
    return state.ranking()


class _Race:
    """Who has finished which round, and who may begin which."""

    def __init__(self, rungs: Sequence[Rung]) -> None:
        self._rungs = rungs
        self._finished: list[dict[int, Finish]] = [{} for _ in rungs]
        self._begun: list[set[int]] = [set() for _ in rungs]

    @property
    def over(self) -> bool:
        """Whether every round is complete."""
        return all(
            len(done) == rung.count for done, rung in zip(self._finished, self._rungs, strict=True)
        )

    def next(self) -> tuple[int, int] | None:
        """Return an entrant and a round that it may begin now, later rounds first; or None."""
        for rung in range(len(self._rungs) - 1, 0, -1):
            for number in self._certain(rung - 1):
                if number not in self._begun[rung]:
                    self._begun[rung].add(number)
                    return number, rung
        if len(self._begun[0]) < self._rungs[0].count:
            number = len(self._begun[0])
            self._begun[0].add(number)
            return number, 0
        return None

    def take(self, finish: Finish) -> None:
        """Take what came of a round."""
        self._finished[finish.rung][finish.number] = finish

    def ranking(self) -> list[Finish]:
        """Return everybody's last round: who came farther first, then by score; failures last."""
        last = {finish.number: finish for done in self._finished for finish in done.values()}
        return sorted(
            last.values(), key=lambda f: (f.record.score == -math.inf, -f.rung, *_rank(f))
        )

    def _certain(self, rung: int) -> list[int]:
        """Return those that go on from a round whatever those still running reach, best first."""
        done = sorted(self._finished[rung].values(), key=_rank)
        must_lose = self._rungs[rung].count - self._rungs[rung + 1].count
        return [finish.number for finish in done[: max(len(done) - must_lose, 0)]]


def _rank(finish: Finish) -> tuple[float, int]:
    """Return what is smaller for the better; of equal scores the earlier entrant is."""
    return -finish.record.score, finish.number
