"""`medpipe-run --resume DIR`: a run that was stopped goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from medpipe_core.api import configuration_of
from medpipe_core.command.single_run import run_one
from medpipe_core.config.errors import DONE, ConfigurationError
from medpipe_core.record.run_folder import open_folder

if TYPE_CHECKING:
    from medpipe_core.config.command_line import CommandLine


def resume(words: CommandLine) -> int:
    """Go on with the run that a command line names; return the exit code.

    Keys may follow that change nothing of the result, such as `checkpoint.seconds=10`.

    Raises:
        ConfigurationError: Another option or a file stands beside it.
        RunFolderError: The run cannot be gone on with.
    """
    beside = sorted(words.options) + ([words.file] if words.file is not None else [])
    if beside:
        raise ConfigurationError([f"--resume takes the run's folder alone, not {beside[0]}"])
    folder = open_folder(words.resumed or "")
    configuration, registry = configuration_of(folder, next(words.runs()))
    run_one(configuration, registry, folder)
    return DONE
