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
from medpipe_core.execution.candidates import compared, distinct, most_promising
from medpipe_core.execution.failures import (
    Failures,
    NothingScoredError,
    failure_notes,
    nothing_scored,
)
from medpipe_core.execution.results import RunResult
from medpipe_core.record.genotype_text import policy_text, tables
from medpipe_core.record.journal import plain_fields

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

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

    def search(self, development: Development, emit: Emit) -> Sequence[Candidate]:
        """Search; return the scored candidates, the best first."""

    def evaluate(
        self, development: Development, candidates: Sequence[Candidate], emit: Emit
    ) -> Sequence[Candidate]:
        """Train the candidates briefly; return them with new figures, the best first."""

    def retrain(self, development: Development, chosen: Candidate, emit: Emit) -> Trained:
        """Train the chosen one on the whole training set."""


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
        clock: Seconds that only grow.
    """

    def __init__(
        self,
        configuration: Configuration,
        dataset: Dataset,
        stages: Stages,
        final_test: FinalTest,
        folder: RunFolder,
        emit: Emit,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._configuration = configuration
        self._dataset = dataset
        self._stages = stages
        self._final_test = final_test
        self._folder = folder
        self._emit = emit
        self._clock = clock
        self._seconds: dict[str, float] = {}
        self._failures = Failures()

    def run(self) -> RunResult:
        """Go through all stages and write the run's files."""
        with self._stage("data"):
            development = self._dataset.development()
        self._emit("plan", stages={n: asdict(p) for n, p in self._stages.plan(development).items()})
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
        with self._stage("retrain") as emit:
            trained = self._stages.retrain(development, chosen, emit)
        if not chosen.validation:  # the answer was known, so nothing has measured it before
            candidates = [replace(chosen, validation=trained.validation)]
        self._write_chosen(chosen, trained)
        with self._stage("test"):
            digest = chosen.genotype.digest
            self._emit("test-opened", after=digest)
            tested = self._final_test(
                trained, self._dataset.sealed_test(), development, after=digest
            )
        self._folder.write_json(self._folder.DECISION, tested.decision)
        self._folder.write_text(self._folder.PREDICTIONS, tested.predictions)
        content = {
            **self._content(chosen, trained.validation, tested.content),
            **compared(candidates, searched, self._configuration.keys.search.objectives),
        }
        self._folder.write_json(self._folder.RESULT, content)
        return RunResult(self._folder.path, chosen.genotype, content)

    @contextlib.contextmanager
    def _stage(self, name: str) -> Iterator[Emit]:
        def emit(event: str, /, **fields: Any) -> None:
            self._emit(event, **{**fields, "stage": name})

        self._emit("stage-started", stage=name)
        started = self._clock()
        yield emit
        self._seconds[name] = round(self._clock() - started, 3)
        self._emit("stage-finished", stage=name, seconds=self._seconds[name])

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
        for note in failure_notes(searched):
            self._emit("search-warning", message=note)

    def _tell_chosen(self, chosen: Candidate) -> None:
        self._emit(
            "chosen",
            genotype=chosen.genotype.digest,
            validation=dict(chosen.validation),
            tables=[asdict(table) for table in tables(self._stages.space, chosen.genotype)],
        )

    def _write_chosen(self, chosen: Candidate, trained: Trained) -> None:
        space, genotype = self._stages.space, chosen.genotype
        self._folder.write_text(self._folder.GENOTYPE, genotype.to_json())
        self._folder.write_text(self._folder.POLICY, policy_text(space, genotype))
        metadata = {
            "genotype_digest": genotype.digest,
            "space": self._configuration.space,
            "space_digest": space.digest,
        }
        self._folder.write_weights(trained.network.state_dict(), metadata)

    def _content(
        self,
        chosen: Candidate,
        validation: Mapping[str, Any],
        tested: Mapping[str, Any],
    ) -> dict[str, Any]:
        configuration = self._configuration
        content: dict[str, Any] = plain_fields(
            {
                **tested,
                "validation": dict(validation),
                "genotype": chosen.genotype.to_dict(),
                "genotype_digest": chosen.genotype.digest,
                "space": configuration.space,
                "space_digest": self._stages.space.digest,
                "searcher": configuration.searcher,
                "dataset": configuration.dataset,
                "preset": configuration.preset,
                "seed": configuration.keys.seed,
                "parameters": chosen.parameters,
                "multiply_adds": chosen.multiply_adds,
                **self._regret(chosen.genotype),
                "searched": self._failures.content(),
                "seconds": self._seconds,
            }
        )
        return content

    def _most_promising(self, found: Sequence[Candidate]) -> list[Candidate]:
        keys = self._configuration.keys
        candidates = distinct(found, self._stages.space)
        return most_promising(candidates, keys.search.objectives, keys.evaluate.top_k)
