"""A run's folder: its name, its files, and how they get there."""

from __future__ import annotations

import itertools
import json
import os
import re
import secrets
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medpipe_core.config.configuration import read_file
from medpipe_core.config.errors import ConfigurationError, RunFolderError
from medpipe_core.config.plain_values import user_path
from medpipe_core.record import run_lock
from medpipe_core.record.atomic_files import (
    sync_folder,
    try_folder,
    write_atomically,
    write_json,
    writing,
)
from medpipe_core.record.checksums import check_file, delete_files, write_checksums
from medpipe_core.record.journal import Journal, read_journal, read_json
from medpipe_core.regular_files import read_regular_file

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from medpipe_core.config.configuration import Configuration

_LARGEST = 64 * 2**20


class RunFolder:
    """The files of one run.

    Attributes:
        path: Where it is.
    """

    CONFIG, PLUGINS, ENVIRONMENT = "config.yaml", "plugins.json", "environment.json"
    EVENTS, GENOTYPE, POLICY = "events.jsonl", "genotype.json", "policy.txt"
    SCHEDULE = "schedule.json"
    RESULT, WEIGHTS, REPORT = "result.json", "weights.safetensors", "report.html"
    DECISION, PREDICTIONS = "decision.json", "predictions.csv"
    PREPARATION, SCANS = "preparation.json", "scans.json"
    SPLIT, DATA_CARD = "split.csv", "data_card.json"
    CHECKPOINTS, CHECKSUMS = "checkpoints", "checksums.json"

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def finished(self) -> bool:
        """Whether the run came to its end."""
        return (self.path / self.CHECKSUMS).exists()

    def finish(self) -> None:
        """Note the checksums of all files, which ends the run, and delete its checkpoints."""
        # The report can be written again at any time.
        others = {self.REPORT, self.CHECKSUMS, run_lock.NAME}
        files = (path for path in sorted(self.path.iterdir()) if path.is_file())
        kept = [path for path in files if path.name not in others and path.name[0] != "."]
        write_checksums(self.path / self.CHECKSUMS, kept)
        delete_files(self.path / self.CHECKPOINTS)

    def checked(self, name: str) -> Path:
        """Return the path of a file, which in a finished run has to be as the run left it.

        Raises:
            RunFolderError: It has changed since, or is gone.
        """
        if self.finished:
            check_file(self.path / self.CHECKSUMS, name)
        return self.path / name

    def journal(self) -> Journal:
        """Open the journal for appending."""
        return Journal(self.path / self.EVENTS)

    def write_text(self, name: str, text: str) -> Path:
        """Put a text file in place whole; return its path."""
        write_atomically(self.path / name, text)
        return self.path / name

    def write_json(self, name: str, content: Any) -> Path:
        """Put a JSON file in place whole; return its path."""
        write_json(self.path / name, content)
        return self.path / name

    def write_weights(self, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> Path:
        """Put the weights of a network in place whole, with plain texts about them.

        The same weights and texts are the same bytes.
        """
        from safetensors.torch import save

        separate = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
        write_atomically(self.path / self.WEIGHTS, _in_order(save(separate, dict(metadata))))
        return self.path / self.WEIGHTS

    def events(self) -> list[dict[str, Any]]:
        """Read the journal.

        Raises:
            RunFolderError: It is missing or damaged.
        """
        return read_journal(self.checked(self.EVENTS))

    def result(self) -> dict[str, Any]:
        """Read `result.json`.

        Raises:
            RunFolderError: It is missing, because the run did not finish, or damaged.
        """
        content = self._read_json(self.RESULT)
        if not isinstance(content, dict):
            raise RunFolderError(f"{self.path / self.RESULT} is not the result of a run")
        return content

    def environment(self) -> dict[str, Any]:
        """Read `environment.json`.

        Raises:
            RunFolderError: It is missing or damaged.
        """
        content = self._read_json(self.ENVIRONMENT)
        if not isinstance(content, dict):
            raise RunFolderError(f"{self.path / self.ENVIRONMENT} is no description of a machine")
        return content

    def preparation(self) -> Any:
        """Read `preparation.json`, how volumes were prepared; None where there is none.

        Raises:
            RunFolderError: It is damaged.
        """
        if not self.checked(self.PREPARATION).exists():
            return None
        return self._read_json(self.PREPARATION)

    def scan_facts(self) -> dict[str, Any]:
        """Read `scans.json`, what the training scans were like; empty where there is none.

        Raises:
            RunFolderError: It is damaged.
        """
        if not self.checked(self.SCANS).exists():
            return {}
        content = self._read_json(self.SCANS)
        if not isinstance(content, dict):
            raise RunFolderError(f"{self.path / self.SCANS} does not tell what scans are like")
        return content

    def data_card(self) -> dict[str, Any]:
        """Read `data_card.json`, what the data are like; empty where there is none.

        Raises:
            RunFolderError: It is damaged.
        """
        if not self.checked(self.DATA_CARD).exists():
            return {}
        content = self._read_json(self.DATA_CARD)
        if not isinstance(content, dict):
            raise RunFolderError(f"{self.path / self.DATA_CARD} does not tell what data are like")
        return content

    def configuration(self) -> dict[str, Any]:
        """Read `config.yaml` as dotted keys.

        Raises:
            RunFolderError: It is missing or damaged.
        """
        text = self._read(self.CONFIG)
        try:
            return read_file(text, str(self.path / self.CONFIG))
        except ConfigurationError as error:
            raise RunFolderError(str(error)) from None

    def _read_json(self, name: str) -> Any:
        try:
            return read_json(self._read(name))
        except (ValueError, RecursionError) as error:
            raise RunFolderError(f"{self.path / name} is not usable JSON ({error})") from None

    def _read(self, name: str) -> str:
        path = self.checked(name)
        try:
            return read_regular_file(path, _LARGEST).decode()
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise RunFolderError(f"cannot read {path}: {reason}") from error


def create_folder(configuration: Configuration, *, now: datetime | None = None) -> RunFolder:
    """Make a folder that no other run has, named by time, members of the groups and seed.

    It has its configuration and an empty folder for checkpoints from the moment that it is there.
    Runs that start within the same second get a number at the end; taking the name is what claims
    it, so no two share one.

    Raises:
        ConfigurationError: `run.root` cannot be used.
        StorageError: The folder cannot be made in it.
    """
    root = usable_root(configuration.keys.run.root)
    name = folder_name(configuration, now or datetime.now(UTC))
    begun = root / f".{name}.{os.getpid()}-{secrets.token_hex(4)}"
    with writing(begun):
        begun.mkdir(parents=True)
        (begun / RunFolder.CHECKPOINTS).mkdir()
    write_atomically(begun / RunFolder.CONFIG, configuration.to_yaml())
    for number in itertools.count(1):
        path = root / (name if number == 1 else f"{name}-{number}")
        if path.exists():
            continue
        with writing(path):
            root.mkdir(parents=True, exist_ok=True)
            try:
                begun.rename(path)  # over no folder that has files
            except OSError:
                if path.exists():
                    continue
                raise
            sync_folder(root)
        break
    return RunFolder(path)


def folder_name(configuration: Configuration, now: datetime) -> str:
    """Return `<UTC time>-<space>-<searcher>-<dataset>-s<seed>`."""
    parts = (configuration.space, configuration.searcher, configuration.dataset)
    time = now.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
    return "-".join([time, *map(_slug, parts), f"s{configuration.keys.seed}"])


def usable_root(root: str) -> Path:
    """Return the folder for runs as an absolute path; it is not made yet where it is missing.

    Raises:
        ConfigurationError: It is a file, or may not be made or written to.
    """
    try:
        path = user_path(root).absolute()
    except ValueError as error:
        raise ConfigurationError([f"run.root: {error}"]) from None
    there = next(one for one in (path, *path.parents) if os.path.lexists(one))
    if not os.path.isdir(there):
        raise ConfigurationError([f"run.root: {path} cannot be made: {there} is no folder"])
    try:
        try_folder(there)
    except OSError as error:
        reason = error.strerror or str(error)
        told = f"run.root: {path} cannot be used: nothing can be made in {there} ({reason})"
        raise ConfigurationError([told]) from error
    return path


def open_folder(path: str | Path) -> RunFolder:
    """Return an existing run's folder.

    Raises:
        RunFolderError: It is no run folder.
    """
    folder = Path(path)
    # Unlike Path.is_dir, these say no to a path that cannot be, such as one that is too long.
    if not os.path.isdir(folder):
        raise RunFolderError(f"there is no folder {folder}")
    if not os.path.isfile(folder / RunFolder.CONFIG):
        raise RunFolderError(f"{folder} is not a run's folder: it has no {RunFolder.CONFIG}")
    return RunFolder(folder)


def _in_order(file: bytes) -> bytes:
    """Sort the texts in the header of a safetensors file, which come in any order."""
    start = 8 + int.from_bytes(file[:8], "little")
    header = json.loads(file[8:start])
    if "__metadata__" in header:
        header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)  # tensors begin where eight bytes do
    return len(text).to_bytes(8, "little") + text + file[start:]


def _slug(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.]+", "-", name).strip("-.") or "x"
