"""What an estimator is: it asks about a step, and says along which gradient the logits go.

A gradient searcher samples paths and steps its logits θ; which gradient it follows is the
estimator's business.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from medpipe_core.errors import MedpipeError
from medpipe_core.search.needs import PROBE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from medpipe_core.search.outcome import Outcome
    from medpipe_core.search.probe import Probe
    from medpipe_core.space import Genotype, SearchSpace


class EstimatorError(MedpipeError):
    """An estimator that is none, or that gives no gradient to follow."""


@dataclass(frozen=True)
class Sample:
    """A sampled path, as part of the graph that leads to θ.

    Attributes:
        genotype: The path.
        gates: Choice path → gate of equation 4, a scalar of value exactly 1; for the active choices
            that the step teaches, and for estimators that need `"gate_gradients"`.
        log_p: Choice path → log P of the key that was taken, a scalar; for the active choices that
            the step teaches.
        log_p_of_keys: The same for all keys of each choice, `(keys,)`, in the order of the keys.
    """

    genotype: Genotype
    gates: Mapping[str, Tensor]
    log_p: Mapping[str, Tensor]
    log_p_of_keys: Mapping[str, Tensor] = field(default_factory=dict)


class Estimator(ABC):
    """Estimates the gradient of what a search is after with respect to its logits θ.

    In each step `ask` comes first. It questions the step's probe and decides what is asked before
    the weights' step and what after it. The numbers it found are the step's outcome. Unless the
    step failed, `surrogate` then turns an outcome into a gradient.

    What is registered under the kind `estimator` is called as `factory(space, **settings)`.

    Args:
        space: The space that is searched.
    """

    needs: ClassVar[frozenset[str]] = frozenset({PROBE})
    """What `surrogate` reads of an outcome, by the names of `NEEDS`; the searcher says the same.

    With `"gate_gradients"` samples and decisions have gates. `"probe"` stands for what `ask` alone
    finds out.
    """

    def __init__(self, space: SearchSpace) -> None:
        self.space = space

    @abstractmethod
    def ask(self, probe: Probe) -> Outcome:
        """Ask about a step; return `probe.outcome` with what was found.

        It learns nothing yet: a step may still fail.
        """

    @abstractmethod
    def surrogate(self, sample: Sample, outcome: Outcome) -> Tensor | None:
        """Return a scalar whose gradient with respect to θ is the estimate; θ descends it.

        None leaves θ as it is: no gradient, no decay, no momentum.
        """

    def state_dict(self) -> dict[str, Any]:
        """Return what it has learned, as plain values."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:  # noqa: B027 - most have none
        """Go on from there."""
