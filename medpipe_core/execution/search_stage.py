"""The search stage: what a searcher finds on two halves of the training set."""

from __future__ import annotations

import math
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from medpipe_core.config.errors import ConfigurationError
from medpipe_core.execution.budget_plan import BudgetPlan, planned, wanted
from medpipe_core.execution.fidelity import shrunk
from medpipe_core.execution.pace import measured_pace
from medpipe_core.execution.plan import inherits_weights, sized, uses_shared_weights
from medpipe_core.execution.search_under_way import SearchUnderWay
from medpipe_core.execution.trial_scoring import TrialScoring
from medpipe_core.record.state_encoding import copied
from medpipe_core.search import NoBatches, SearchState, StagesError
from medpipe_core.seeding import seeded_init
from medpipe_core.space import Genotype
from medpipe_core.supernet import Supernet, blocks_named
from medpipe_core.train import chance_auc

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from torch import nn

    from medpipe_core.data import Development, LabelledVolumes
    from medpipe_core.events import Emit
    from medpipe_core.execution.context import RunContext
    from medpipe_core.execution.executor import Executor
    from medpipe_core.execution.results import Candidate
    from medpipe_core.search import BatchSource, Score, Scoring, Searcher
    from medpipe_core.search.settings import SearchSettings

# So many suit every searcher; how many there will be is known once the data are read.
_ANY_STEPS = 1000
_BUDGET = "budget"


