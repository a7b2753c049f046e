"""The journal of a run: one event a line, handed to the system as soon as it happens."""

from __future__ import annotations

import hashlib
import json
import math
import os
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NoReturn

from medpipe_core.config.errors import RunFolderError
from medpipe_core.record.atomic_files import writing
from medpipe_core.regular_files import open_regular_file, read_regular_file

if TYPE_CHECKING:
    from pathlib import Path

_BLOCK = 65536
_LARGEST = 256 * 2**20
_MOST_DIGITS = 300  # so that it can become a float


class Journal:
    """Appends events to a file of JSON lines; usable as an `Emit`.

    Each line holds `time` (UTC), `event` and the event's fields. JSON has no NaN and no infinity;
    such a number is written as null. A last line that a crash has torn is dropped on opening.

    Args:
        path: The file; made where it is missing, and appended to where it is there.

    Raises:
        StorageError: It cannot be opened or written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        with writing(path):
            _drop_torn_line(path)
            self._written = hashlib.sha256(read_regular_file(path) if path.exists() else b"")
            self._file = path.open("a", encoding="utf-8")

    def __call__(self, event: str, /, **fields: Any) -> None:
        """Append one event."""
        line = {"time": _now(), "event": event, **plain_fields(fields)}
        text = json.dumps(line, ensure_ascii=False, allow_nan=False)
        with self._lock, writing(self.path):
            self._file.write(f"{text}\n")
            self._file.flush()
            self._written.update(f"{text}\n".encode())

    def position(self) -> dict[str, Any]:
        """Return `bytes` and `sha256` of all events so far, which are on the disk then."""
        with self._lock, writing(self.path):
            self._file.flush()
            os.fsync(self._file.fileno())
            size = os.fstat(self._file.fileno()).st_size
            return {"bytes": size, "sha256": self._written.hexdigest()}

    def cut(self, position: Mapping[str, Any] | None) -> int:
        """Drop the events after a position, all where there is none; return how many there were.

        Raises:
            RunFolderError: The events before it are not those of then.
        """
        with self._lock, writing(self.path):
            kept = b"" if position is None else events_before(self.path, position)
            dropped = read_regular_file(self.path)[len(kept) :].count(b"\n")
            os.truncate(self.path, len(kept))
            self._written = hashlib.sha256(kept)
            return dropped

    def close(self) -> None:
        """Close the file."""
        with writing(self.path):
            self._file.close()


def read_journal(path: Path) -> list[dict[str, Any]]:
    """Return a journal's events, without a torn last line.

    Raises:
        RunFolderError: It cannot be read, or a line is no event.
    """
    try:
        with open_regular_file(path, _LARGEST) as file:
            return [
                _event(line, f"{path}, line {number}")
                for number, line in enumerate(file, start=1)
                if line.endswith(b"\n")
            ]
    except OSError as error:
        raise RunFolderError(f"cannot read {path}: {error.strerror or error}") from error


def events_before(path: Path, position: Mapping[str, Any]) -> bytes:
    """Return what a journal held when it had a position.

    Raises:
        RunFolderError: It cannot be read, is shorter now, or its beginning is another.
    """
    size = position["bytes"]
    try:
        with open_regular_file(path, _LARGEST) as file:
            found = file.read(size)
    except OSError as error:
        raise RunFolderError(f"cannot read {path}: {error.strerror or error}") from error
    if len(found) < size:
        raise RunFolderError(
            f"{path} has lost its end: {size - len(found)} bytes less than when the run was saved"
        )
    if hashlib.sha256(found).hexdigest() != position["sha256"]:
        raise RunFolderError(
            f"{path} is not as it was when the run was saved: its first {size} bytes have changed"
        )
    return found


def read_json(text: str | bytes) -> Any:
    """Return what a text of JSON holds; NaN and infinity, which JSON has not, as None.

    Raises:
        ValueError: It is no JSON, or has a number that no computation could take.
        RecursionError: It is nested too deeply.
    """
    return json.loads(text, parse_float=_finite, parse_int=_whole, parse_constant=_none)


def plain_fields(value: Any) -> Any:
    """Return a value as JSON can hold it: no NaN, no infinity, numbers of NumPy as plain ones."""
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return value if math.isfinite(value) else None
        case Mapping():
            return {str(key): plain_fields(inner) for key, inner in value.items()}
        case list() | tuple():
            return [plain_fields(inner) for inner in value]
    if hasattr(value, "tolist"):  # arrays and scalars of NumPy and torch
        return plain_fields(value.tolist())
    return str(value)


def _event(line: bytes, where: str) -> dict[str, Any]:
    try:
        event = read_json(line)
    except (ValueError, RecursionError):
        event = None
    if not isinstance(event, dict) or not isinstance(event.get("event"), str):
        raise RunFolderError(f"{where}: not an event of a run's journal")
    return event


def _finite(text: str) -> float:
    number = float(text)
    return number if math.isfinite(number) else _refuse(text)


def _whole(text: str) -> int:
    return int(text) if len(text) <= _MOST_DIGITS else _refuse(text)


def _none(_: str) -> None:
    """Read what is no number as the journal writes it."""


def _refuse(text: str) -> NoReturn:
    raise ValueError(f"no number may be like {text[:20]}")


def _drop_torn_line(path: Path) -> None:
    if not path.exists():
        return
    with path.open("rb+") as file:
        end = file.seek(0, 2)
        while end:
            start = max(0, end - _BLOCK)
            file.seek(start)
            newline = file.read(end - start).rfind(b"\n")
            if newline >= 0:
                file.truncate(start + newline + 1)
                return
            end = start
        file.truncate(0)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
