"""Exact symmetries of volumes, and predictions averaged over them."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from torch import nn

from medpipe_core.supernet.ensemble import mean_probability

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from torch import Tensor


@dataclass(frozen=True)
class Symmetry:
    """Axes of a volume exchanged and mirrored; nothing is interpolated.

    Attributes:
        order: For each axis of the result, which axis of space it is taken from, from 0.
        mirrored: For each axis of the result, whether it is mirrored.
    """

    order: tuple[int, ...]
    mirrored: tuple[bool, ...]

    @classmethod
    def mirror(cls, axis: int, axes: int) -> Symmetry:
        """Return the mirror along one axis of so many; the axis may be counted from the end."""
        return cls(tuple(range(axes)), tuple(i == axis % axes for i in range(axes)))

    @classmethod
    def quarter_turn(cls, one: int, other: int, axes: int) -> Symmetry:
        """Return the turn by 90° that takes one axis to another."""
        order = list(range(axes))
        order[one], order[other] = other, one
        return cls(tuple(order), tuple(i == other for i in range(axes)))

    def __call__(self, volumes: Tensor) -> Tensor:
        """Return volumes, `(batch, channel, *space)`, as the symmetry has them."""
        first = volumes.ndim - len(self.order)
        turned = volumes.permute(*range(first), *(first + axis for axis in self.order))
        along = [first + axis for axis, mirrored in enumerate(self.mirrored) if mirrored]
        return turned.flip(along) if along else turned

    def after(self, other: Symmetry) -> Symmetry:
        """Return what does the other one first, and then this one."""
        return Symmetry(
            tuple(other.order[axis] for axis in self.order),
            tuple(
                mine != other.mirrored[axis]
                for axis, mine in zip(self.order, self.mirrored, strict=True)
            ),
        )

    @property
    def mirrors(self) -> bool:
        """Whether it exchanges sides, as an odd number of mirrors does."""
        pairs = itertools.combinations(self.order, 2)
        return (sum(a > b for a, b in pairs) + sum(self.mirrored)) % 2 == 1

    def keeps(self, size: Sequence[int]) -> bool:
        """Say whether volumes of a size keep it."""
        return tuple(size[axis] for axis in self.order) == tuple(size)

    def to_plain(self) -> list[list[Any]]:
        """Return it as plain data."""
        return [list(self.order), list(self.mirrored)]

    @classmethod
    def from_plain(cls, data: Sequence[Sequence[Any]]) -> Symmetry:
        """Read what `to_plain` gave.

        Raises:
            ValueError: It is none.
        """
        order, mirrored = tuple(map(int, data[0])), tuple(map(bool, data[1]))
        if sorted(order) != list(range(len(order))) or len(mirrored) != len(order):
            raise ValueError(f"{data!r} is no symmetry: give the order of the axes, and flags")
        return cls(order, mirrored)


def generated(makers: Iterable[Symmetry], axes: int) -> tuple[Symmetry, ...]:
    """Return all that some symmetries make when done one after another, but the identity."""
    makers = list(dict.fromkeys(makers))
    found = {Symmetry(tuple(range(axes)), (False,) * axes)}
    new = found
    while new:
        new = {one.after(other) for one, other in itertools.product(makers, new)} - found
        found = found | new
    return tuple(sorted(found, key=lambda s: (s.order, s.mirrored))[1:])


class Averaged(nn.Module):
    """A network whose probabilities are averaged over symmetries of the volumes.

    It gives logits, the logarithms of the averaged probabilities, for `(batch, channel, *space)`.

    Args:
        network: The network.
        symmetries: The volumes are looked at as they are, and as each of these has them.
    """

    def __init__(self, network: nn.Module, symmetries: Sequence[Symmetry]) -> None:
        super().__init__()
        self.network = network
        self._symmetries = tuple(symmetries)

    def forward(self, volumes: Tensor) -> Tensor:
        """Return the logits, `(batch, classes)`."""
        views = (volumes, *(symmetry(volumes) for symmetry in self._symmetries))
        return mean_probability([self.network(view) for view in views])
