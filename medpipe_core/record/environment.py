"""What a run ran on: versions, machine, device and threads, as plain data."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from medpipe_core.plugins import Registry

_PACKAGES = (
    "medpipe",
    "torch",
    "numpy",
    "scipy",
    "kornia",
    "numba",
    "pydantic",
    "safetensors",
)


def environment(*, device: str, threads: int) -> dict[str, Any]:
    """Describe this process for `environment.json`.

    Args:
        device: The device that the run uses, and its model where known.
        threads: Threads that torch uses on the CPU.
    """
    return {
        "versions": {name: _version(name) for name in _PACKAGES},
        "python": sys.version.split()[0],
        "platform": platform.platform(),
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "device": device,
        "threads": threads,
    }


def plugin_table(registry: Registry) -> list[dict[str, Any]]:
    """List every plugin found, for `plugins.json`."""
    return [
        {
            "name": record.name,
            "distribution": record.distribution,
            "version": record.version,
            "entry_point": record.entry_point,
            "status": record.status,
            "registered": list(record.registered),
            "error": record.error,
        }
        for record in registry.plugins
    ]


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
