"""What is drawn for all layers of a policy in one go."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from medpipe_core.supernet.augmentation import uniform_table, uniforms_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    import torch
    from numpy.typing import NDArray

    from medpipe_core.supernet.augmentation import Augmentation


class Touched(NamedTuple):
    """What is drawn for one operation.

    Attributes:
        rows: Which volumes it touches, int64, rising.
        numbers: Uniform numbers for each of these, `(count, uniforms)`; None for an operation that
            draws for itself.
    """

    rows: NDArray[np.int64]
    numbers: NDArray[np.float32] | None = None


class Drawing:
    """Draws for some operations: one table of uniform numbers, a column for each volume.

    Its first rows decide which volumes each operation touches, one row for each that may touch any;
    then come the numbers of those that are drawn by `Augmentation.from_uniforms`. They are there
    for all volumes, touched or not, so that one call draws them. What other operations draw comes
    after the table.

    Args:
        operations: The operations, in order, each with its probability.
    """

    def __init__(self, operations: Iterable[tuple[Augmentation, float]]) -> None:
        operations = tuple(operations)
        chances = [p for _, p in operations if p > 0]
        self._chances = np.array(chances, np.float32)[:, None]
        self._active = [p > 0 for _, p in operations]
        end = len(chances)
        self._numbers: list[slice | None] = []  # the rows of each operation that is active
        for operation, p in operations:
            uniforms = uniforms_of(operation)
            if p <= 0:
                continue
            self._numbers.append(None if uniforms is None else slice(end, end + uniforms))
            end += uniforms or 0
        self._rows = end

    def __call__(self, count: int, generator: torch.Generator) -> list[Touched]:
        """Draw for so many volumes; where no operation may touch any, nothing is drawn."""
        nothing = Touched(np.empty(0, np.int64))
        if not self._numbers:
            return [nothing] * len(self._active)
        table = uniform_table(self._rows, count, generator)
        touched = table[: len(self._numbers)] < self._chances
        if touched.all():
            everyone = np.arange(count)
            drawn = [
                Touched(everyone, None if numbers is None else table[numbers].T)
                for numbers in self._numbers
            ]
        else:
            drawn = [
                Touched(rows, None if numbers is None else table[numbers].take(rows, 1).T)
                for rows, numbers in zip(map(_true, touched), self._numbers, strict=True)
            ]
        if len(drawn) == len(self._active):
            return drawn
        found = iter(drawn)
        return [next(found) if active else nothing for active in self._active]


def _true(touched: NDArray[np.bool_]) -> NDArray[np.int64]:
    return touched.nonzero()[0]
