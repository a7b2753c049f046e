"""The device that a run asks for."""

from __future__ import annotations

import torch

from medpipe_core.config.errors import ConfigurationError


def device_of(asked: str) -> torch.device:
    """Return the device by its name; `auto` is a CUDA device where there is one.

    Raises:
        ConfigurationError: It is not there.
    """
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
