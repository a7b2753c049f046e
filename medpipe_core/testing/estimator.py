"""What every estimator promises, on steps of a small search that comes with the kit."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from torch import Tensor

from medpipe_core.search import NEEDS, Estimator, Outcome
from medpipe_core.testing.checking import alike, given, in_words, require, same
from medpipe_core.testing.estimator_steps import TakenStep, small_search, small_space, take
from medpipe_core.testing.searcher_runs import as_saved
from medpipe_core.testing.watching import global_seeds, global_state_kept

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from medpipe_core.search import Probe, SearchState


class EstimatorContract:
    """What every estimator promises; inherit it, and say which estimator is meant.

    Attributes:
        estimator: The class or function, called as `estimator(space, **parameters)`, or an import
            string.
        parameters: Keyword arguments of its own.
        steps: Steps of a search; by the last of them it has to have learned something.

    Example:
        >>> class TestLookAhead(EstimatorContract):
        ...     estimator = "medpipe_core.search:LookAheadEstimator"
        >>> TestLookAhead().test_asking_changes_nothing_but_the_weights()
    """

    estimator: Any = None
    parameters: Mapping[str, Any] = {}
    steps: int = 10

    def test_it_is_made_for_a_space(self) -> None:
        """It is an `Estimator`, and what it needs has names that are known."""
        made = self.make()
        require(
            isinstance(made.needs, frozenset) and made.needs <= NEEDS,
            f"{self.name}.needs is {made.needs!r}; it is a frozenset of names out of "
            f"{', '.join(sorted(NEEDS))}; leave it out where `ask` finds out all there is",
        )

    def test_what_it_asks_is_an_outcome_in_plain_finite_numbers(self) -> None:
        """`ask` returns the step's outcome, with floats that are finite."""
        for taken in self.run():
            outcome = taken.outcome
            numbers = {
                "validation_loss": outcome.validation_loss,
                "agreement": outcome.agreement,
                "improvement": outcome.improvement,
                **outcome.gate_gradients,
                **outcome.measured,
            }
            for name, number in numbers.items():
                require(
                    number is None or isinstance(number, float),
                    f"{self.name}.ask tells {name} as a {type(number).__name__}; turn tensors into "
                    "numbers with probe.numbers(...), all of them at once",
                )

    def test_asking_changes_nothing_but_the_weights(self) -> None:
        """Weights after a step are those of a step that nobody asks about."""
        for step in range(self.steps):
            states = []
            for asks in (True, False):
                state, estimator = small_search(), self.make()
                take(state, estimator, step, self._ask(estimator) if asks else None)
                states.append(state.supernet.state_dict())
            for name, value in states[0].items():
                require(
                    same(value, states[1][name]),
                    f"{self.name}.ask leaves {name} otherwise than the step alone would have; "
                    "change no weight, gradient or buffer",
                )

    def test_asking_learns_nothing(self) -> None:
        """`ask` keeps nothing in the state, since the step may still fail."""
        state, estimator = small_search(), self.make()
        for step in range(self.steps):
            before = as_saved(estimator.state_dict(), f"{self.name}.state_dict()")
            taken = take(state, estimator, step, self._ask(estimator))
            require(
                alike(before, estimator.state_dict()),
                f"{self.name}.ask changes the estimator's state; learn in `surrogate`, which is "
                "called for steps that did not fail alone",
            )
            self._surrogate(estimator, taken)

    def test_its_surrogates_lead_to_the_logits(self) -> None:
        """A surrogate is None or a finite scalar whose gradient in the logits is finite."""
        reached = False
        for taken in self.run():
            if taken.surrogate is None:
                continue
            require(
                isinstance(taken.surrogate, Tensor) and taken.surrogate.ndim == 0,
                f"{self.name}.surrogate returns {taken.surrogate!r}; return None or a scalar "
                "tensor",
            )
            require(
                taken.surrogate.requires_grad,
                f"{self.name}.surrogate returns {taken.surrogate}, which no logit leads to; build "
                "it from sample.log_p, sample.log_p_of_keys or sample.gates",
            )
            taken.surrogate.backward()  # type: ignore[no-untyped-call]
            gradients = [theta.grad for theta in taken.theta.values() if theta.grad is not None]
            require(
                all(bool(gradient.isfinite().all()) for gradient in gradients),
                f"{self.name}.surrogate has a gradient that is not finite",
            )
            reached = reached or any(bool(gradient.any()) for gradient in gradients)
        require(
            reached,
            f"{self.name} moves no logit in {self.steps} steps. If it needs more of them to begin, "
            "raise `steps` in the test",
        )

    def test_what_does_not_differ_is_no_error(self) -> None:
        """Where all figures of a step are the same, or 0, a surrogate is None or finite."""
        for number in (0.0, 1.0):
            state, estimator = small_search(), self.make()
            for step in range(self.steps):
                taken = take(state, estimator, step, self._ask(estimator))
                taken.outcome = _all(number, taken.outcome)
                found = self._surrogate(estimator, taken)
                require(
                    found is None or bool(found.isfinite()),
                    f"{self.name}.surrogate is {found} where every figure of a step is {number}, "
                    "as those of two networks that do the same may be. Look for a division by a "
                    "difference or a deviation, and put a smallest value under it",
                )

    def test_outcomes_are_not_changed(self) -> None:
        """The outcome that a surrogate is made of is as it was."""
        state, estimator = small_search(), self.make()
        for step in range(self.steps):
            taken = take(state, estimator, step, self._ask(estimator))
            gates, measured = dict(taken.outcome.gate_gradients), dict(taken.outcome.measured)
            before = replace(taken.outcome, gate_gradients=gates, measured=measured)
            self._surrogate(estimator, taken)
            require(
                taken.outcome == before,
                f"{self.name}.surrogate changes the outcome it is given; work on a copy",
            )

    def test_its_state_is_plain(self) -> None:
        """`state_dict` holds what JSON and safetensors can hold, at every time."""
        estimator = self.make()
        as_saved(estimator.state_dict(), f"{self.name}.state_dict()")
        self.run(estimator)
        as_saved(estimator.state_dict(), f"{self.name}.state_dict()")

    def test_a_restored_estimator_goes_on_as_if_nothing_had_happened(self) -> None:
        """A fresh estimator with a saved state gives bit for bit the surrogates of the old one."""
        for cut in (0, 1, self.steps // 2):
            state, old = small_search(), self.make()
            self.run(old, state, range(cut))
            saved = as_saved(old.state_dict(), f"{self.name}.state_dict()")
            weights = copy.deepcopy(state.state_dict())
            told = []
            for estimator in (old, self.make()):
                if estimator is not old:
                    state.load_state_dict(copy.deepcopy(weights))
                    with in_words(f"{self.name} cannot load its state."):
                        estimator.load_state_dict(saved)
                told.append(_values(self.run(estimator, state, range(cut, self.steps))))
            require(
                told[0] == told[1],
                f"{self.name}, restored after {cut} steps, goes on differently: {told[1]}, where "
                f"the other says {told[0]}. Put all that `surrogate` learns into state_dict",
            )

    def test_global_random_state_is_neither_used_nor_changed(self) -> None:
        """Global seeds do not matter, and the global generators stay where they were."""
        remedy = "Draw from probe.generator"
        found = []
        for seed in (1, 2):
            with global_seeds(seed), global_state_kept(self.name, remedy):
                found.append(_values(self.run()))
        require(found[0] == found[1], f"{self.name} follows the global random seed. {remedy}")

    # For tests of your own

    @property
    def name(self) -> str:
        """Name of the estimator, for messages."""
        found = given(self, "estimator")
        return getattr(found, "__name__", type(found).__name__)

    def make(self) -> Estimator:
        """Make the estimator for the small space."""
        __tracebackhide__ = True
        with in_words(f"{self.name} cannot be made as {self.name}(space, **parameters)."):
            made = given(self, "estimator")(small_space(), **self.parameters)
        require(
            isinstance(made, Estimator),
            f"{self.name} makes a {type(made).__name__}; derive it from "
            "medpipe_core.search.Estimator",
        )
        return made  # type: ignore[no-any-return]

    def run(
        self,
        estimator: Estimator | None = None,
        state: SearchState | None = None,
        steps: range | None = None,
    ) -> list[TakenStep]:
        """Take steps of a small search; return what was asked and what came of it."""
        __tracebackhide__ = True
        estimator = self.make() if estimator is None else estimator
        state = small_search() if state is None else state
        taken = []
        for step in range(self.steps) if steps is None else steps:
            one = take(state, estimator, step, self._ask(estimator))
            one.surrogate = self._surrogate(estimator, one)
            taken.append(one)
        return taken

    def _ask(self, estimator: Estimator) -> Callable[[Probe], Outcome]:
        def ask(probe: Probe) -> Outcome:
            with in_words(f"{self.name}.ask(probe) fails."):
                outcome = estimator.ask(probe)
            require(
                isinstance(outcome, Outcome) and outcome.genotype == probe.outcome.genotype,
                f"{self.name}.ask returns {outcome!r}; return dataclasses.replace(probe.outcome, "
                "...)",
            )
            return outcome

        return ask

    def _surrogate(self, estimator: Estimator, taken: TakenStep) -> Tensor | None:
        with in_words(f"{self.name}.surrogate(sample, outcome) fails."):
            return estimator.surrogate(taken.sample, taken.outcome)


def _values(taken: list[TakenStep]) -> list[float | None]:
    return [None if one.surrogate is None else float(one.surrogate.detach()) for one in taken]


def _all(number: float, outcome: Outcome) -> Outcome:
    """Return an outcome with one number in place of each that it tells."""
    told: dict[str, Any] = {
        name: number
        for name in ("train_loss", "validation_loss", "agreement", "improvement")
        if getattr(outcome, name) is not None
    }
    for name in ("gate_gradients", "measured"):
        told[name] = dict.fromkeys(getattr(outcome, name), number)
    return replace(outcome, **told)
