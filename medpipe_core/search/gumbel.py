"""The paper's searcher: single path by Gumbel-softmax with straight-through (section III-B)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import torch

from medpipe_core.search.protocol import GATE_GRADIENTS, Searcher
from medpipe_core.supernet import Decision

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from medpipe_core.search.protocol import Outcome
    from medpipe_core.space import Choice, Genotype

_PROPOSAL_TRIES = 50


class GumbelSearcher(Searcher):
    """Learns one categorical distribution for each choice by gradient.

    With θ the logits of a choice, P = softmax(θ) (equation 2) and Gumbel noise G,
    Z = softmax((log P + G) / τ) (equation 3). The largest entry names the key, and the gate is
    one-hot(Z) − StopGrad(Z) + Z (equation 4), whose value at the sampled key is exactly 1.
    Every choice of values, such as a probability or a magnitude, has logits of its own, so an
    operation's distribution is the product of its choices'.

    Choices that a step did not visit get no gradient, no decay and no momentum.

    Args:
        space: The space to search.
        lr: Step size of Adam on θ.
        betas: Decay rates of Adam's two moments.
        temperature: τ at the first step.
        temperature_end: τ at the last step; None keeps it constant, as the paper does.
        schedule: How τ goes from one to the other.
        kwargs: `seed`, `steps` and `admit`, as for every searcher.
    """

    needs: ClassVar[frozenset[str]] = frozenset({GATE_GRADIENTS})

    def __init__(
        self,
        space: Any,
        *,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        temperature: float = 1.0,
        temperature_end: float | None = None,
        schedule: Literal["linear", "exponential"] = "exponential",
        **kwargs: Any,
    ) -> None:
        super().__init__(space, **kwargs)
        self._temperature = (temperature, temperature_end or temperature, schedule)
        self._generator = torch.Generator().manual_seed(self._seed)
        self._theta = {
            path: torch.zeros(len(choice.keys), requires_grad=True)
            for path, choice in space.choices.items()
        }
        # Adam skips tensors without a gradient whole, moments included.
        self._adam = torch.optim.Adam(list(self._theta.values()), lr=lr, betas=betas)
        self._gates: dict[str, Tensor] = {}

    def temperature(self, step: int) -> float:
        """Return τ at a step."""
        start, end, schedule = self._temperature
        done = min(step / max(self.steps - 1, 1), 1.0)
        if schedule == "linear":
            return start + (end - start) * done
        return float(start * (end / start) ** done)

    def decide(self, step: int) -> Decision:
        """Sample a path that keeps the budget; its gates carry the gradient to θ."""
        temperature = self.temperature(step)
        gates: dict[str, Tensor] = {}

        def draw() -> Genotype:
            gates.clear()
            return self.space.decide(lambda choice: self._sample(choice, temperature, gates))

        genotype = self.admitted(draw)
        self._gates = dict(gates)
        leaves = {path: gate.detach().requires_grad_() for path, gate in gates.items()}
        return Decision(genotype, leaves)

    def observe(self, outcome: Outcome) -> None:
        """Step θ along the gradient that reached the gates; scores are not used."""
        reached = [
            gradient * self._gates[path]
            for path, gradient in outcome.gate_gradients.items()
            if path in self._gates and math.isfinite(gradient)
        ]
        if not reached:
            return
        self._adam.zero_grad(set_to_none=True)
        torch.stack(reached).sum().backward()  # type: ignore[no-untyped-call]
        self._adam.step()
        self._gates = {}

    def propose(self, count: int) -> list[Genotype]:
        """Return the most probable genotype, then distinct samples."""
        found = {self.best(): None}
        for _ in range(count * _PROPOSAL_TRIES):
            if len(found) >= count:
                break
            found.setdefault(self.admitted(self._sample_genotype))
        return list(found)[:count]

    def best(self) -> Genotype:
        """Return the genotype of the most probable keys.

        Where it exceeds the budget, keys are given up for the next most probable of their choice,
        the smallest loss of log-probability first, until the budget is kept; then each key that
        need not have been given up is taken back.
        """
        return self._within_budget()

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
        """Return θ, Adam's moments and the generator's state."""
        return {
            "theta": {path: theta.detach().clone() for path, theta in self._theta.items()},
            "adam": self._adam.state_dict(),
            "generator": self._generator.get_state(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a saved state."""
        with torch.no_grad():
            for path, theta in self._theta.items():
                theta.copy_(state["theta"][path])
        self._adam.load_state_dict(state["adam"])
        self._generator.set_state(state["generator"])

    def _sample(self, choice: Choice, temperature: float, gates: dict[str, Tensor]) -> str:
        theta = self._theta[choice.path]
        uniform = torch.rand(len(theta), generator=self._generator, dtype=torch.float64)
        noise = -torch.log(-torch.log(uniform.clamp(1e-300, 1 - 1e-16))).float()
        soft = torch.softmax((torch.log_softmax(theta, 0) + noise) / temperature, 0)
        chosen = int(soft.argmax())
        # In this order the value is exactly 1: (1 - s) + s need not be.
        gates[choice.path] = 1.0 + (soft[chosen] - soft[chosen].detach())
        return choice.keys[chosen]

    def _sample_genotype(self) -> Genotype:
        def pick(choice: Choice) -> str:
            probabilities = self._log_p(choice.path).exp()
            return choice.keys[int(torch.multinomial(probabilities, 1, generator=self._generator))]

        return self.space.decide(pick)

    def _within_budget(self) -> Genotype:
        order = {path: self._log_p(path).argsort(descending=True).tolist() for path in self._theta}
        place = dict.fromkeys(order, 0)

        def genotype() -> Genotype:
            return self.space.decide(lambda c: c.keys[order[c.path][place[c.path]]])

        given_up: list[str] = []
        while not self.admits(now := genotype()):
            open_paths = [path for path in now if place[path] + 1 < len(order[path])]
            if not open_paths:
                return self.admitted(self._sample_genotype)
            cheapest = min(open_paths, key=lambda path: self._regret(path, order, place[path] + 1))
            place[cheapest] += 1
            given_up.append(cheapest)
        # Most of what was given up on the way made no difference to the budget: take it back.
        for path in sorted(set(given_up), key=lambda p: -self._regret(p, order, place[p])):
            kept, place[path] = place[path], 0
            if not self.admits(genotype()):
                place[path] = kept
        return genotype()

    def _regret(self, path: str, order: dict[str, list[int]], place: int) -> float:
        """Return the log-probability lost by taking a lower place instead of the first."""
        log_p = self._log_p(path)
        return float(log_p[order[path][0]] - log_p[order[path][place]])

    def _log_p(self, path: str) -> Tensor:
        return torch.log_softmax(self._theta[path].detach(), 0)
