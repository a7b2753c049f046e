"""Learning a probability from predictions averaged over an operation: no horizon is needed."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor

from medpipe_core.search.score_function import LookAheadEstimator

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from medpipe_core.search.estimator import Sample
    from medpipe_core.search.outcome import Outcome
    from medpipe_core.search.probe import Probe
    from medpipe_core.space import SearchSpace

# Temperatures that the loss is looked at with; the best one counts.
_TEMPERATURES = torch.logspace(-1, 1.5, 26)
_P = "p"


class OrbitEstimator(LookAheadEstimator):
    """The look-ahead, but probabilities of operations that keep all there is learn by averaging.

    An operation that leaves the label alone makes predictions better when they are averaged over
    it, as soon as the network has begun to overfit; one that destroys the label makes them worse.
    For a probability p of such an operation t the loss is that of the predictor

        (1 − p) softmax(f(x) / T) + p softmax(f(t(x)) / T)

    on a clean validation batch, at the temperature T that is best for it: without one it would be
    the confidence of an overfitted network that is measured. The predictor is Augerino's (Benton
    et al. 2020, section 3). It is known for all probabilities that are offered from two passes
    without gradients, so the gradient is that of the expected loss over them, without the noise
    of which one was drawn. All other choices learn as by the look-ahead.

    Args:
        space: The space that is searched.
        changes: Which operations: those that declare some of these changes and no others, words
            of `MEANINGS`; by default those that move a volume and leave all of it there.
        margin: What acting on the most volumes is worth beforehand, in nats of that loss; less
            of it by as much as an operation acts on fewer.
    """

    def __init__(
        self,
        space: SearchSpace,
        *,
        changes: Iterable[str] = ("side", "orientation", "position"),
        margin: float = 0.05,
    ) -> None:
        super().__init__(space)
        self._changes = frozenset(changes)
        self._margin = margin

    def ask(self, probe: Probe) -> Outcome:
        """Ask what averaging over each operation is worth, then what the look-ahead asks."""
        found = self._losses(probe)
        outcome = super().ask(probe)
        numbers = probe.numbers(*found.values()) if found else []
        return replace(outcome, measured=dict(zip(found, numbers, strict=True)))

    def surrogate(self, sample: Sample, outcome: Outcome) -> Tensor | None:
        """Add the expected loss of each probability to what the look-ahead has of the others."""
        expected = {
            path: (log_p.exp() * torch.tensor(losses)).sum()
            for path, log_p in sample.log_p_of_keys.items()
            if (losses := self._of_keys(path, outcome.measured)) is not None
        }
        others = {path: log_p for path, log_p in sample.log_p.items() if path not in expected}
        rest = super().surrogate(replace(sample, log_p=others), outcome)
        terms = [*expected.values(), *(() if rest is None else (rest,))]
        return torch.stack(terms).sum() if terms else None

    def _losses(self, probe: Probe) -> dict[str, Tensor]:
        """Return the loss of each probability of each operation, by `_name`."""
        volumes, labels = probe.validation.volumes, probe.validation.labels
        plain: Tensor | None = None
        found: dict[str, Tensor] = {}
        for path, changes in probe.changes.items():
            choice = self.space.choices.get(f"{path}/{_P}")
            if choice is None or not changes or not changes <= self._changes:
                continue
            plain = probe.logits(volumes) if plain is None else plain
            moved = probe.logits(probe.augment(volumes, only=path, p=1.0))
            # A network that saw mostly moved volumes may know those alone: the plain look, which
            # is the one that is used, never counts for less than half.
            shares = [min(value, 0.5) for value in choice.values]
            losses = mixed_losses(plain, moved, labels, shares)
            most = max(choice.values)
            losses = losses - self._margin * torch.tensor(
                [value / (most or 1) for value in choice.values], device=losses.device
            )
            found |= {_name(choice.path, k): v for k, v in zip(choice.keys, losses, strict=True)}
        return found

    def _of_keys(self, path: str, measured: Mapping[str, float]) -> list[float] | None:
        names = [_name(path, key) for key in self.space.choices[path].keys]
        return [measured[name] for name in names] if names[0] in measured else None


def mixed_losses(plain: Tensor, moved: Tensor, labels: Tensor, shares: Iterable[Any]) -> Tensor:
    """Return the log loss of predictions mixed in some shares, each at its best temperature.

    Args:
        plain: Logits `(batch, classes)`.
        moved: Logits of the same volumes, moved.
        labels: `(batch,)`.
        shares: How much of `moved` is mixed in, each in [0, 1].

    Returns:
        `(shares,)`.
    """
    temperatures = _TEMPERATURES.to(plain.device).view(-1, 1, 1)
    of_label = [
        F.log_softmax(logits / temperatures, -1)[:, torch.arange(len(labels)), labels]
        for logits in (plain, moved)
    ]
    losses = []
    for share in shares:
        weights = torch.tensor([1 - share, share], device=plain.device).log().view(2, 1, 1)
        mixed = torch.logsumexp(torch.stack(of_label) + weights, 0)
        losses.append(-mixed.mean(-1).amax())  # the least loss over all temperatures
    return torch.stack(losses)


def _name(path: str, key: str) -> str:
    return f"orbit of {path}={key}"
