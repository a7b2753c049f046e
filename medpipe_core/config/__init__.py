"""What was asked of a run: keys, presets and checks, from words to a configuration and back.

Nothing here waits for torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from medpipe_core.lazy import lazy_names

if TYPE_CHECKING:
    from medpipe_core.config.configuration import Configuration, resolve
    from medpipe_core.config.errors import ConfigurationError, RunFolderError, StorageError

__all__ = [
    "Configuration",
    "ConfigurationError",
    "RunFolderError",
    "StorageError",
    "resolve",
]

__getattr__ = lazy_names(
    __name__,
    {
        "configuration": ("Configuration", "resolve"),
        "errors": ("ConfigurationError", "RunFolderError", "StorageError"),
    },
)
