"""The device that a run asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from medpipe_core.config.errors import ConfigurationError
from medpipe_core.config.settings import DEVICE, DEVICES

if TYPE_CHECKING:
    from medpipe_core.computing import Computing

# Before this version cuDNN has no quick 3D convolution for what torch 2.9 asks of it in half types.
_QUICK_CUDNN = 91500


def device_of(asked: str) -> torch.device:
    """Return the device by its name; `auto` is a CUDA device where there is one.

    Raises:
        ConfigurationError: It is not there, or is none.
    """
    if not DEVICE.fullmatch(asked):
        raise ConfigurationError([f"device={asked}: {DEVICES}"])
    if asked == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    device = torch.device(asked)
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        found = torch.cuda.device_count()
        raise ConfigurationError(
            [f"device={asked}: torch {torch.__version__} finds {found} CUDA devices; try cpu"]
        )
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise ConfigurationError([f"device={asked}: not available on this machine; try cpu"])
    return device


def slow_convolutions(
    computing: Computing, *, torch_version: str, cudnn_version: int | None
) -> str:
    """Return a warning where 3D convolutions are known to be several times slower than need be.

    Args:
        computing: How steps are computed.
        torch_version: As `torch.__version__`.
        cudnn_version: As `torch.backends.cudnn.version()`: 91002 is 9.10.2; None without cuDNN.

    Returns:
        The warning, or nothing.
    """
    slow = (
        computing.device.type == "cuda"
        and computing.dtype != torch.float32
        and torch_version.startswith("2.9.")
        and cudnn_version is not None
        and cudnn_version < _QUICK_CUDNN
    )
    if not slow:
        return ""
    name = str(computing.dtype).removeprefix("torch.")
    major, rest = divmod(cudnn_version or 0, 10000)
    return (
        f"torch {torch_version} with cuDNN {major}.{rest // 100} takes several times as long for "
        f"3D convolutions in {name} as in float32, and more memory: install torch 2.10 or later, "
        "or cuDNN 9.15 or later (nvidia-cudnn-cu12>=9.15), or give precision=float32"
    )
