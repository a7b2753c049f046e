"""What kernels for volumes that lie channels last have in common; imports no Triton."""

from __future__ import annotations

import math

import torch

TYPES = (torch.float32, torch.bfloat16, torch.float16)
"""What kernels read and write; they sum in float32."""
MOST = 2**31 - 2**24
"""Values of a tensor whose places are counted in 32 bits, with room for padding."""


def factors(channels: int) -> tuple[int, int]:
    """Return two factors of the channels, the second the largest power of two up to 8.

    So many values of two bytes are read at once.
    """
    unit = math.gcd(channels, 8)
    return channels // unit, unit


def ceil_div(whole: int, part: int) -> int:
    """Return how many parts the whole takes."""
    return -(-whole // part)
