"""Time on any device: what a GPU was given to do is waited for before the clock is read."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    import argparse


def add_device(parser: argparse.ArgumentParser) -> None:
    """Let a benchmark be told its device."""
    parser.add_argument(
        "--device", type=torch.device, default=torch.device("cpu"), help="cpu, cuda or cuda:1"
    )


def now(device: torch.device) -> float:
    """Return seconds of a clock, after all that the device was given is done."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def named(device: torch.device) -> str:
    """Return what the device is called."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else str(device)
