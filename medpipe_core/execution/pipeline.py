"""The order of a run: search, evaluation, retraining, and the one test at the very end.

The pipeline alone holds the dataset. Stages are handed its development part; the sealed test set
is opened after the chosen network is on the disk.
"""

from __future__ import annotations

import contextlib
import time
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any, Protocol

from medpipe_core.data.dataset import KnownAnswer
from medpipe_core.events import silent
from medpipe_core.execution.candidates import compared, distinct, most_promising
from medpipe_core.execution.failures import (
    Failures,
    NothingScoredError,
    failure_notes,
    nothing_scored,
)
from medpipe_core.execution.results import RunResult
from medpipe_core.execution.run_memory import RunMemory
from medpipe_core.record.genotype_text import policy_text, tables
from medpipe_core.record.journal import plain_fields
from medpipe_core.search.schedules import schedule_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from torch import Tensor

    from medpipe_core.config.configuration import Configuration
    from medpipe_core.data import Dataset, Development, SealedTest
    from medpipe_core.events import Emit
    from medpipe_core.execution.results import Candidate, Planned, Tested, Trained
    from medpipe_core.record.run_folder import RunFolder
    from medpipe_core.space import Genotype, SearchSpace


class Stages(Protocol):
    """The work of a run; each method sees development data and nothing else."""

    @property
    def space(self) -> SearchSpace:
        """The space that is searched."""

    def plan(self, development: Development) -> Mapping[str, Planned]:
        """Return what each stage is going to do."""

    def budget(self, development: Development) -> Mapping[str, Any] | None:
        """Return what a budget of hours, trials or steps comes to, or None where there is none."""

    def search(self, development: Development, emit: Emit) -> Sequence[Candidate]:
        """Search; return the scored candidates, the best first."""

    def evaluate(
        self, development: Development, candidates: Sequence[Candidate], emit: Emit
    ) -> Sequence[Candidate]:
        """Train the candidates briefly; return them with new figures, the best first."""

    def retrain(self, development: Development, chosen: Candidate, emit: Emit) -> Trained:
        """Train the chosen one on the whole training set."""

    def weights_so_far(self) -> Mapping[str, Tensor] | None:
        """Return the weights of a retraining that is under way in this process."""


class FinalTest(Protocol):
    """Opens the sealed test set and tests the chosen network; no stage, and called last."""

    def __call__(
        self, trained: Trained, sealed: SealedTest, development: Development, *, after: str
    ) -> Tested:
        """Return the figures of the test, the rule of decision, and all predictions."""


