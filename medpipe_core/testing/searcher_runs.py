"""Running a searcher as the loop does, on made-up outcomes."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any

import torch

from medpipe_core.search import Outcome, Searcher
from medpipe_core.seeding import child_seed
from medpipe_core.supernet import Decision
from medpipe_core.testing.checking import ContractError, given, in_words, require
from medpipe_core.testing.toys import ToySpace, large_space, outcome_of, score_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from medpipe_core.space import Genotype

EPOCH = 4
PROPOSED = 3


def none_fails(_what: str, _step: int, _genotype: Genotype) -> bool:
    """Fail neither a step nor a candidate."""
    return False


def some_fail(what: str, step: int, genotype: Genotype) -> bool:
    """Fail the first steps, as those of a warm-up, every third after them, and some candidates."""
    if what == "step":
        return step < 2 or step % 3 == 0
    return child_seed(step, genotype.digest) % 2 == 0


_LONG = 1.0  # seconds of the processor, after which no further step is measured
ADMITTED = (
    "Draw through self.admitted(draw), or ask self.admits(genotype) before handing a genotype out"
)


class SearcherRuns:
    """What `SearcherContract` runs searchers with; also for tests of your own."""

    searcher: Any = None
    parameters: Mapping[str, Any] = {}
    steps: int = 20

    @property
    def name(self) -> str:
        """Name of the searcher, for messages."""
        found = given(self, "searcher")
        return getattr(found, "__name__", type(found).__name__)

    def make(self, toy: ToySpace, *, seed: int = 0, steps: int | None = None) -> Searcher:
        """Make the searcher for a space."""
        __tracebackhide__ = True
        with in_words(
            f"{self.name} cannot be made for space {toy.space.name!r}. It is called as "
            "searcher(space, seed=..., steps=..., admit=..., **parameters)."
        ):
            made = given(self, "searcher")(
                toy.space,
                seed=seed,
                steps=self.steps if steps is None else steps,
                admit=toy.admit,
                **self.parameters,
            )
        require(
            isinstance(made, Searcher),
            f"{self.name} makes a {type(made).__name__}; derive it from medpipe_core.Searcher",
        )
        return made  # type: ignore[no-any-return]

    def decide(self, searcher: Searcher, step: int) -> Decision:
        """Ask for a decision."""
        __tracebackhide__ = True
        with in_words(f"{self.name}.decide({step}) fails on space {searcher.space.name!r}."):
            decision = searcher.decide(step)
        require(
            isinstance(decision, Decision),
            f"{self.name}.decide gives a {type(decision).__name__}; return Decision(genotype)",
        )
        return decision

    def best(self, searcher: Searcher) -> Genotype:
        """Ask for the best."""
        __tracebackhide__ = True
        with in_words(f"{self.name}.best() fails on space {searcher.space.name!r}."):
            return searcher.best()

    def step(self, searcher: Searcher, step: int) -> str:
        """Decide and observe; return what was decided."""
        decision = self.decide(searcher, step)
        searcher.observe(outcome_of(decision, step, searcher.needs))
        return decision.genotype.digest

    def drive(
        self,
        searcher: Searcher,
        steps: Iterable[int],
        *,
        failures: Callable[[str, int, Genotype], bool] = none_fails,
    ) -> list[str]:
        """Run some steps of a search as the loop does; return all that the searcher said.

        Args:
            searcher: The searcher.
            steps: The steps.
            failures: Says which steps and candidates fail, and so are never observed.
        """
        said = []
        for step in steps:
            decision = self.decide(searcher, step)
            said.append(f"step {step} decides {decision.genotype.digest}")
            if not failures("step", step, decision.genotype):
                searcher.observe(outcome_of(decision, step, searcher.needs))
            if (step + 1) % EPOCH == 0:
                proposed = searcher.propose(PROPOSED)
                said.append(f"step {step} proposes {[genotype.digest for genotype in proposed]}")
                for genotype in proposed:
                    if not failures("candidate", step, genotype):
                        searcher.observe(Outcome(genotype, step, score=score_of(genotype)))
                said.append(f"step {step} calls best {self.best(searcher).digest}")
                said.append(f"step {step} schedules {[g.digest for g in searcher.schedule()]}")
        return said

    def seconds(self, choices: int) -> float:
        """Return the least processor time that a step takes on a space of so many choices.

        Time in which other programs had the processor does not count.
        """
        searcher = self.make(ToySpace(large_space(choices)))
        times = []
        for step in range(5):
            began = time.process_time()
            self.step(searcher, step)
            times.append(time.process_time() - began)
            if sum(times) > _LONG:
                break
        return min(times)

    def member(self, toy: ToySpace, genotype: Genotype, what: str) -> None:
        """Fail unless a genotype is a member that keeps the budget."""
        __tracebackhide__ = True
        with in_words(f"{self.name}.{what} gives no member of space {toy.space.name!r}."):
            toy.space.validate(genotype)
        require(
            toy.admits(genotype),
            f"{self.name}.{what} gives {dict(genotype.choices)} of space {toy.space.name!r}, which "
            f"is above its budget. {ADMITTED}",
        )


def as_saved(value: Any, where: str) -> Any:
    """Return a state as it is after it was written and read: plain values, tensors copied.

    Raises:
        ContractError: It holds something else; the text says where.
    """
    __tracebackhide__ = True
    if isinstance(value, torch.Tensor):
        return value.detach().clone()
    if isinstance(value, dict):
        for key in value:
            require(isinstance(key, str), f"{where} has the key {key!r}; keys must be texts")
        return {key: as_saved(part, f"{where}[{key!r}]") for key, part in value.items()}
    if isinstance(value, list):
        return [as_saved(part, f"{where}[{index}]") for index, part in enumerate(value)]
    if type(value) is float:
        require(math.isfinite(value), f"{where} is {value}, which JSON cannot hold")
    if value is None or type(value) in (bool, int, float, str):
        return value
    raise ContractError(
        f"{where} is a {type(value).__name__}; a state is written as JSON and safetensors, so it "
        "holds dictionaries, lists, None, bool, int, float, str and tensors. A tuple or a set "
        "becomes a list, a Genotype its to_dict()"
    )
