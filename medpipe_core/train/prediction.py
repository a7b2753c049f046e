"""What a trained network says of volumes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from medpipe_core.data.batches import Batch, ordered_batches

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from medpipe_core.data import LabelledVolumes
    from medpipe_core.train.task import ClassificationTask


def predict(
    network: nn.Module,
    data: LabelledVolumes,
    *,
    task: ClassificationTask,
    batch_size: int = 32,
) -> NDArray[np.float64]:
    """Return class probabilities, `(count, classes)`, of a network in evaluation mode.

    The network runs where its parameters are; its mode is as before afterwards.
    """
    device = next(network.parameters()).device
    training = network.training
    network.eval()
    with torch.inference_mode():
        rows = [
            task.probabilities(network(batch.volumes)).cpu().numpy()
            for batch in ordered_batches(data, batch_size=batch_size, device=device)
        ]
    network.train(training)
    return np.concatenate(rows) if rows else np.empty((0, len(task.classes)))


def recalibrate(network: nn.Module, batches: Iterable[Batch]) -> None:
    """Estimate batch-norm statistics anew from some batches; weights stay as they are.

    The statistics become the plain mean over the batches. In a supernet they are a mixture over
    every path that ran, which says little of any one of them.
    """
    layers = [m for m in network.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    momenta = [layer.momentum for layer in layers]
    training = network.training
    for layer in layers:
        layer.reset_running_stats()
        layer.momentum = None  # cumulative mean
    network.train()
    with torch.no_grad():
        for batch in batches:
            network(batch.volumes)
    for layer, momentum in zip(layers, momenta, strict=True):
        layer.momentum = momentum
    network.train(training)
