"""What a trained network says of volumes."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn.modules.batchnorm import _BatchNorm

from medpipe_core.data.batches import ordered_batches
from medpipe_core.seeding import TorchStream

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from numpy.typing import NDArray
    from torch import Tensor, nn

    from medpipe_core.data import Batch, LabelledVolumes
    from medpipe_core.train.task import Task


def predict(
    network: nn.Module,
    data: LabelledVolumes,
    *,
    task: Task,
    batch_size: int = 32,
    views: Sequence[Callable[[Tensor], Tensor]] = (),
    between: Callable[[], None] = lambda: None,
) -> NDArray[np.float64]:
    """Return class probabilities, `(count, classes)`, of a network in evaluation mode.

    The network runs where its parameters are; its modes are as before afterwards. One that draws in
    evaluation mode too draws the same each time.

    Args:
        network: The network.
        data: What to predict.
        task: Turns logits into probabilities.
        batch_size: Volumes in a batch.
        views: Each makes another view of a batch, such as its mirror image; the probabilities of
            the batch as it is and of all its views are averaged.
        between: Called before every batch, when modes and generators are as they were.
    """
    device = next(network.parameters()).device
    stream = TorchStream(0, device)
    looks = (_as_it_is, *views)
    rows = []
    for batch in ordered_batches(data, batch_size=batch_size, device=device):
        between()
        with modes_kept(network), torch.inference_mode(), stream.running():
            network.eval()
            # On the CPU, because not every device has float64.
            seen = [task.probabilities(network(look(batch.volumes)).cpu()) for look in looks]
            rows.append(torch.stack(seen).mean(0).numpy())
    return np.concatenate(rows) if rows else np.empty((0, len(task.classes)))


def recalibrate(
    network: nn.Module, batches: Iterable[Batch], between: Callable[[], None] = lambda: None
) -> None:
    """Estimate batch-norm statistics anew from some batches; weights stay as they are.

    The statistics become the plain mean over the batches; without a batch they stay as they are.
    In a supernet they are a mixture over every path that ran, which says little of any one of
    them. Everything but batch normalisation, such as dropout, is in evaluation mode.

    Args:
        network: The network.
        batches: What its statistics are to be of.
        between: Called before every batch, when modes and generators are as they were.
    """
    layers = [m for m in network.modules() if isinstance(m, _BatchNorm) and m.track_running_stats]
    if not layers:
        return
    momenta = [layer.momentum for layer in layers]
    device = next(layers[0].buffers()).device
    stream = TorchStream(0, device)
    try:
        for number, batch in enumerate(batches):
            between()
            with modes_kept(network), torch.no_grad(), stream.running():
                network.eval()
                if number == 0:
                    _begin_statistics(layers)
                for layer in layers:
                    layer.train()
                network(batch.volumes)
    finally:
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum = momentum


@contextmanager
def modes_kept(network: nn.Module) -> Iterator[None]:
    """Put every module back into training or evaluation mode, each as it was, at the end."""
    modes = [(module, module.training) for module in network.modules()]
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


def _begin_statistics(layers: Iterable[_BatchNorm]) -> None:
    for layer in layers:
        layer.reset_running_stats()
        layer.momentum = None  # cumulative mean


def _as_it_is(volumes: Tensor) -> Tensor:
    return volumes
