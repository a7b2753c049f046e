"""A number that a device has yet to tell, heard without waiting for what the device does next."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor


class LateNumber:
    """A scalar on its way from a CUDA device.

    `float` of the scalar itself would be answered after all work that has been handed to the device
    since; this waits only for what came before.

    Args:
        scalar: The scalar, on a CUDA device; elsewhere there is nothing to wait for.
    """

    def __init__(self, scalar: Tensor) -> None:
        scalar = scalar.detach()
        if scalar.device.type != "cuda":
            self._told, self._arrived = scalar, None
            return
        self._told = torch.empty_like(scalar, device="cpu", pin_memory=True)
        self._told.copy_(scalar, non_blocking=True)
        self._arrived = torch.cuda.Event()  # type: ignore[no-untyped-call]
        self._arrived.record()

    def __float__(self) -> float:
        """Wait for it, and return it."""
        if self._arrived is not None:
            self._arrived.synchronize()
        return float(self._told)
