"""Who carries out a fusion: compiled loops on the CPU, a kernel on a GPU, or torch's operators."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from medpipe_plugins.augment3d.compiled import can_compile

if TYPE_CHECKING:
    from torch import Tensor

Route = Literal["compiled", "launched", "torch"]


def route(volumes: Tensor) -> Route:
    """Say who computes on these volumes; nothing is asked of their device."""
    if can_compile(volumes):
        return "compiled"
    if volumes.is_cuda:
        from medpipe_plugins.augment3d.on_gpu import can_launch

        if can_launch(volumes):
            return "launched"
    return "torch"
