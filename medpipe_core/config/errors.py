"""What can be wrong with a configuration or a run folder, and the exit code of each."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

from medpipe_core.errors import MedpipeError

if TYPE_CHECKING:
    from collections.abc import Sequence

DONE, FAILED, WRONG_WORDS, BROKEN_PLUGIN, UNUSABLE_FOLDER, REQUEUE = 0, 1, 2, 3, 4, 75


class ConfigurationError(MedpipeError):
    """The configuration is wrong; the text tells everything that is wrong with it at once.

    Attributes:
        problems: One text for each thing that is wrong.
        exit_code: 2, or 3 where a plugin that the run needs failed or is missing.
    """

    def __init__(self, problems: Sequence[str], *, exit_code: int = WRONG_WORDS) -> None:
        self.problems = tuple(problems)
        self.exit_code = exit_code
        super().__init__("\n".join(self.problems))


class RunFolderError(MedpipeError):
    """An existing run folder, or a file in it, cannot be used (exit code 4)."""


class StorageError(MedpipeError):
    """A file of the run could not be written: the disk is full, or the folder not writable."""


class Interrupted(KeyboardInterrupt):
    """The run was asked to stop by a signal; whoever lets Ctrl-C pass lets any of them pass.

    Attributes:
        signal_number: Which one.
        exit_code: 130 after SIGINT, 143 after SIGTERM, 75 after SIGUSR1, with which a batch system
            says that the time is up: run it again.
    """

    def __init__(self, signal_number: int) -> None:
        self.signal_number = signal_number
        again = signal_number == getattr(signal, "SIGUSR1", None)
        self.exit_code = REQUEUE if again else 128 + signal_number
        super().__init__(f"stopped by {signal.Signals(signal_number).name}")
