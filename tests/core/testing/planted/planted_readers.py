"""A good reader, and others that each have one bug."""

from __future__ import annotations

import types

import numpy as np

from medpipe_core.data import DataError
from medpipe_core.testing import ReaderContract

MAGIC = b"SIXNUMBERS"


class Six:
    """Reads six bytes behind a mark, as one slice of two rows."""

    def reads(self, path):
        return path.is_file() and path.read_bytes().startswith(MAGIC)

    def header(self, path, *, series=None, volume=None):
        return types.SimpleNamespace(
            shape=self.read(path, series=series, volume=volume).values.shape
        )

    def read(self, path, *, series=None, volume=None):
        if series is not None or volume is not None or not path.is_file():
            raise DataError(f"{path}: there is no such thing")
        content = path.read_bytes().removeprefix(MAGIC)
        if len(content) != 6:
            raise DataError(f"{path}: has {len(content)} numbers, not six")
        return self.scan(np.frombuffer(content, np.uint8).reshape(1, 2, 3), path)

    def scan(self, values, path):
        return types.SimpleNamespace(values=values.astype(np.float32), affine=None, notes=())


class NeverItsOwn(Six):
    def reads(self, path):
        return False


class TakesAll(Six):
    def reads(self, path):
        return True


class RaisesWhenAsked(Six):
    def reads(self, path):
        return path.read_bytes().startswith(MAGIC)


class Waiting(Six):
    def reads(self, path):
        try:
            return path.read_bytes().startswith(MAGIC)
        except OSError:
            return False


class WholeNumbers(Six):
    def scan(self, values, path):
        return types.SimpleNamespace(values=values)


class NoteOfLetters(Six):
    def scan(self, values, path):
        return types.SimpleNamespace(values=values.astype(np.float32), notes="odd")


class FlatAffine(Six):
    def scan(self, values, path):
        return types.SimpleNamespace(values=values.astype(np.float32), affine=np.diag([1, 1, 0, 1]))


class OtherHeader(Six):
    def header(self, path, *, series=None, volume=None):
        super().header(path, series=series, volume=volume)
        return types.SimpleNamespace(shape=(3, 2, 1))


class ReadsOtherwise(Six):
    def scan(self, values, path):
        return super().scan(values + np.random.default_rng().random(values.shape), path)


class LeavesAFile(Six):
    def scan(self, values, path):
        path.with_suffix(".cache").write_bytes(b"")
        return super().scan(values, path)


class RaisesValueError(Six):
    def read(self, path, *, series=None, volume=None):
        if series is not None or volume is not None or not path.is_file():
            raise DataError(f"{path}: there is no such thing")
        content = path.read_bytes().removeprefix(MAGIC)
        return self.scan(np.frombuffer(content, np.uint8).reshape(1, 2, 3), path)


class IgnoresTheSeries(Six):
    def read(self, path, *, series=None, volume=None):
        return super().read(path)


class MovesGlobalState(Six):
    def scan(self, values, path):
        np.random.random()  # noqa: NPY002
        return super().scan(values, path)


class SixContract(ReaderContract):
    def example(self, folder):
        path = folder / "scan.six"
        path.write_bytes(MAGIC + bytes(range(6)))
        return path


class TestSix(SixContract):
    reader = Six


class TestNeverItsOwn(SixContract):
    reader = NeverItsOwn


class TestTakesAll(SixContract):
    reader = TakesAll


class TestRaisesWhenAsked(SixContract):
    reader = RaisesWhenAsked


class TestWaiting(SixContract):
    reader = Waiting


class TestWholeNumbers(SixContract):
    reader = WholeNumbers


class TestNoteOfLetters(SixContract):
    reader = NoteOfLetters


class TestFlatAffine(SixContract):
    reader = FlatAffine


class TestOtherHeader(SixContract):
    reader = OtherHeader


class TestReadsOtherwise(SixContract):
    reader = ReadsOtherwise


class TestLeavesAFile(SixContract):
    reader = LeavesAFile


class TestRaisesValueError(SixContract):
    reader = RaisesValueError


class TestIgnoresTheSeries(SixContract):
    reader = IgnoresTheSeries


class TestMovesGlobalState(SixContract):
    reader = MovesGlobalState