class Pipeline:
    """One run.

    Args:
        configuration: Its configuration.
        dataset: The dataset, sealed test set included; it is not handed on.
        stages: Who does the work on the development data.
        final_test: Who does the one test.
        folder: Where its files go.
        emit: Who is told of its events.
        memory: What an earlier process has done of it; by default nothing.
        clock: Seconds that only grow.
        reading: Seconds that reading the development data has taken already, before there was a
            folder; they count as the stage `data`.
    """

    def __init__(
        self,
        configuration: Configuration,
        dataset: Dataset,
        stages: Stages,
        final_test: FinalTest,
        folder: RunFolder,
        emit: Emit,
        memory: RunMemory | None = None,
        clock: Callable[[], float] = time.monotonic,
        reading: float = 0.0,
    ) -> None:
        self._configuration = configuration
        self._dataset = dataset
        self._stages = stages
        self._final_test = final_test
        self._folder = folder
        self._emit = emit
        self._clock = clock
        self._memory = memory or RunMemory()
        self._seconds: dict[str, float] = {"data": reading} if reading else {}
        self._running: tuple[str, float] | None = None
        self._told: set[str] = set()
        self._failures = Failures()

    def run(self) -> RunResult:
        """Go through all stages and write the run's files; what is done already is not done again.

        Each event of the pipeline itself is told once, however often the run is gone on with.
        """
        with self._memory.under_way("run", self._state_dict) as saved:
            if saved is not None:
                self._load_state_dict(saved)
            return self._through()

    def _through(self) -> RunResult:
        with self._stage("data", steps=False):
            development = self._dataset.development()
        budget = self._stages.budget(development)
        if budget is not None:
            self._tell("budget", **budget)
        plans = self._stages.plan(development)
        self._tell("plan", stages={name: asdict(plan) for name, plan in plans.items()})
        with self._stage("search") as emit:
            telling = self._failures.counting(self._with_regret(emit))
            found = self._stages.search(development, telling)
        self._tell_failures(anything=bool(found))
        with self._stage("evaluate") as emit:
            top = self._most_promising(found)
            candidates = self._stages.evaluate(development, top, emit)
        searched = {candidate.genotype.digest: candidate.validation for candidate in top}
        chosen = candidates[0]
        self._tell_chosen(chosen)
        self._write_chosen(chosen)
        with self._stage("retrain") as emit, self._weights_so_far(chosen):
            trained = self._stages.retrain(development, chosen, emit)
        if not chosen.validation:  # it was the only one, so nothing has measured it before
            candidates = [replace(chosen, validation=trained.validation)]
        self._write_weights(chosen, trained.network.state_dict(), "trained")
        with self._stage("test", steps=False):
            digest = chosen.genotype.digest
            self._tell("test-opened", after=digest)
            tested = self._final_test(
                trained, self._dataset.sealed_test(), development, after=digest
            )
        self._folder.write_json(self._folder.DECISION, tested.decision)
        self._folder.write_text(self._folder.PREDICTIONS, tested.predictions)
        self._folder.write_text(self._folder.SPLIT, tested.split)
        self._folder.write_json(self._folder.DATA_CARD, tested.data_card)
        content = {
            **self._content(chosen, trained, tested.content),
            **compared(candidates, searched, self._configuration.keys.search.objectives),
        }
        self._folder.write_json(self._folder.RESULT, content)
        return RunResult(self._folder.path, chosen.genotype, content)

    @contextlib.contextmanager
    def _stage(self, name: str, *, steps: bool = True) -> Iterator[Emit]:
        """Time a stage and tell of it; one that is done tells nothing, whatever is asked of it."""
        if f"stage-finished/{name}" in self._told:
            yield silent
            return

        def emit(event: str, /, **fields: Any) -> None:
            self._emit(event, **{**fields, "stage": name})

        self._tell("stage-started", name, stage=name)
        self._running = name, self._clock() - self._seconds.get(name, 0.0)
        with self._memory.stepping() if steps else contextlib.nullcontext():
            yield emit
        self._seconds = self._seconds_so_far()
        self._running = None
        self._tell("stage-finished", name, stage=name, seconds=self._seconds[name])
        self._memory.save()
        self._memory.between_steps()

    def _tell(self, event: str, which: str = "", /, **fields: Any) -> None:
        """Tell of an event of the pipeline itself, unless that has been told."""
        key = f"{event}/{which}"
        if key not in self._told:
            self._emit(event, **fields)
            self._told.add(key)

    def _seconds_so_far(self) -> dict[str, float]:
        if self._running is None:
            return dict(self._seconds)
        name, started = self._running
        return {**self._seconds, name: round(self._clock() - started, 3)}

    def _state_dict(self) -> dict[str, Any]:
        return {
            "told": sorted(self._told),
            "seconds": self._seconds_so_far(),
            "failures": self._failures.content(),
        }

    def _load_state_dict(self, saved: Mapping[str, Any]) -> None:
        self._told = set(saved["told"])
        self._seconds = dict(saved["seconds"])
        self._failures.load(saved["failures"])

    def _with_regret(self, emit: Emit) -> Emit:
        """Add to what the search says of its best what it cannot know: how far off that is."""

        def emit_more(event: str, /, **fields: Any) -> None:
            if event == "search-best" and "choices" in fields:
                genotype = self._stages.space.genotype(fields["choices"])
                fields |= self._regret(genotype)
            emit(event, **fields)

        return emit_more

    def _regret(self, genotype: Genotype) -> dict[str, float]:
        """Return the genotype's regret under its name; nothing where the dataset has none."""
        if not isinstance(self._dataset, KnownAnswer):
            return {}
        regret = self._dataset.regret(genotype)
        return {} if regret is None else {"regret": float(regret)}

    def _tell_failures(self, *, anything: bool) -> None:
        """Tell what failed in the search now: what comes next may fail for the same reason."""
        searched = self._failures.content()
        if not anything:
            raise NothingScoredError(nothing_scored(searched))
        for number, note in enumerate(failure_notes(searched)):
            self._tell("search-warning", str(number), message=note)

    def _tell_chosen(self, chosen: Candidate) -> None:
        found = tables(self._stages.space, chosen.genotype, chosen.schedule)
        self._tell(
            "chosen",
            "",
            genotype=chosen.genotype.digest,
            validation=dict(chosen.validation),
            tables=[asdict(table) for table in found],
        )

    def _write_chosen(self, chosen: Candidate) -> None:
        folder, space, genotype = self._folder, self._stages.space, chosen.genotype
        folder.write_text(folder.GENOTYPE, genotype.to_json())
        folder.write_text(folder.POLICY, policy_text(space, genotype, chosen.schedule))
        if chosen.schedule:
            folder.write_text(folder.SCHEDULE, schedule_json(chosen.schedule))

    @contextlib.contextmanager
    def _weights_so_far(self, chosen: Candidate) -> Iterator[None]:
        """Write the weights whenever the run is saved: somebody may be content with them."""

        def write() -> None:
            weights = self._stages.weights_so_far()
            if weights is not None:
                self._write_weights(chosen, weights, "in training")

        self._memory.beside = write
        try:
            yield
        finally:
            self._memory.beside = None

    def _write_weights(self, chosen: Candidate, weights: Mapping[str, Tensor], state: str) -> None:
        metadata = {
            "genotype_digest": chosen.genotype.digest,
            "space": self._configuration.space,
            "space_digest": self._stages.space.digest,
            "state": state,
        }
        self._folder.write_weights(weights, metadata)

    def _content(
        self,
        chosen: Candidate,
        trained: Trained,
        tested: Mapping[str, Any],
    ) -> dict[str, Any]:
        configuration = self._configuration
        content: dict[str, Any] = plain_fields(
            {
                **tested,
                "validation": dict(trained.validation),
                "genotype": chosen.genotype.to_dict(),
                "genotype_digest": chosen.genotype.digest,
                "known_as": self._stages.space.known_as(chosen.genotype),
                "schedule": [genotype.to_dict() for genotype in chosen.schedule],
                "space": configuration.space,
                "space_digest": self._stages.space.digest,
                "searcher": configuration.searcher,
                "dataset": configuration.dataset,
                "preset": configuration.preset,
                "seed": configuration.keys.seed,
                "members": configuration.keys.retrain.members,
                "parameters": chosen.parameters,
                "multiply_adds": chosen.multiply_adds,
                **self._regret(chosen.genotype),
                "searched": self._failures.content(),
                "retraining": {"notes": trained.notes},
                "seconds": self._seconds,
            }
        )
        return content

    def _most_promising(self, found: Sequence[Candidate]) -> list[Candidate]:
        keys = self._configuration.keys
        candidates = distinct(found, self._stages.space)
        return most_promising(candidates, keys.search.objectives, keys.evaluate.top_k)
