"""How steps on weights are computed: in which precision, and how many volumes at once."""

from __future__ import annotations

import contextlib
import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import torch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

PrecisionName = Literal["auto", "float32", "bfloat16", "float16"]

# Ampere, the first with matrix units for bfloat16.
_BFLOAT16_CAPABILITY = (8, 0)


def without_autocast(device: torch.device) -> contextlib.AbstractContextManager[object]:
    """Return a context in which nothing on a device is lowered, whoever has switched autocast on.

    Coordinates do not survive it: bfloat16 tells voxels apart up to the 256th.
    """
    kind = device.type
    if not torch.amp.is_autocast_available(kind) or not torch.is_autocast_enabled(kind):
        return contextlib.nullcontext()
    return torch.autocast(kind, enabled=False)


@dataclass(frozen=True)
class Computing:
    """How a step on weights is computed.

    Attributes:
        device: Where.
        dtype: float32, or the type in which convolutions and matrix products are taken
            (`torch.autocast`). Weights, their steps, losses and augmentations are float32 always.
        micro_batch: Volumes that go through a network at once; None for whole batches. Gradients
            are accumulated over a batch; batch normalisation sees a micro-batch.
    """

    device: torch.device
    dtype: torch.dtype = torch.float32
    micro_batch: int | None = None

    @classmethod
    def on(cls, device: torch.device, precision: PrecisionName = "auto") -> Computing:
        """Return what a name means on a device: `auto` is bfloat16 on GPUs made for it."""
        if precision != "auto":
            return cls(device, getattr(torch, precision))
        gains = device.type == "cuda" and (
            torch.cuda.get_device_capability(device) >= _BFLOAT16_CAPABILITY
        )
        return cls(device, torch.bfloat16 if gains else torch.float32)

    def with_micro_batch(self, volumes: int | None) -> Computing:
        """Return the same with another micro-batch."""
        return replace(self, micro_batch=volumes)

    def autocast(self) -> contextlib.AbstractContextManager[object]:
        """Return the context that a network's forward pass runs in."""
        if self.dtype == torch.float32:
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, self.dtype)

    def scaler(self) -> torch.amp.GradScaler:
        """Return what scales losses so that gradients do not vanish in float16; else it is idle."""
        return torch.amp.GradScaler(self.device.type, enabled=self.dtype == torch.float16)

    def parts(self, volumes: Tensor, labels: Tensor) -> Iterator[tuple[Tensor, Tensor, float]]:
        """Iterate over micro-batches of almost equal size: volumes, labels, share of the batch.

        None has fewer than two volumes, which batch normalisation could not train on.
        """
        count = len(volumes)
        number = 1 if self.micro_batch is None else math.ceil(count / self.micro_batch)
        number = max(min(number, count // 2), 1)
        for part, its_labels in zip(
            volumes.tensor_split(number), labels.tensor_split(number), strict=True
        ):
            yield part, its_labels, len(part) / count
