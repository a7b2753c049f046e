"""Checkpoints of a run: the last two whole states of it, each with its checksums.

A checkpoint is a pair of files, tensors in `<number>.safetensors` and all else in `<number>.json`,
which is written last and makes the pair count. The first line of the JSON file has the SHA-256 of
the second, and the second that of the tensors: a byte that changed on the disk is found. Reading
one makes numbers, texts and tensors of it, and runs nobody's code.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError
from safetensors.torch import load, save

from medpipe_core.config.errors import RunFolderError
from medpipe_core.record.atomic_files import write_atomically
from medpipe_core.record.state_encoding import StateError, decode, encode
from medpipe_core.regular_files import read_regular_file

if TYPE_CHECKING:
    from pathlib import Path

FORMAT = 4
_KEPT = 2
_NAME = re.compile(r"(\d{6,})\.json")
_LARGEST_TEXT = 2**30


class DamagedCheckpointError(RunFolderError):
    """A checkpoint that is not as it was written."""


@dataclass(frozen=True)
class Checkpoint:
    """A state of a run that was read back.

    Attributes:
        number: Its number; later ones are larger.
        state: The state.
        damaged: What is wrong with each later one, if any is damaged.
    """

    number: int
    state: Any
    damaged: tuple[str, ...] = ()


class Checkpoints:
    """The checkpoints in a folder.

    Args:
        folder: The folder.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def numbers(self) -> list[int]:
        """Return the numbers of those that are there, the newest first."""
        if not self._folder.is_dir():
            return []
        names = (_NAME.fullmatch(path.name) for path in self._folder.iterdir())
        return sorted((int(name[1]) for name in names if name), reverse=True)

    def save(self, state: Any) -> int:
        """Write a state; return its number. The two newest are kept, older ones deleted.

        Raises:
            StateError: Something in it cannot be written down.
            StorageError: It cannot be written; those before are as they were.
        """
        number = max(self.numbers(), default=0) + 1
        plain, tensors = encode(state)
        blob = save(tensors)
        content = json.dumps(
            {
                "format": FORMAT,
                "tensors": {"sha256": _sha256(blob), "bytes": len(blob)},
                "state": plain,
            },
            ensure_ascii=False,
            allow_nan=False,
        ).encode()
        write_atomically(self._path(number, "safetensors"), blob)
        write_atomically(self._path(number, "json"), _sha256(content).encode() + b"\n" + content)
        self._clear_away(number)
        return number

    def newest(self) -> Checkpoint | None:
        """Read the newest one that is whole; None where there never was one.

        Raises:
            RunFolderError: There are some, and none is whole.
        """
        damaged: list[str] = []
        for number in self.numbers():
            try:
                return Checkpoint(number, self.read(number), tuple(damaged))
            except DamagedCheckpointError as error:
                damaged.append(str(error))
        if damaged:
            raise RunFolderError(
                f"no checkpoint in {self._folder} can be used: {'; '.join(damaged)}. Start the "
                "run anew: medpipe-run --config FOLDER"
            )
        return None

    def read(self, number: int) -> Any:
        """Read one.

        Raises:
            DamagedCheckpointError: It is not as it was written.
        """
        path = self._path(number, "json")
        try:
            checksum, _, content = read_regular_file(path, _LARGEST_TEXT).partition(b"\n")
            if checksum != _sha256(content).encode():
                raise ValueError("its checksum does not fit")
            told = json.loads(content)
            if told["format"] != FORMAT:
                raise ValueError(f"it has format {told['format']!r}, not {FORMAT}")
            tensors = self._tensors(number, told["tensors"])
            return decode(told["state"], tensors)
        except (OSError, ValueError, LookupError, TypeError, RecursionError) as error:
            reason = getattr(error, "strerror", None) or str(error)
        except (StateError, SafetensorError) as error:
            reason = str(error)
        raise DamagedCheckpointError(f"checkpoint {path} is damaged: {reason}")

    def clear(self) -> None:
        """Delete all of them, and what a crash left half written."""
        self._clear_away(None)

    def _tensors(self, number: int, told: dict[str, Any]) -> dict[str, Any]:
        path = self._path(number, "safetensors")
        if path.stat().st_size != told["bytes"]:  # before any memory is taken for it
            raise ValueError(f"{path.name} has {path.stat().st_size} bytes, not {told['bytes']}")
        blob = read_regular_file(path)
        if _sha256(blob) != told["sha256"]:
            raise ValueError(f"the checksum of {path.name} does not fit")
        return load(blob)

    def _clear_away(self, newest: int | None) -> None:
        kept = [] if newest is None else self.numbers()[:_KEPT]
        names = {self._path(n, kind).name for n in kept for kind in ("json", "safetensors")}
        for path in sorted(self._folder.iterdir()):  # the text before its tensors
            if path.name not in names:
                with contextlib.suppress(OSError):  # it only takes room
                    path.unlink()

    def _path(self, number: int, kind: str) -> Path:
        return self._folder / f"{number:06d}.{kind}"


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
