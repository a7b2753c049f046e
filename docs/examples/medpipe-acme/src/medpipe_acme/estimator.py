"""An estimator: it looks ahead at how well classes are told apart, however rare they are."""

from dataclasses import replace

import torch

from medpipe_core.search import ScoreFunctionEstimator


class Balanced(ScoreFunctionEstimator):
    """Look-ahead by the Brier score, averaged over the classes of a validation batch.

    The loss of a batch is mostly that of its largest class, and one mislabelled volume can outweigh
    all others. Here each class counts the same, and a volume costs 2 at most.

    Args:
        temperature: The logits are divided by it; above 1 the network is taken to be less sure.
    """

    def __init__(self, space, *, temperature=1.0):
        super().__init__(space)
        self.temperature = temperature

    def ask(self, probe):
        before = self._score(probe)
        probe.step()
        after = self._score(probe)
        return replace(
            probe.outcome,
            validation_loss=before,
            validated=probe.choices(),  # those of the network: the volumes are not augmented
            measured={"worth": before - after},
        )

    def worth(self, outcome):
        return outcome.measured.get("worth")

    def _score(self, probe):
        batch = probe.validation
        p = torch.softmax(probe.logits(batch.volumes) / self.temperature, 1)
        truth = torch.nn.functional.one_hot(batch.labels, p.shape[1]).to(p)
        of_volumes = (p - truth).square().sum(1)
        counts = truth.sum(0)
        of_classes = truth.T @ of_volumes / counts.clamp_min(1)
        (score,) = probe.numbers(of_classes.sum() / (counts > 0).sum())
        return score
