"""One run from its configuration to its report: keys, folder, stages, progress, commands.

Nothing here waits for torch before a configuration has been checked. Names are imported on first
use, so that `medpipe` answers at once.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from medpipe_core.runner.api import execute, registry_for, run
    from medpipe_core.runner.config import Configuration, resolve
    from medpipe_core.runner.errors import ConfigurationError, RunFolderError, StorageError
    from medpipe_core.runner.folder import RunFolder, open_folder
    from medpipe_core.runner.pipeline import RunResult
    from medpipe_core.runner.report import write_report

__all__ = [
    "Configuration",
    "ConfigurationError",
    "RunFolder",
    "RunFolderError",
    "RunResult",
    "StorageError",
    "execute",
    "open_folder",
    "registry_for",
    "resolve",
    "run",
    "write_report",
]

_MODULES = {
    "api": ("execute", "registry_for", "run"),
    "config": ("Configuration", "resolve"),
    "errors": ("ConfigurationError", "RunFolderError", "StorageError"),
    "folder": ("RunFolder", "open_folder"),
    "pipeline": ("RunResult",),
    "report": ("write_report",),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'medpipe_core.runner' has no attribute {name!r}")
    return getattr(importlib.import_module(f"medpipe_core.runner.{_MODULE_OF[name]}"), name)
