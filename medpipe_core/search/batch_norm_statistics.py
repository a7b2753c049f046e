"""The running statistics of batch normalisation while paths are sampled."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from torch.nn.modules.batchnorm import _BatchNorm

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from torch import nn


@contextmanager
def statistics_kept(modules: Iterable[nn.Module]) -> Iterator[None]:
    """Let batch normalisation use the batch's statistics and leave the running ones alone.

    A sampled path's running statistics are a mixture over all paths, so evaluation mode says
    little of it; and a validation batch must not leak into what training estimated.
    """
    layers = list(tracking(modules))
    for layer in layers:
        layer.track_running_stats = False
    try:
        yield
    finally:
        for layer in layers:
            layer.track_running_stats = True


def renew_statistics(module: nn.Module) -> None:
    """Start running statistics anew where one that is not finite has got into them.

    A failed batch leaves NaN in every layer that it went through, and a running mean never
    forgets a NaN; paths that share those layers would fail with it.
    """
    for layer in tracking([module]):
        if not (_finite(layer.running_mean) and _finite(layer.running_var)):
            layer.reset_running_stats()


def tracking(modules: Iterable[nn.Module]) -> Iterator[_BatchNorm]:
    """Iterate over the layers of batch normalisation that keep running statistics."""
    for module in modules:
        for layer in module.modules():
            if isinstance(layer, _BatchNorm) and layer.track_running_stats:
                yield layer


def _finite(values: object) -> bool:
    return values is None or bool(values.isfinite().all())  # type: ignore[attr-defined]