class SearchStage:
    """Searches the space of a run.

    Args:
        context: The run's configuration, bound.
        executor: Runs the trials that candidates are scored by.
        clock: Seconds that only grow, for a budget in hours.
    """

    def __init__(
        self,
        context: RunContext,
        executor: Executor,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._context = context
        self._executor = executor
        self._memory = executor.memory
        self._clock = clock

    def run(self, development: Development, emit: Emit) -> tuple[list[Candidate], Supernet | None]:
        """Search; return scored candidates and the shared weights, if somebody goes on with them.

        Where the answer is known from the start it is the one candidate, and has no score.

        What the searcher itself calls the best leads the candidates, the best scored come after
        it: a score of shared weights says nothing of augmentation.

        One half trains the shared weights, the other informs the searcher (paper, section IV-C1).
        Candidates are scored on all that no weight was trained on: the other half and the
        validation set. A validation set alone is often too small to rank by. Where nobody uses the
        shared weights, no step trains them, and an epoch is a round of scoring.
        """
        context, settings = self._context, self.settings(development)
        known = self.known_answer()
        if known is not None:
            only = context.space.size() == 1  # a searcher may be unable to search such a space
            schedule = () if only else self._searcher(_ANY_STEPS).schedule()
            return [replace(context.candidate(known, {}, 0), schedule=schedule)], None
        done = self._memory.result("search")
        if done is not None:
            return self._found(done)
        weights_half, other_half = self._halves(development)
        training: BatchSource = context.batches(weights_half, "search", "weights")
        validation: BatchSource = context.batches(other_half.fixed(), "search", "searcher")
        if not self.trains_weights(settings.epochs * len(training)):
            training = validation = NoBatches()
        steps = settings.epochs * len(training)
        searcher = self._searcher(steps)
        supernet = self._supernet(searcher)
        under_way: SearchUnderWay | None = None
        with self._memory.under_way(
            "search", lambda: under_way and under_way.state_dict()
        ) as saved:
            state = self._state(supernet, searcher, training, validation, emit, saved)
            told = self._telling_of_chance((other_half, development.validation), emit)
            under_way = SearchUnderWay(state, self._memory, told, self._goes_on(development))
            if saved is not None:
                under_way.load_state_dict(saved)
            scorer = self._scorer(development, emit, searcher)
            under_way.run(settings, context.task.loss, scorer)
        best = state.asked.best()
        ranked = sorted(state.candidates, key=lambda c: (c.genotype != best, -c.rung, -c.score))
        done = {
            "candidates": [
                {"genotype": c.genotype.to_dict(), "figures": dict(c.figures), "epoch": c.epoch}
                for c in ranked
            ],
            "schedule": [genotype.to_dict() for genotype in state.asked.schedule()],
            "steps": steps,
            "supernet": copied(supernet.state_dict()) if inherits_weights(context.keys) else None,
        }
        self._memory.finish("search", done)
        return self._found(done)

    def budget(self, development: Development) -> BudgetPlan | None:
        """Return what a run with a budget is going to do, found out once; None without a budget."""
        keys = self._context.keys
        unit = wanted(keys.search)
        if unit is None or self.known_answer() is not None:
            return None
        done = self._memory.result(_BUDGET)
        if done is None:
            began = self._clock()
            pace = None
            if unit == "hours":
                pace = measured_pace(self._context, development, self._clock)
            found = planned(
                sized(keys, len(development.train)),
                len(development.train),
                trains_weights=self.trains_weights(_ANY_STEPS),
                pace=pace,
                workers=self._context.configuration.parameters["executor"].get("workers", 1),
                spent=self._clock() - began,
            )
            done = found.to_plain()
            self._memory.finish(_BUDGET, done)
        return BudgetPlan.from_plain(done)

    def settings(self, development: Development) -> SearchSettings:
        """Return the settings of the search, with the epochs that its budget gives."""
        settings = sized(self._context.keys, len(development.train)).search
        budget = self.budget(development)
        return settings if budget is None else budget.settled(settings)

    def _goes_on(self, development: Development) -> Callable[[int, float], bool]:
        budget, last = self.budget(development), self._context.keys.search.stop_after

        def goes_on(epochs: int, seconds: float) -> bool:
            within = budget is None or budget.allows(epochs, seconds)
            return within and (last is None or epochs < last)

        return goes_on

    def _found(self, done: Mapping[str, Any]) -> tuple[list[Candidate], Supernet | None]:
        """Return what came of a search, in this process or an earlier one."""
        candidates = [
            self._context.candidate(Genotype.from_dict(c["genotype"]), c["figures"], c["epoch"])
            for c in done["candidates"]
        ]
        schedule = tuple(map(Genotype.from_dict, done["schedule"]))
        candidates = [
            replace(c, schedule=schedule) if c.genotype in schedule[-1:] else c for c in candidates
        ]
        if done["supernet"] is None:
            return candidates, None
        supernet = self._supernet(self._searcher(done["steps"]))
        supernet.load_state_dict(done["supernet"])
        return candidates, supernet

    def _state(
        self,
        supernet: Supernet,
        searcher: Searcher,
        training: BatchSource,
        validation: BatchSource,
        emit: Emit,
        saved: Mapping[str, Any] | None,
    ) -> SearchState:
        context, settings = self._context, self._context.keys.search
        configuration = context.configuration
        if saved is None:
            computing = context.micro_batching.computing(
                context.heaviest(), settings.batch_size, stage="search", emit=emit
            )
        else:
            computing = context.micro_batching.as_before(saved["micro_batch"])
        return SearchState.start(
            supernet,
            searcher,
            training,
            validation,
            settings=settings,
            seed=context.keys.seed,
            admit=context.meter.admits,
            who=context.registry.entry("searcher", configuration.searcher).who,
            computing=computing,
        )

    def known_answer(self) -> Genotype | None:
        """Return the answer that no search is needed for, if there is one.

        It is the space's only genotype, or what the searcher was given.
        """
        space = self._context.space
        if space.size() == 1:
            return space.sample(seed=0)
        return self._searcher(_ANY_STEPS).answer

    def trains_weights(self, steps: int) -> bool:
        """Say whether anybody uses the shared weights that the search's steps would train."""
        return uses_shared_weights(self._context.keys, self._searcher(steps).needs)

    def _searcher(self, steps: int) -> Searcher:
        context = self._context
        name = context.configuration.searcher
        try:
            searcher: Searcher = context.registry.factory("searcher", name)(
                context.space,
                seed=context.keys.seed,
                steps=steps,
                admit=context.meter.admits,
                **context.configuration.parameters["searcher"],
            )
        except StagesError as error:
            raise ConfigurationError([f"searcher={name}: {error}"]) from error
        return searcher

    def _supernet(self, searcher: Searcher) -> Supernet:
        context = self._context
        fixed = {name: self._fixed(name, own) for name, own in searcher.networks.items()}
        seed = context.seed("supernet")
        supernet = Supernet(
            context.space, seed=seed, fixed=fixed, spacing=context.card.spacing, **context.shape
        )
        return supernet.to(context.device)

    def _fixed(self, name: str, parameters: Mapping[str, Any]) -> nn.Module:
        context = self._context
        with seeded_init(context.seed("supernet", "fixed", name)):
            network: nn.Module = context.registry.model(name, **context.shape, **parameters)
        return network

    def _halves(self, development: Development) -> tuple[LabelledVolumes, LabelledVolumes]:
        """Return the two halves of the training set, as small as the search sees them."""
        edge = self._context.keys.search.edge
        one, other = self._context.halves(development)
        return shrunk(one, edge), shrunk(other, edge)

    def _scorer(self, development: Development, emit: Emit, searcher: Searcher) -> Score | Scoring:
        if self._context.keys.search.scores == "shared":
            weights_half, other_half = self._halves(development)
            validation = shrunk(development.validation, self._context.keys.search.edge)
            return self._by_shared_weights(weights_half, other_half.join(validation))
        return TrialScoring(self._context, self._executor, development, emit, searcher)

    def _telling_of_chance(self, unseen: Sequence[LabelledVolumes], emit: Emit) -> Emit:
        """Have what shared weights score told with what a guess may score on as many volumes."""
        if self._context.keys.search.scores != "shared":
            return emit
        labels = np.concatenate([part.labels for part in unseen])
        chance = chance_auc(labels, len(self._context.card.classes))

        def told(event: str, /, **fields: Any) -> None:
            if "figures" in fields and math.isfinite(chance):
                fields["chance_auc"] = round(chance, 3)
            emit(event, **fields)

        return told

    def _by_shared_weights(self, weights_half: LabelledVolumes, unseen: LabelledVolumes) -> Score:
        def score(genotype: Genotype, network: nn.Module) -> dict[str, float]:
            with blocks_named(network, self._context.space, genotype):
                self._context.recalibrate(network, weights_half, self._memory.waiting)
                return self._context.figures(network, unseen, self._memory.waiting)

        return score
