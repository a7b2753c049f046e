"""The paper's searcher: single path by Gumbel-softmax with straight-through (section III-B)."""

from __future__ import annotations

import copy
import itertools
import math
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

import torch

from medpipe_core.search.estimator import Estimator, EstimatorError, Sample
from medpipe_core.search.local_search import local_search
from medpipe_core.search.needs import GATE_GRADIENTS
from medpipe_core.search.optimiser_state import optimiser_state, restore_optimiser_state
from medpipe_core.search.registered_estimator import make_estimator
from medpipe_core.search.searcher import Searcher
from medpipe_core.space import active_weights
from medpipe_core.supernet import Decision

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from torch import Tensor

    from medpipe_core.search.outcome import Outcome
    from medpipe_core.search.probe import Probe
    from medpipe_core.space import Genotype

_DRAWS = 64
_PROPOSAL_TRIES = 50


class GumbelSearcher(Searcher):
    """Learns one categorical distribution for each choice by gradient.

    Every choice of values, such as a probability or a magnitude, has logits of its own, so an
    operation's distribution is the product of its choices'. A step samples by equations 2 to 4
    (`gumbel_noise`, `straight_through`); the estimator says which gradient θ follows.

    Choices that a step did not visit get no gradient, no decay and no momentum.

    Args:
        space: The space to search.
        lr: Step size of Adam on θ.
        betas: Decay rates of Adam's two moments.
        temperature: τ at the first step.
        temperature_end: τ at the last step; None keeps it constant, as the paper does.
        schedule: How τ goes from one to the other.
        estimator: What θ learns from, as `make_estimator`; `"gate"` is the paper's.
        estimator_parameters: The estimator's own parameters.
        prior_active: Size of a prior towards policies whose augmentations act: by how much the
            logits of keys at which an augmentation acts most begin above those at which it does
            not, as `active_weights`.
        kwargs: `seed`, `steps` and `admit`, as for every searcher.
    """

    def __init__(
        self,
        space: Any,
        *,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        temperature: float = 1.0,
        temperature_end: float | None = None,
        schedule: Literal["linear", "exponential"] = "exponential",
        estimator: str | Callable[..., Estimator] = "look-ahead",
        estimator_parameters: Mapping[str, Any] = MappingProxyType({}),
        prior_active: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(space, **kwargs)
        self._temperature = (temperature, temperature_end or temperature, schedule)
        made = make_estimator(estimator, space, estimator_parameters)
        if not isinstance(made, Estimator):
            raise EstimatorError(
                f"{estimator!r} made a {type(made).__name__}, not a medpipe_core.search.Estimator; "
                "derive it from that"
            )
        self._estimator = made
        self.needs = self._estimator.needs
        self._generator = torch.Generator().manual_seed(self.seed)
        weights = active_weights(space, prior_active)
        self._theta = {
            path: _first_logits(weights.get(path), len(choice.keys)).requires_grad_()
            for path, choice in space.choices.items()
        }
        ends = itertools.accumulate(map(len, self._theta.values()), initial=0)
        # Where each choice's keys are among those of all choices.
        parts = itertools.starmap(slice, itertools.pairwise(ends))
        self._places = dict(zip(self._theta, parts, strict=True))
        # Adam skips tensors without a gradient whole, moments included.
        self._adam = torch.optim.Adam(list(self._theta.values()), lr=lr, betas=betas, fused=True)
        self._sample: Sample | None = None

    def temperature(self, step: int) -> float:
        """Return τ at a step."""
        start, end, schedule = self._temperature
        done = self._progress(step)
        if schedule == "linear":
            return start + (end - start) * done
        return float(start * (end / start) ** done)

    def decide(self, step: int) -> Decision:
        """Sample a path that is admitted; its gates are leaves that stand for equation 4's."""
        genotype, noise = self._draw()
        of_keys = {
            path: torch.log_softmax(self._theta[path], 0)
            for path in genotype.choices
            if self._learns(path)
        }
        log_p = {path: every[self._index(path, genotype[path])] for path, every in of_keys.items()}
        gates = self._gates(genotype, noise, self.temperature(step))
        self._sample = Sample(genotype, gates, log_p, of_keys)
        leaves = {path: gate.detach().requires_grad_() for path, gate in gates.items()}
        return Decision(genotype, leaves)

    def ask(self, probe: Probe) -> Outcome:
        """Let the estimator ask."""
        return self._estimator.ask(probe)

    def observe(self, outcome: Outcome) -> None:
        """Step θ along the estimator's gradient; scores are not used."""
        sample, self._sample = self._sample, None
        if sample is None or outcome.score is not None or sample.genotype != outcome.genotype:
            return
        surrogate = self._estimator.surrogate(sample, outcome)
        if surrogate is None:
            return
        if surrogate.ndim or not surrogate.isfinite():
            raise EstimatorError(
                f"{type(self._estimator).__qualname__} ({type(self._estimator).__module__}): "
                f"surrogate(...) gave {surrogate.detach()}, not a finite scalar"
            )
        self._adam.zero_grad(set_to_none=True)
        surrogate.backward()  # type: ignore[no-untyped-call]
        self._adam.step()

    def propose(self, count: int) -> list[Genotype]:
        """Return the most probable genotype, then samples; no two of them do the same."""
        best = self.best()
        found = {self.space.canonical(best): best}
        there_are = min(count, self.space.size())
        for _ in range(count * _PROPOSAL_TRIES):
            if len(found) >= there_are:
                break
            genotype = self._draw()[0]
            found.setdefault(self.space.canonical(genotype), genotype)
        return list(found.values())[:count]

    def best(self) -> Genotype:
        """Return the genotype of the most probable keys, as far as they are admitted.

        It follows from θ alone: asking draws nothing.

        Raises:
            BudgetError: Nothing was found that is admitted.
        """
        log_p = {path: self._log_p(path) for path in self._theta}
        return self._likeliest(log_p, torch.Generator().manual_seed(self.seed))

    def probabilities(self) -> dict[str, dict[str, float]]:
        """Return softmax(θ) for each choice, path → key → probability."""
        return {
            path: dict(zip(choice.keys, self._log_p(path).exp().tolist(), strict=True))
            for path, choice in self.space.choices.items()
        }

    def insight(self) -> dict[str, Any]:
        """Return the mean entropy of the choices, as a share of the largest possible."""
        shares = [
            -(log_p.exp() * log_p).sum().item() / math.log(len(log_p))
            for log_p in map(self._log_p, self._theta)
            if len(log_p) > 1
        ]
        return {"entropy": sum(shares) / max(len(shares), 1)}

    def state_dict(self) -> dict[str, Any]:
        """Return θ and Adam's moments by path, and the generator's state; all are copies."""
        return {
            "theta": {path: theta.detach().clone() for path, theta in self._theta.items()},
            "moments": copy.deepcopy(optimiser_state(self._adam, list(self._theta))),
            "estimator": self._estimator.state_dict(),
            "generator": self._generator.get_state(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a saved state."""
        with torch.no_grad():
            for path, theta in self._theta.items():
                theta.copy_(state["theta"][path])
        restore_optimiser_state(self._adam, list(self._theta), state["moments"])
        self._estimator.load_state_dict(state["estimator"])
        self._generator.set_state(state["generator"])
        self._sample = None

    def _gates(
        self, genotype: Genotype, noise: Mapping[str, Tensor], temperature: float
    ) -> dict[str, Tensor]:
        if GATE_GRADIENTS not in self.needs:
            return {}
        return {
            path: straight_through(
                self._theta[path], noise[path], temperature, self._index(path, key)
            )
            for path, key in genotype.choices.items()
            if self._learns(path)
        }

    def _draw(self) -> tuple[Genotype, dict[str, Tensor]]:
        """Draw a path that is admitted, and the noise that made it.

        Where the logits have come to favour what is forbidden, drawing again and again finds
        nothing; then the likeliest path under the noise of the last draw is looked for.
        """
        log_p = torch.cat([self._log_p(path) for path in self._theta])
        noise = torch.empty(0)

        def draw() -> Genotype:
            # In one go: a space has dozens of choices, and a call takes longer than its numbers.
            nonlocal noise
            noise = gumbel_noise(len(log_p), self._generator)
            scores = (log_p + noise).numpy()
            return self.space.decide(lambda c: c.keys[scores[self._places[c.path]].argmax()])

        genotype = self.admitted_within(_DRAWS, draw)
        if genotype is None:
            genotype = self._likeliest(self._by_path(log_p + noise), self._generator)
        return genotype, self._by_path(noise)

    def _by_path(self, numbers: Tensor) -> dict[str, Tensor]:
        """Return the numbers of each choice's keys; there is one for each key of all choices."""
        return {path: numbers[place] for path, place in self._places.items()}

    def _likeliest(self, scores: Mapping[str, Tensor], generator: torch.Generator) -> Genotype:
        """Return the genotype of the highest scores, as far as it is admitted.

        What constraints forbid is avoided exactly; what the budget forbids, by local search.
        """
        favourite = self.space.decide(lambda c: c.keys[int(scores[c.path].argmax())])
        if self.admits(favourite):
            return favourite
        regrets = {
            path: dict(zip(choice.keys, (scores[path].max() - scores[path]).tolist(), strict=True))
            for path, choice in self.space.choices.items()
        }
        if self.space.constraints:
            favourite = self.space.cheapest(regrets)
            if self.admits(favourite):
                return favourite
        start = self.admitted(lambda: self._anything(generator))
        return local_search(self.space, start, regrets, self.admits)

    def _anything(self, generator: torch.Generator) -> Genotype:
        """Draw a member, whatever the logits say."""
        if self.space.constraints:
            seed = int(torch.randint(2**62, (), generator=generator))
            return self.space.sample(seed=seed)
        return self.space.decide(lambda c: _uniform(c.keys, generator))

    def _progress(self, step: int) -> float:
        """Return how far the temperature's schedule is, in [0, 1]."""
        return min(step / max(self.steps - 1, 1), 1.0)

    def _learns(self, path: str) -> bool:
        """Say whether this step teaches a choice; a subclass may learn some choices at a time."""
        return True

    def _index(self, path: str, key: str) -> int:
        return self.space.choices[path].keys.index(key)

    def _log_p(self, path: str) -> Tensor:
        """Return log P of a choice's keys, `(keys,)`: all that drawing and `best` go by."""
        return torch.log_softmax(self._theta[path].detach(), 0)


def gumbel_noise(count: int, generator: torch.Generator) -> Tensor:
    """Draw G = −log(−log u), u uniform in (0, 1): float32, `(count,)`.

    log P + G is largest at key j with probability P_j, whatever the temperature.
    """
    uniform = torch.rand(count, generator=generator, dtype=torch.float64)
    return -torch.log(-torch.log(uniform.clamp(1e-300, 1 - 1e-16))).float()


def straight_through(theta: Tensor, noise: Tensor, temperature: float, chosen: int) -> Tensor:
    """Return the gate of the chosen key: a scalar of value exactly 1 that leads to θ.

    With P = softmax(θ) (equation 2), Z = softmax((log P + G) / τ) (equation 3); the gate is
    one-hot(Z) − StopGrad(Z) + Z (equation 4) at the chosen key. That is where Z is largest, unless
    a budget asked for another key.

    Args:
        theta: Logits of the choice, `(keys,)`.
        noise: Gumbel noise G, `(keys,)`.
        temperature: τ, above 0.
        chosen: Index of the chosen key.
    """
    soft = torch.softmax((torch.log_softmax(theta, 0) + noise) / temperature, 0)[chosen]
    # In this order the value is exactly 1, whatever the rounding: s − s is exactly 0.
    return 1.0 + (soft - soft.detach())


def _uniform(keys: tuple[str, ...], generator: torch.Generator) -> str:
    return keys[int(torch.randint(len(keys), (), generator=generator))]


def _first_logits(weights: Sequence[int] | None, count: int) -> Tensor:
    """Return the logits of a prior's weights; those of keys without weight on them are 0."""
    if weights is None:
        return torch.zeros(count)
    logits = torch.tensor(weights, dtype=torch.float64).log()
    return (logits - logits.min()).float()
