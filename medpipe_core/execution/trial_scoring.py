"""Candidates of a search scored by trainings of their own: each alone, or raced."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from medpipe_core.execution.race import brackets_of, races
from medpipe_core.execution.trial import Fidelity, Trial
from medpipe_core.search import Scored, Scoring
from medpipe_core.seeding import child_seed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from medpipe_core.data import Development
    from medpipe_core.events import Emit
    from medpipe_core.execution.context import RunContext
    from medpipe_core.execution.executor import Executor
    from medpipe_core.execution.race import Finish, Rung
    from medpipe_core.search import Searcher
    from medpipe_core.search.settings import SearchSettings
    from medpipe_core.space import Genotype

_CARRIED = "weights carried from one epoch of the search to the next"


class TrialScoring(Scoring):
    """Scores what is proposed together, as `search.*` says.

    With one round each candidate is a trial. With more the better ones go on to the next round's
    fidelity, in one race or, with several brackets, in races that begin at different ones. Scores
    come in the order of the proposals, so that a searcher observes the same however many trials
    run at once.

    For a searcher that `carries`, each training goes on from the weights that it names of the
    epoch before, with another order of the volumes.

    Args:
        context: The run's configuration, bound.
        executor: Runs the trials.
        development: The run's development data.
        emit: Told of every epoch of a trial (`search-trial`) and, in a race, of every round that a
            candidate has finished (`search-race`).
        searcher: Who proposes.
    """

    def __init__(
        self,
        context: RunContext,
        executor: Executor,
        development: Development,
        emit: Emit,
        searcher: Searcher | None = None,
    ) -> None:
        self._context = context
        self._executor = executor
        self._development = development
        self._emit = emit
        self._levels = fidelities(context.keys.search)
        self._searcher = searcher if searcher is not None and searcher.carries else None

    def scored(self, proposed: Sequence[Genotype]) -> Iterator[Scored]:
        """Train and judge; a candidate that fails is scored with the reason."""
        settings = self._context.keys.search
        brackets = brackets_of(
            len(proposed),
            settings.trial_epochs,
            rungs=settings.rungs,
            reduction=settings.reduction,
            brackets=settings.brackets,
        )

        carried = self._executor.memory.result(_CARRIED) or {"stretch": 0, "weights": {}}
        trained: dict[str, Any] = {}

        def trial_of(number: int, rung: Rung) -> Trial:
            return self._trial(proposed[number], self._levels[rung.level], carried)

        def tell(finish: Finish) -> None:
            if finish.record.weights is not None:
                trained[finish.record.trial.genotype.digest] = dict(finish.record.weights)
            if settings.rungs > 1:
                self._tell(finish)

        finishes = races(
            brackets,
            trial_of,
            lambda trials: self._executor.run(trials, self._development, self._told),
            tell,
        )
        settled: dict[int, Finish] = {}
        number = 0
        for finish in finishes:
            settled[finish.number] = finish
            while number in settled:
                yield _scored(settled.pop(number))
                number += 1
        if self._searcher is not None:
            stretch = carried["stretch"] + 1
            self._executor.memory.finish(_CARRIED, {"stretch": stretch, "weights": trained})

    def _trial(self, genotype: Genotype, fidelity: Fidelity, carried: Mapping[str, Any]) -> Trial:
        seed = self._context.keys.seed
        if self._searcher is None:
            return Trial(genotype, fidelity, seed, "trial")
        parent = self._searcher.parent(genotype)
        seed = child_seed(seed, "stretch", str(carried["stretch"]))
        initial = None if parent is None else carried["weights"].get(parent)
        return Trial(genotype, fidelity, seed, "trial", initial, keep_weights=True)

    def _told(self, event: str, /, **fields: Any) -> None:
        """Tell of a trial's epochs as what they cost the search."""
        if event == "trial-epoch":
            told = {name: fields[name] for name in ("genotype", "steps", "seconds")}
            self._emit("search-trial", **told)
        else:
            self._emit(event, **fields)

    def _tell(self, finish: Finish) -> None:
        record = finish.record
        if record.told:
            return
        self._emit(
            "search-race",
            genotype=record.trial.genotype.digest,
            rung=finish.rung,
            fidelity=record.trial.fidelity.to_dict(),
            figures={name: v for name, v in record.figures.items() if math.isfinite(v)},
            failed=record.failed,
            seconds=record.seconds,
        )


def fidelities(settings: SearchSettings) -> list[Fidelity]:
    """Return the fidelity of each round."""
    return [Fidelity(**level) for level in settings.levels()]


def _scored(finish: Finish) -> Scored:
    record = finish.record
    failed = "" if record.figures else record.failed
    return Scored(
        record.trial.genotype,
        dict(record.figures),
        failed,
        record.seconds,
        finish.rung,
        finish.dropped,
    )
