"""One run from its configuration to its report: keys, folder, stages, progress, commands.

Nothing here waits for torch before a configuration has been checked.
"""

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
