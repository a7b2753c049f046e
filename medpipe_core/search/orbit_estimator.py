"""Learning a probability from predictions averaged over an operation: no horizon is needed."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor

from medpipe_core.search.score_function import LookAheadEstimator

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from medpipe_core.search.estimator import Sample
    from medpipe_core.search.outcome import Outcome
    from medpipe_core.search.probe import PathLoss, Probe
    from medpipe_core.space import SearchSpace

# Temperatures that the loss is looked at with: logarithms of first and last, and how many. The best
# one counts.
_TEMPERATURES = (-1.0, 1.5, 26)
_P = "p"
_TURNS, _KNOWING_NOTHING = "operations in turn", "loss of knowing nothing"
# A running mean of about twenty times that an operation had its turn.
_SHARE = 0.05


class OrbitEstimator(LookAheadEstimator):
    """The look-ahead, and predictions averaged over operations.

    An operation that leaves the label alone makes predictions better when they are averaged over
    it, as soon as the network has begun to overfit; one that destroys the label makes them worse.
    For a probability p of such an operation t the loss is that of the predictor

        (1 − s) softmax(f(x) / T) + s softmax(f(t(x)) / T),  s = min(p, ½),

    on a clean validation batch, at the temperature T that is best for it: without one it would be
    the confidence of an overfitted network that is measured. The predictor is Augerino's (Benton
    et al. 2020, section 3). It is known for all probabilities that are offered from two passes
    without gradients, so the gradient is that of the expected loss over them, without the noise
    of which one was drawn. It is added to that of the look-ahead. Noise, or an inversion, is judged
    as a flip is: what a network cannot read when it is done to a volume is not preferred.

    A network that was trained on labels turned round by t knows t(x) better than x. To average is
    better than x alone then, though t destroys the label; so the look that has been known better,
    in a running mean, takes the place of x.

    In a step one operation has its turn, and counts for as many as there are.

    Args:
        space: The space that is searched.
        changes: Which operations: those that declare some of these changes and no others, words
            of `MEANINGS`; None for all that declare any.
        tolerance: What acting on the most volumes may cost and still be preferred, as a share of
            what the network knows: of log classes minus the loss of one look. Less of it by as much
            as an operation acts on fewer. What destroys the label costs nearly all.
        weight: What a nat counts, in standard deviations of the look-ahead's reward.
    """

    def __init__(
        self,
        space: SearchSpace,
        *,
        changes: Iterable[str] | None = None,
        tolerance: float = 0.5,
        weight: float = 10.0,
    ) -> None:
        super().__init__(space)
        self._changes = None if changes is None else frozenset(changes)
        self._tolerance = tolerance
        self._weight = weight
        # Choice → by how much the moved look has been known worse.
        self._worse: dict[str, float] = {}

    def surrogate(self, sample: Sample, outcome: Outcome) -> Tensor | None:
        """Add the expected loss over each probability to what the look-ahead has."""
        terms = [
            self._weight * outcome.measured[_TURNS] * (log_p.exp() * torch.tensor(losses)).sum()
            for path, log_p in sample.log_p_of_keys.items()
            if (losses := self._learned(path, outcome.measured)) is not None
        ]
        ahead = super().surrogate(sample, outcome)
        if ahead is not None:
            terms.append(ahead)
        return torch.stack(terms).sum() if terms else None

    def state_dict(self) -> dict[str, Any]:
        """Return the baselines, and which look has been known better."""
        return {**super().state_dict(), "worse": dict(self._worse)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from there."""
        super().load_state_dict(state)
        self._worse = dict(state["worse"])

    def also(self, probe: Probe, found: PathLoss) -> dict[str, Tensor]:
        """Return the losses of each probability of the operation whose turn it is, by `_name`."""
        turns = self._operations(probe.changes)
        if not turns:
            return {}
        path = turns[probe.number % len(turns)]
        volumes, labels = probe.validation.volumes, probe.validation.labels
        plain = found.logits
        moved = probe.logits(probe.augment(volumes, only=path, p=1.0))
        shares = self._probabilities(f"{path}/{_P}")
        losses: dict[str, Tensor] = {}
        for first, one, other in (("plain", plain, moved), ("moved", moved, plain)):
            mixed = [0.0, *(min(p, 0.5) for p in shares.values())]
            names = [_name(f"{path}/{_P}", first, key) for key in ("alone", *shares)]
            losses |= dict(zip(names, mixed_losses(one, other, labels, mixed), strict=True))
        more = {_TURNS: len(turns), _KNOWING_NOTHING: math.log(plain.size(1))}
        return losses | {name: plain.new_tensor(number) for name, number in more.items()}

    def _operations(self, changes: Mapping[str, frozenset[str] | None]) -> list[str]:
        """Return where the operations stand that are averaged over."""
        return [
            path
            for path, declared in changes.items()
            if declared
            and (self._changes is None or declared <= self._changes)
            and self._probabilities(f"{path}/{_P}")
        ]

    def _learned(self, path: str, measured: Mapping[str, float]) -> list[float] | None:
        """Return the loss of each key, less what is tolerated; None where none was measured."""
        plain, moved = (measured.get(_name(path, look, "alone")) for look in ("plain", "moved"))
        if plain is None or moved is None:
            return None
        before = self._worse.get(path, 0.0)
        self._worse[path] = before + _SHARE * (moved - plain - before)
        first, alone = ("plain", plain) if self._worse[path] >= 0 else ("moved", moved)
        tolerated = self._tolerance * max(measured[_KNOWING_NOTHING] - alone, 0.0)
        shares = self._probabilities(path)
        most = max(shares.values()) or 1.0
        return [
            measured[_name(path, first, key)] - tolerated * p / most for key, p in shares.items()
        ]

    def _probabilities(self, path: str) -> dict[str, float]:
        """Return key → probability; nothing where the space has no such choice of numbers."""
        choice = self.space.choices.get(path)
        values = () if choice is None or choice.values is None else choice.values
        numbers = [float(value) for value in values if isinstance(value, int | float)]
        if choice is None or not numbers or len(numbers) < len(values):
            return {}
        return dict(zip(choice.keys, numbers, strict=True))


def mixed_losses(plain: Tensor, moved: Tensor, labels: Tensor, shares: Sequence[float]) -> Tensor:
    """Return the log loss of predictions mixed in some shares, each at its best temperature.

    Args:
        plain: Logits `(batch, classes)`.
        moved: Logits of the same volumes, moved.
        labels: `(batch,)`.
        shares: How much of `moved` is mixed in, each in [0, 1].

    Returns:
        `(shares,)`.
    """
    first, last, count = _TEMPERATURES
    temperatures = torch.logspace(first, last, count, device=plain.device).view(-1, 1, 1)
    looks = torch.stack((plain, moved)).unsqueeze(1)
    told = F.log_softmax(looks / temperatures, -1)  # (look, temperature, volume, class)
    of_label = told.gather(-1, labels.view(-1, 1).expand(*told.shape[:-1], 1)).squeeze(-1)
    weights = torch.tensor([[1 - share for share in shares], shares])
    weights = weights.to(plain.device, non_blocking=True).log().view(2, -1, 1, 1)
    mixed = torch.logsumexp(of_label.unsqueeze(1) + weights, 0)  # (share, temperature, volume)
    return -mixed.mean(-1).amax(-1)


def _name(path: str, first: str, key: str) -> str:
    return f"orbit of {path}={key}, {first} first"
