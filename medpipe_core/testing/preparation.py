"""What every preparation promises: a pure function from a scan to a scan."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from medpipe_core.data.preparation import RandomPreparation, Volume
from medpipe_core.testing.checking import given, in_words, require
from medpipe_core.testing.watching import global_state_kept

if TYPE_CHECKING:
    from collections.abc import Mapping


_SEEDS = range(16)


class PreparationContract:
    """What every preparation promises; inherit it and say which one is meant.

    Attributes:
        preparation: The class or function, called as `preparation(**settings)`, or an import
            string.
        settings: Keyword arguments.
        without_geometry: Whether it takes scans of which no geometry is known.

    Example:
        >>> class TestWindow(PreparationContract):
        ...     preparation = "medpipe_plugins.preparations.intensity:Window"
        ...     settings = {"low": 0.2, "high": 0.8}
        >>> TestWindow().test_the_given_scan_stays_as_it_is()
    """

    preparation: Any = None
    settings: Mapping[str, Any] = {}
    without_geometry: bool = True

    def example(self) -> Volume:
        """Return a scan that the preparation takes; of one channel, without a channel axis."""
        rng = np.random.default_rng(0)
        affine = np.diag([-1.5, 2.0, 3.0, 1.0])
        affine[:3, 3] = 10, -20, 30
        return Volume(rng.random((7, 8, 9), np.float32), affine)

    def test_a_scan_comes_out(self) -> None:
        """`values` is float32 with the channels that went in; notes are sentences."""
        for name, scan in self.scans():
            found = self.prepare(scan)
            values, lead = found.values, scan.values.shape[:-3]
            require(
                isinstance(values, np.ndarray) and values.dtype == np.float32 and values.size > 0,
                f"{name} becomes a {type(values).__name__} of {getattr(values, 'dtype', '?')}, not "
                "a numpy array of float32 with voxels; return scan.with_values(…)",
            )
            require(
                values.shape[:-3] == lead and values.ndim == scan.values.ndim,
                f"{name} of shape {scan.values.shape} becomes {values.shape}; channels stay, and "
                "depth, height and width are the last three axes",
            )
            notes = found.notes
            require(
                isinstance(notes, tuple) and all(isinstance(n, str) and n.strip() for n in notes),
                f"notes are {notes!r}; give a tuple with a sentence for each thing",
            )

    def test_geometry_is_kept_or_right(self) -> None:
        """`affine` is (4, 4) and invertible where the scan has one, None where it has not."""
        for name, scan in self.scans():
            affine = self.prepare(scan).affine
            if scan.affine is None:
                require(affine is None, f"{name} gets an affine out of nowhere: {affine}")
                continue
            affine = np.asarray(affine)
            require(
                affine.shape == (4, 4)
                and bool(np.isfinite(affine.astype(float)).all())
                and abs(np.linalg.det(affine[:3, :3])) > 0,
                f"{name} gets the affine {affine}, which does not lead to millimetres and back",
            )

    def test_the_given_scan_stays_as_it_is(self) -> None:
        """A preparation is pure: it changes neither the values nor the affine it is handed."""
        for name, scan in self.scans():
            values = scan.values.copy()
            affine = None if scan.affine is None else scan.affine.copy()
            scan.values.flags.writeable = False
            self.prepare(scan)
            require(
                bool(np.array_equal(values, scan.values)) and repr(affine) == repr(scan.affine),
                f"{name} was changed in place; work on a copy",
            )

    def test_it_is_the_same_every_time(self) -> None:
        """Two preparations of one scan, also by two objects, give the same bits."""
        for name, scan in self.scans():
            require(
                bool(np.array_equal(self.prepare(scan).values, self.prepare(scan).values)),
                f"{name} is prepared differently when it is prepared again; draw from a seed among "
                "the settings alone",
            )

    def test_memory_layout_does_not_matter(self) -> None:
        """Transposed and strided values give what contiguous ones of the same content do."""
        for name, scan in self.scans():
            values, expected = scan.values, self.prepare(scan).values
            wide = np.repeat(values, 2, axis=-1)[..., ::2]
            for how, other in (("transposed", np.asfortranarray(values)), ("strided", wide)):
                found = self.prepare(replace(scan, values=other)).values
                require(
                    found.shape == expected.shape and bool(np.allclose(found, expected, atol=1e-6)),
                    f"{name} is prepared differently where its memory is {how}; follow axes, and "
                    "never the order in memory",
                )

    def test_other_scans_make_no_difference(self) -> None:
        """A preparation that has prepared another scan gives what a fresh one does."""
        for name, scan in self.scans():
            step, expected = self._made(), self.prepare(scan).values
            with in_words("a scan cannot be prepared after another one."):
                step(scan.with_values(scan.values[..., ::-1, :] * 3 + 1))
                found = step(scan).values
            require(
                bool(np.array_equal(found, expected)),
                f"{name} is prepared differently after another scan: keep nothing in self that a "
                "call changes. What follows from all training scans cannot be a preparation",
            )

    def test_a_redraw_follows_from_its_seed(self) -> None:
        """`redrawn(seed)`, where it has that, gives another step whose draw the seed decides."""
        step = self._made()
        if not isinstance(step, RandomPreparation):
            return
        for name, scan in self.scans():
            before = step(scan).values
            drawn = [[self._redrawn(step, seed, scan) for seed in _SEEDS] for _ in range(2)]
            require(
                all(np.array_equal(one, other) for one, other in zip(*drawn, strict=True)),
                f"{name} is drawn differently from the same seed; the seed alone decides",
            )
            require(
                bool(np.array_equal(before, step(scan).values)),
                f"redrawn() changes the step itself, which prepares {name} differently afterwards; "
                "return another step",
            )
            require(
                step.redrawn(0) is None
                or any(not np.array_equal(drawn[0][0], values) for values in drawn[0]),
                f"{name} is drawn the same from {len(_SEEDS)} seeds; return None from redrawn() "
                "where nothing is drawn",
            )

    def test_global_random_state_is_neither_used_nor_changed(self) -> None:
        """The global generators stay where they were."""
        scan = self.example()
        step = self._made()
        with global_state_kept("the preparation", "Draw from a seed among the settings"):
            self.prepare(scan)
            if isinstance(step, RandomPreparation):
                self._redrawn(step, 0, scan)

    # For tests of your own

    def scans(self) -> list[tuple[str, Volume]]:
        """Return the example, alone, with two channels and without geometry."""
        scan = self.example()
        pair = Volume(np.stack((scan.values, scan.values)), scan.affine)
        return [
            ("a scan", scan),
            ("a scan of two channels", pair),
            ("a scan without geometry", Volume(scan.values.copy())),
        ][: 3 if self.without_geometry else 2]

    def prepare(self, scan: Volume) -> Any:
        """Prepare a scan with a fresh preparation."""
        __tracebackhide__ = True
        preparation = self._made()
        with in_words("the example cannot be prepared."):
            return preparation(scan)

    def _made(self) -> Any:
        __tracebackhide__ = True
        with in_words(f"the preparation cannot be made with {dict(self.settings)}."):
            return given(self, "preparation")(**self.settings)

    def _redrawn(self, step: RandomPreparation, seed: int, scan: Volume) -> Any:
        __tracebackhide__ = True
        with in_words(f"redrawn({seed}) cannot prepare the example."):
            return (step.redrawn(seed) or step)(scan).values
