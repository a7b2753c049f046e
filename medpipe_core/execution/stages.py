"""The stages of a run: they are handed development data and never see the dataset itself."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from medpipe_core.errors import MedpipeError
from medpipe_core.execution.candidates import cheapest_first
from medpipe_core.execution.plan import plan, rounds_of_evaluation, sized
from medpipe_core.execution.race import race
from medpipe_core.execution.results import Trained
from medpipe_core.execution.retraining import Retraining
from medpipe_core.execution.search_stage import SearchStage
from medpipe_core.execution.trial import Fidelity, Trial
from medpipe_core.supernet import build_policy

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

    from medpipe_core.data import Development
    from medpipe_core.events import Emit
    from medpipe_core.execution.context import RunContext
    from medpipe_core.execution.executor import Executor
    from medpipe_core.execution.race import Finish, Rung
    from medpipe_core.execution.results import Candidate, Planned
    from medpipe_core.space import Genotype, SearchSpace
    from medpipe_core.supernet import Supernet, Symmetry


class NoContenderError(MedpipeError):
    """No candidate could be trained."""


class RunStages:
    """Search, evaluation and retraining of one run.

    Args:
        context: The run's configuration, bound.
        executor: Who runs trials.
    """

    def __init__(self, context: RunContext, executor: Executor) -> None:
        self._context = context
        self._executor = executor
        self._search = SearchStage(context, executor)
        self._retraining = Retraining(context, executor)
        self._supernet: Supernet | None = None

    @property
    def space(self) -> SearchSpace:
        """The space that is searched."""
        return self._context.space

    def plan(self, development: Development) -> dict[str, Planned]:
        """Return what each stage is going to do."""
        count = len(development.train)
        keys = sized(self._context.keys, count)
        if self._search.known_answer() is not None:
            return {"retrain": plan(keys, count, trains_weights=False)["retrain"]}
        keys = keys.model_copy(update={"search": self._search.settings(development)})
        steps = plan(keys, count, trains_weights=True)["search"].count
        return plan(keys, count, trains_weights=self._search.trains_weights(steps))

    def budget(self, development: Development) -> Mapping[str, Any] | None:
        """Return what a budget of hours, trials or steps comes to, or None where there is none."""
        found = self._search.budget(development)
        return None if found is None else found.to_plain()

    def search(self, development: Development, emit: Emit) -> list[Candidate]:
        """Search; return scored candidates, the searcher's own answer and then the best first."""
        found, self._supernet = self._search.run(development, emit)
        return found

    def evaluate(
        self, development: Development, candidates: Sequence[Candidate], emit: Emit
    ) -> list[Candidate]:
        """Race the candidates: train them and rank them by figures on volumes they did not see.

        With `evaluate.rungs` above 1 the better ones are trained longer, round after round.

        They are trained on the half that trained the search's weights, so that the ranking rests
        on the other half as well as on the validation set. A candidate that fails is last, and
        says why; equal scores keep their order. One candidate alone, as where the answer is known
        from the start, is not trained: there is nothing to rank.

        Raises:
            NoContenderError: All of them failed, or there is none.
        """
        if not candidates:
            raise NoContenderError("there is no candidate to evaluate: the search scored none")
        if len(candidates) == 1:
            # What the search's weights say of it is no figure of its own network.
            return [replace(candidates[0], validation={})]
        keys = sized(self._context.keys, len(development.train))
        rungs = rounds_of_evaluation(keys, len(candidates))

        def trial_of(number: int, rung: Rung) -> Trial:
            genotype, schedule = candidates[number].genotype, candidates[number].schedule
            initial = self._initial(genotype) if keys.evaluate.inherit else None
            seed, fidelity = self._context.keys.seed, Fidelity(rung.epochs)
            return Trial(genotype, fidelity, seed, "evaluate", initial, schedule=schedule)

        def tell(finish: Finish) -> None:
            record = finish.record
            if record.told:
                return
            emit(
                "evaluate-candidate",
                number=finish.number + 1,
                of=len(candidates),
                genotype=record.trial.genotype.digest,
                rung=finish.rung,
                epochs=record.trial.fidelity.epochs,
                figures={name: v for name, v in record.figures.items() if math.isfinite(v)},
                failed=record.failed,
                seconds=record.seconds,
            )

        rows = race(
            rungs, trial_of, lambda trials: self._executor.run(trials, development, emit), tell
        )
        if all(row.record.failed for row in rows):
            reasons = "; ".join(dict.fromkeys(row.record.failed for row in rows))
            failed = "the candidate" if len(rows) == 1 else f"all {len(rows)} candidates"
            raise NoContenderError(f"{failed} failed in evaluation: {reasons}")
        ranked = [self._evaluated(candidates[row.number], row) for row in rows]
        return cheapest_first(ranked, self._context.keys.search.objectives)

    def retrain(self, development: Development, chosen: Candidate, emit: Emit) -> Trained:
        """Train the chosen network on the whole training set, as often as `retrain.members` says.

        Raises:
            TrialFailedError: A loss or weights did not stay finite, or memory ran out.
        """
        inherits = self._context.keys.retrain.inherit
        initial = self._initial(chosen.genotype) if inherits else None
        network, figures, notes = self._retraining.run(development, chosen, emit, initial)
        return Trained(network, figures, notes, self._symmetries(chosen.genotype))

    def weights_so_far(self) -> Mapping[str, Tensor] | None:
        """Return the weights of a retraining that is under way in this process."""
        return self._retraining.weights_so_far()

    def _symmetries(self, genotype: Genotype) -> tuple[Symmetry, ...]:
        context = self._context
        if context.keys.test.average == "none":
            return ()
        card = context.card
        policy = build_policy(context.space, genotype, spacing=card.spacing)
        return policy.symmetries(card.size)

    def _evaluated(self, candidate: Candidate, row: Finish) -> Candidate:
        record = row.record
        epochs = record.trial.fidelity.epochs
        return replace(
            candidate, validation=dict(record.figures), failed=record.failed, epochs=epochs
        )

    def _initial(self, genotype: Genotype) -> Mapping[str, Tensor] | None:
        return None if self._supernet is None else self._supernet.freeze(genotype).state_dict()
