"""What an augmentation promises whose draw is made of uniform numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from medpipe_core.supernet.augmentation import as_tensor, uniform_table, uniforms_of
from medpipe_core.testing.augmentation_draws import DrawContract, same_draws
from medpipe_core.testing.checking import generator, in_words, require
from medpipe_core.testing.watching import global_seeds, global_state_kept

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from medpipe_core.supernet import Augmentation

    Arrays = tuple[NDArray[Any], ...]

_COUNT = 5
_TOLERANCE = 1e-6
_ALONE = (
    "Nothing but the numbers and the magnitudes may decide what comes out: draw nothing in "
    "from_uniforms, and keep nothing in self"
)


class UniformsContract(DrawContract):
    """The part of `AugmentationContract` that is about operations with `from_uniforms`."""

    def test_uniform_numbers_alone_decide_the_draw(self) -> None:
        """The same numbers give the same draw, are not written into, and nothing else is drawn."""
        for magnitudes in self._uniform_magnitudes():
            operation, numbers = self.make(), self._numbers(self.make())
            before = numbers.copy()
            with global_seeds(1), global_state_kept(self.name, _ALONE):
                first = self.from_uniforms(operation, numbers, magnitudes)
            with global_seeds(2):
                again = self.from_uniforms(operation, numbers, magnitudes)
                fresh = self.from_uniforms(self.make(), before, magnitudes)
            require(
                _same(first, again) and _same(first, fresh),
                f"{self.name}.from_uniforms gives something else for the same numbers, with "
                f"{magnitudes}. {_ALONE}",
            )

    def test_each_volume_is_drawn_by_its_own_numbers(self) -> None:
        """A row of the draw follows from the same row of the numbers."""
        for magnitudes in self._uniform_magnitudes():
            operation, numbers = self.make(), self._numbers(self.make())
            whole = self.from_uniforms(operation, numbers, magnitudes)
            for row in range(_COUNT):
                one = slice(row, row + 1)
                alone = self.from_uniforms(operation, numbers[one], magnitudes)
                require(
                    len(alone) == len(whole)
                    and all(
                        a.shape == w[one].shape and _close(a, w[one])
                        for a, w in zip(alone, whole, strict=True)
                    ),
                    f"{self.name}.from_uniforms gives row {row} another draw alone than among "
                    f"{_COUNT}, with {magnitudes}. Row i of the draw has to follow from row i of "
                    "the numbers, `(count, uniforms)`, and from no other",
                )

    def test_draw_is_made_of_uniform_numbers(self) -> None:
        """`draw` is what `from_uniforms` makes of the numbers that a policy would draw."""
        for magnitudes in self._uniform_magnitudes():
            operation = self.make()
            table = uniform_table(uniforms_of(operation) or 0, _COUNT, generator(3)).T
            made = self.from_uniforms(operation, table, magnitudes)
            drawn = self.draw(operation, self.batch(count=_COUNT), magnitudes, seed=3)
            require(
                same_draws(drawn, tuple(map(as_tensor, made))),
                f"{self.name}.draw is something else than from_uniforms, which a policy uses. "
                "Leave draw and draw_for out: the base class makes them of from_uniforms",
            )

    # For tests of your own

    def from_uniforms(
        self, operation: Augmentation, numbers: NDArray[np.float32], magnitudes: Mapping[str, Any]
    ) -> Arrays:
        """Make a draw of uniform numbers, which cannot be written into."""
        __tracebackhide__ = True
        numbers = numbers.view()
        numbers.flags.writeable = False
        with in_words(
            f"{self.name}.from_uniforms cannot draw from numbers {numbers.shape} with "
            f"{dict(magnitudes)}. It is called as from_uniforms(numbers, **magnitudes), and must "
            "not write into the numbers."
        ):
            drawn = operation.from_uniforms(numbers, **magnitudes)
        parts = (drawn,) if isinstance(drawn, np.ndarray) else drawn
        require(
            isinstance(parts, tuple) and all(isinstance(part, np.ndarray) for part in parts),
            f"{self.name}.from_uniforms returns a {type(drawn).__name__}; return an array or a "
            "tuple of arrays (the empty one where nothing is drawn)",
        )
        for part in parts:
            require(
                part.ndim > 0 and len(part) == len(numbers),
                f"{self.name}.from_uniforms gives an array of shape {part.shape} for "
                f"{len(numbers)} volumes, with {dict(magnitudes)}. Its first dimension must be the "
                "number of volumes",
            )
        return parts

    def _uniform_magnitudes(self) -> list[dict[str, Any]]:
        if uniforms_of(self.make()) is None:
            pytest.skip("it has no from_uniforms")
        return self.combinations()

    def _numbers(self, operation: Augmentation) -> NDArray[np.float32]:
        """Return numbers to try, 0 and the largest below 1 among them."""
        numbers = uniform_table(uniforms_of(operation) or 0, _COUNT, generator(0)).T.copy()
        numbers[0], numbers[1] = 0, 1 - 2**-24
        return numbers


def _same(one: Arrays, other: Arrays) -> bool:
    return len(one) == len(other) and all(map(np.array_equal, one, other))


def _close(one: NDArray[Any], other: NDArray[Any]) -> bool:
    """Say whether two draws agree; functions of many numbers at once may round otherwise."""
    return bool(np.allclose(one, other, rtol=_TOLERANCE, atol=_TOLERANCE))
