"""Whether the files of a run are whole, and whether it can be gone on with."""

from __future__ import annotations

import importlib.metadata
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from medpipe_core.config.errors import RunFolderError
from medpipe_core.errors import MedpipeError
from medpipe_core.execution.run_identity import differences, identity_now
from medpipe_core.record.checksums import damaged_files
from medpipe_core.record.journal import events_before
from medpipe_core.record.run_lock import is_locked

if TYPE_CHECKING:
    from collections.abc import Callable

    from medpipe_core.config.configuration import Configuration
    from medpipe_core.plugins import Registry
    from medpipe_core.record.run_folder import RunFolder


@dataclass
class RunCheck:
    """What became of a run.

    Attributes:
        folder: Its folder.
        state: `finished`, `stopped` or `running`.
        problems: What is damaged, or stands in the way of going on.
        notes: What is worth knowing.
    """

    folder: str
    state: str
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def whole(self) -> bool:
        """Whether it is finished and whole, or is running or can be gone on with."""
        return not self.problems

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {**vars(self), "whole": self.whole}


def check_run(
    folder: RunFolder, configured: Callable[[], tuple[Configuration, Registry]]
) -> RunCheck:
    """Look at all files of a run; change none.

    Args:
        folder: The run's folder.
        configured: Returns its configuration as it would be now, and its plugins.
    """
    path = str(folder.path)
    if is_locked(folder.path):
        return RunCheck(path, "running", notes=["a process works on it"])
    found = RunCheck(path, "finished" if folder.finished else "stopped")
    _check_version(folder, found)
    if folder.finished:
        found.problems += damaged_files(folder.path / folder.CHECKSUMS)
        return found
    try:
        folder.events()
        _check_checkpoints(folder, configured, found)
        if found.state == "finished":
            found.problems.append(f"{folder.CHECKSUMS} is gone: no file of it can be compared")
    except MedpipeError as error:
        found.problems.append(str(error))
    return found


def _check_version(folder: RunFolder, found: RunCheck) -> None:
    try:
        versions = folder.environment()["versions"]
        made, here = versions["medpipe"], importlib.metadata.version("medpipe")
    except (RunFolderError, KeyError, TypeError):
        found.notes.append("nothing says which version it was made by")
        return
    found.notes.append(
        f"made by this version, medpipe {here}"
        if made == here
        else f"made by medpipe {made}; this is {here}"
    )


def _check_checkpoints(
    folder: RunFolder,
    configured: Callable[[], tuple[Configuration, Registry]],
    found: RunCheck,
) -> None:
    from medpipe_core.record.checkpoints import Checkpoints

    checkpoint = Checkpoints(folder.path / folder.CHECKPOINTS).newest()
    if checkpoint is None and (folder.path / folder.RESULT).is_file():
        found.state = "finished"
        return
    if checkpoint is None:
        found.notes.append("it was stopped before its first checkpoint and would begin anew")
        return
    found.notes += checkpoint.damaged
    state = checkpoint.state
    try:
        events_before(folder.path / folder.EVENTS, state["journal"])
    except RunFolderError as error:
        found.problems.append(str(error))
    changed = list(differences(state["identity"], identity_now(*configured())))
    found.problems += [f"it would not be the same any more: {change}" for change in changed]
    if not found.problems:
        found.notes.append(
            f"checkpoint {checkpoint.number} is whole; medpipe-run --resume {folder.path}"
        )
