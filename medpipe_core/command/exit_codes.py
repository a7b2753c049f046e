"""The exit code of each error."""

from __future__ import annotations

from medpipe_core.config.errors import (
    BROKEN_PLUGIN,
    FAILED,
    UNUSABLE_FOLDER,
    ConfigurationError,
    Interrupted,
    RunFolderError,
)
from medpipe_core.errors import MissingExtraError
from medpipe_core.plugins import MissingPluginError, PluginError


def exit_code_of(error: BaseException) -> int:
    """Return the exit code that an error ends a command with."""
    match error:
        case ConfigurationError() | Interrupted():
            return error.exit_code
        case PluginError() | MissingPluginError() | MissingExtraError():
            return BROKEN_PLUGIN
        case RunFolderError():
            return UNUSABLE_FOLDER
    return FAILED
