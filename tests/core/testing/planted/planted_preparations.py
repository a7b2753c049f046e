"""A good preparation, and others that each have one bug."""

from __future__ import annotations

import dataclasses

import numpy as np

from medpipe_core.testing import PreparationContract


class Halve:
    """Halves intensities."""

    def __call__(self, scan):
        return scan.with_values(scan.values / 2)


class WidensValues(Halve):
    def __call__(self, scan):
        return dataclasses.replace(scan, values=scan.values.astype(np.float64))


class DropsTheChannels(Halve):
    def __call__(self, scan):
        return scan.with_values(scan.values.reshape(-1, *scan.values.shape[-3:])[0])


class NotesInOneText(Halve):
    def __call__(self, scan):
        return dataclasses.replace(scan, notes="halved")


class CollapsesTheAffine(Halve):
    def __call__(self, scan):
        flat = None if scan.affine is None else scan.affine * [0, 1, 1, 1]
        return scan.with_values(scan.values, affine=flat)


class InventsAnAffine(Halve):
    def __call__(self, scan):
        return scan.with_values(scan.values, affine=np.eye(4))


class MovesTheOrigin(Halve):
    def __call__(self, scan):
        if scan.affine is not None:
            scan.affine[:3, 3] += 1
        return super().__call__(scan)


class DrawsEachTime(Halve):
    def __call__(self, scan):
        return scan.with_values(np.random.default_rng().random(scan.values.shape))


class DrawsGlobally(Halve):
    def __call__(self, scan):
        np.random.random()  # noqa: NPY002
        return super().__call__(scan)


class RedrawsEachTime(Halve):
    def redrawn(self, seed):
        return lambda scan: scan.with_values(np.random.default_rng().random(scan.values.shape))


class RedrawsNothing(Halve):
    def redrawn(self, seed):
        return self


class RedrawsItself(Halve):
    by = 0.5

    def redrawn(self, seed):
        self.by = seed
        return self

    def __call__(self, scan):
        return scan.with_values(scan.values * self.by)


class TestHalve(PreparationContract):
    preparation = Halve


class TestWidensValues(PreparationContract):
    preparation = WidensValues


class TestDropsTheChannels(PreparationContract):
    preparation = DropsTheChannels


class TestNotesInOneText(PreparationContract):
    preparation = NotesInOneText


class TestCollapsesTheAffine(PreparationContract):
    preparation = CollapsesTheAffine


class TestInventsAnAffine(PreparationContract):
    preparation = InventsAnAffine


class TestMovesTheOrigin(PreparationContract):
    preparation = MovesTheOrigin


class TestDrawsEachTime(PreparationContract):
    preparation = DrawsEachTime


class TestDrawsGlobally(PreparationContract):
    preparation = DrawsGlobally


class TestRedrawsEachTime(PreparationContract):
    preparation = RedrawsEachTime


class TestRedrawsNothing(PreparationContract):
    preparation = RedrawsNothing


class TestRedrawsItself(PreparationContract):
    preparation = RedrawsItself
