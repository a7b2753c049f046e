"""What every reader promises: it says what it can read, and reads it the same each time."""

from __future__ import annotations

import contextlib
import hashlib
import os
import pathlib
import tempfile
import threading
from typing import TYPE_CHECKING, Any

import numpy as np

from medpipe_core.data import DataError
from medpipe_core.testing.checking import given, in_words, require
from medpipe_core.testing.watching import global_state_kept

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_PATIENCE = 10.0  # seconds, for a look at a few bytes


class ReaderContract:
    """What every reader promises; inherit it, say which reader is meant, and write an example.

    A reader has `reads(path)`, `header(path, *, series=None, volume=None)` and `read(path, *,
    series=None, volume=None)`.

    Attributes:
        reader: The class or function, called as `reader(**settings)`, or an import string.
        settings: Keyword arguments.
        by_content: Whether it looks into files; False for a format that only a name tells.

    Example:
        >>> class TestNumpy(ReaderContract):
        ...     reader = "medpipe_plugins.scans.readers:ArrayReader"
        ...
        ...     def example(self, folder):
        ...         np.save(folder / "scan.npy", np.arange(24.0).reshape(2, 3, 4))
        ...         return folder / "scan.npy"
        >>> TestNumpy().test_it_takes_what_it_reads()
    """

    reader: Any = None
    settings: Mapping[str, Any] = {}
    by_content: bool = True

    def example(self, folder: pathlib.Path) -> pathlib.Path:
        """Write something that the reader reads into an empty folder, and return its path."""
        require(
            False,
            f"{type(self).__name__} has no example: give it a method example(self, folder) that "
            "writes a small file, or a folder of files, and returns its path",
        )
        return folder

    def test_it_takes_what_it_reads(self) -> None:
        """`reads` says True of the example."""
        with self.written() as path:
            require(
                self.make().reads(path) is True,
                f"reads({path.name!r}) is not True, though the example is one",
            )

    def test_it_takes_nothing_else(self) -> None:
        """`reads` says False, and raises nothing, of what is missing, empty, or something else."""
        reader = self.make()
        with self.written() as path, tempfile.TemporaryDirectory() as folder:
            suffix = "" if path.is_dir() else path.suffix
            for name, other in _others(pathlib.Path(folder), suffix, self.by_content):
                with in_words(f"reads raised an error for {name}; it has to say False."):
                    said = reader.reads(other)
                require(
                    said is False,
                    f"reads says {said!r} for {name}; say True only of what is yours, by its "
                    "content",
                )

    def test_it_does_not_wait_for_a_pipe(self) -> None:
        """`reads` opens regular files alone, so that nothing hangs."""
        if not hasattr(os, "mkfifo"):
            return
        reader = self.make()
        with self.written() as path, tempfile.TemporaryDirectory() as folder:
            pipe = pathlib.Path(folder, f"pipe{path.suffix}")
            os.mkfifo(pipe)
            thread = threading.Thread(target=_quietly, args=(reader.reads, pipe), daemon=True)
            thread.start()
            thread.join(_PATIENCE)
            waits = thread.is_alive()
            if waits:  # let it go
                os.close(os.open(pipe, os.O_WRONLY | os.O_NONBLOCK))
                thread.join(_PATIENCE)
            require(not waits, "reads waits for a pipe for ever; look at path.is_file() first")

    def test_a_scan_is_an_array_with_notes(self) -> None:
        """`values` is float32 of three axes, or four with channels first; notes are sentences."""
        with self.written() as path:
            scan = self.read(path)
        values = scan.values
        require(
            isinstance(values, np.ndarray) and values.dtype == np.float32,
            f"values are {type(values).__name__} of {getattr(values, 'dtype', '?')}, not a numpy "
            "array of float32",
        )
        require(
            values.ndim in (3, 4) and values.size > 0,
            f"values have the shape {values.shape}; a scan has three axes, with channels four",
        )
        notes = getattr(scan, "notes", ())
        require(
            not isinstance(notes, str) and all(isinstance(n, str) and n.strip() for n in notes),
            f"notes are {notes!r}; give a tuple with a sentence for each thing that is unusual",
        )

    def test_geometry_is_whole_or_not_there(self) -> None:
        """`affine` is None, or (4, 4), finite and invertible."""
        with self.written() as path:
            affine = getattr(self.read(path), "affine", None)
        if affine is None:
            return
        affine = np.asarray(affine, np.float64)
        require(
            affine.shape == (4, 4) and bool(np.isfinite(affine).all()),
            f"affine is {affine}; give four by four finite numbers, or None where nothing is known",
        )
        require(
            bool(np.array_equal(affine[3], (0, 0, 0, 1)))
            and bool(abs(np.linalg.det(affine[:3, :3])) > 0),
            f"affine is {affine}, which does not lead from voxels to millimetres and back",
        )

    def test_the_header_is_that_of_the_scan(self) -> None:
        """`header` says the shape and affine that `read` then gives."""
        reader = self.make()
        with self.written() as path:
            scan = self.read(path)
            with in_words("the header of the example cannot be read."):
                header = reader.header(path)
        require(
            tuple(header.shape) == scan.values.shape,
            f"header says the shape {tuple(header.shape)}, and read gives {scan.values.shape}",
        )
        one, other = getattr(header, "affine", None), getattr(scan, "affine", None)
        same = one is other or (one is not None and other is not None and np.allclose(one, other))
        require(bool(same), f"header says the affine {one}, and read gives {other}")

    def test_it_is_the_same_every_time(self) -> None:
        """Two readings, also by two readers, give the same bits."""
        with self.written() as path:
            first, again = self.read(path), self.read(path)
        require(
            bool(np.array_equal(first.values, again.values, equal_nan=True)),
            "the same file gives other values when it is read again. Keep nothing in self that "
            "reading changes, and draw nothing",
        )

    def test_readings_stand_alone(self) -> None:
        """What was read stays as it was, and a file that has changed is read anew."""
        reader = self.make()
        with self.written() as path:
            with in_words("the example cannot be read a second time."):
                first, second = reader.read(path), reader.read(path)
            require(
                first is not second and not np.shares_memory(first.values, second.values),
                "a second reading gives the array of the first, so that whoever changes the one "
                "changes the other, and a file that has changed is not read anew. Keep nothing "
                "between readings",
            )

    def test_reading_changes_no_file(self) -> None:
        """Files stay as they are, and none is left behind."""
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            path = pathlib.Path(self.example(folder))
            before = _contents(folder)
            self.read(path)
            with in_words("the header of the example cannot be read."):
                self.make().header(path)
            after = _contents(folder)
        changed = sorted({*before.items()} ^ {*after.items()})
        names = ", ".join(dict.fromkeys(name for name, _ in changed))
        require(not changed, f"reading changed, made or removed {names}; open files to read alone")

    def test_damaged_files_are_refused_by_name(self) -> None:
        """A file that is cut short is a DataError with its path, or still a scan."""
        with self.written() as path:
            files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
            content = files[0].read_bytes()
            for share in (0.0, 0.1, 0.5, 0.9, 0.99):
                files[0].write_bytes(content[: int(share * len(content))])
                for what in ("header", "read"):
                    self.refused_or_read(what, path, f"cut to {share:.0%} of its length")

    def test_what_is_not_there_is_refused_by_name(self) -> None:
        """A missing path, a series and a volume that do not exist are DataErrors."""
        reader = self.make()
        with self.written() as path:
            missing = path.with_name("there_is_no_such_file" + path.suffix)
            for asked, where in (
                ({}, missing),
                ({"series": "there is no such series"}, path),
                ({"volume": 1_000_000}, path),
            ):
                try:
                    reader.read(where, **asked)
                except DataError as error:
                    require(
                        str(where) in str(error) or where.name in str(error),
                        f"the error for {where.name} with {asked} does not name it: {error}",
                    )
                except Exception as error:
                    require(
                        False,
                        f"read({where.name!r}, **{asked}) raised {type(error).__name__}: {error}; "
                        "raise medpipe_core.data.DataError, with the path",
                    )
                else:
                    require(False, f"read({where.name!r}, **{asked}) gives a scan all the same")

    def test_global_random_state_is_neither_used_nor_changed(self) -> None:
        """The global generators stay where they were."""
        with self.written() as path, global_state_kept("the reader", "Draw nothing"):
            self.read(path)

    # For tests of your own

    def make(self) -> Any:
        """Make the reader."""
        __tracebackhide__ = True
        with in_words(f"the reader cannot be made with {dict(self.settings)}."):
            return given(self, "reader")(**self.settings)

    @contextlib.contextmanager
    def written(self) -> Iterator[pathlib.Path]:
        """Write the example into a new folder; it is removed afterwards."""
        __tracebackhide__ = True
        with tempfile.TemporaryDirectory() as folder:
            yield pathlib.Path(self.example(pathlib.Path(folder)))

    def read(self, path: pathlib.Path) -> Any:
        """Read a path with a fresh reader."""
        __tracebackhide__ = True
        reader = self.make()
        with in_words("the example cannot be read."):
            return reader.read(path)

    def refused_or_read(self, what: str, path: pathlib.Path, why: str) -> None:
        """Hold that a damaged file is refused in words, or read."""
        __tracebackhide__ = True
        try:
            getattr(self.make(), what)(path)
        except DataError as error:
            require(
                str(path) in str(error),
                f"the error for a file {why} does not name it: {error}",
            )
        except Exception as error:
            require(
                False,
                f"{what} of a file {why} raised {type(error).__name__}: {error}; raise "
                "medpipe_core.data.DataError, with the path",
            )


def _others(
    folder: pathlib.Path, suffix: str, by_content: bool
) -> Iterator[tuple[str, pathlib.Path]]:
    """Yield what no reader may take, with a name for it."""
    yield "a path that leads nowhere", folder / f"nothing{suffix}"
    empty = folder / "folder"
    empty.mkdir()
    yield "an empty folder", empty
    endings = {"of the same name": suffix, "of another name": ".other"}
    for ending in endings if by_content else ["of another name"]:
        for what, content in (
            ("an empty file", b""),
            ("a text", b"this is a text and no scan\n" * 40),
            ("bytes at random", np.random.default_rng(0).bytes(2000)),
        ):
            path = folder / f"{what.replace(' ', '_')}{endings[ending]}"
            path.write_bytes(content)
            yield f"{what} {ending}", path


def _quietly(reads: Any, path: pathlib.Path) -> None:
    with contextlib.suppress(Exception):
        reads(path)


def _contents(folder: pathlib.Path) -> dict[str, str]:
    return {
        str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in folder.rglob("*")
        if file.is_file()
    }
