"""What launching a kernel on volumes that lie channels last needs; imports no Triton."""

from __future__ import annotations

import math
from contextlib import nullcontext
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from torch import Tensor

TYPES = (torch.float32, torch.bfloat16, torch.float16)
"""What kernels read and write; they sum in float32."""
MOST = 2**31 - 2**24
"""Values of a tensor whose places are counted in 32 bits, with room for padding."""


def on_device_of(values: Tensor) -> AbstractContextManager[None]:
    """Make the tensor's GPU the one on which kernels are launched."""
    if not values.is_cuda or values.device.index == torch.cuda.current_device():
        return nullcontext()
    device: AbstractContextManager[None] = torch.cuda.device_of(values)  # type: ignore[no-untyped-call]
    return device


def factors(channels: int) -> tuple[int, int]:
    """Return two factors of the channels, the second the largest power of two up to 16."""
    unit = math.gcd(channels, 16)
    return channels // unit, unit


def ceil_div(whole: int, part: int) -> int:
    """Return how many parts the whole takes."""
    return -(-whole // part)
