"""What every augmentation promises about what it says that it changes."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import pytest
import torch

from medpipe_core.space import SpaceError, declared_changes
from medpipe_core.supernet import Symmetry
from medpipe_core.testing.augmentation_fusion import FusionContract
from medpipe_core.testing.checking import ContractError, close, require

if TYPE_CHECKING:
    from torch import Tensor

_VALUES = {"intensity", "texture", "content"}
_PLACES = {"side", "orientation", "position", "size"}
_GREY, _BRIGHTER, _CLOSE = 0.5, 0.05, 1e-3


class MeaningContract(FusionContract):
    """The part of `AugmentationContract` that is about `changes`.

    An operation that says nothing keeps it, and is refused where users forbid something.
    """

    def test_what_it_changes_is_said_in_words(self) -> None:
        """`changes` is None, or a set of words."""
        try:
            declared_changes(type(self.make()))
        except SpaceError as error:
            raise ContractError(str(error)) from error

    def test_what_it_does_not_mention_stays(self) -> None:
        """Intensities stay, and voxels stay in their places, unless `changes` says otherwise."""
        said = self._said()
        size = self.sizes[0]
        centre: tuple[Any, ...] = (..., *(length // 2 for length in size))
        grey = torch.full((3, self.channels, *size), _GREY, dtype=torch.float64)
        spot = grey.clone()
        spot[centre] += _BRIGHTER
        for magnitudes in self.combinations():
            operation = self.make()
            drawn = self.draw(operation, grey, magnitudes)
            plain = self.apply(operation, grey, drawn)
            require(
                bool(said & _VALUES) or float((plain[centre] - _GREY).abs().max()) < _CLOSE,
                f"{self.name} changes intensities in the middle of grey volumes with {magnitudes}, "
                f"but says that it changes {_listed(said)}. Add to `changes` what it is: "
                "intensity, texture (noise, sharpness) or content (parts that are covered)",
            )
            moved = (self.apply(operation, spot, drawn) - plain).abs()
            require(
                bool(said & _PLACES) or _stays(moved, centre),
                f"{self.name} moves a bright spot away from its place, with {magnitudes}, but says "
                f"that it changes {_listed(said)}. Add what it is to `changes`: side, orientation, "
                "position or size",
            )

    def test_a_mirror_says_that_it_exchanges_sides(self) -> None:
        """What mirrors volumes along an odd number of axes has "side" in `changes`."""
        said = self._said()
        batch = self.batch(dtype=torch.float64)
        axes = [axis for axis in range(2, batch.ndim) if batch.shape[axis] > 1]
        odd = [a for n in range(1, len(axes) + 1, 2) for a in itertools.combinations(axes, n)]
        for magnitudes in self.combinations():
            after = self.run(batch, magnitudes=magnitudes)
            mirrored = next((a for a in odd if close(after, batch.flip(a))), None)
            require(
                mirrored is None or "side" in said,
                f"{self.name} mirrors volumes along {mirrored}, but says that it changes "
                f'{_listed(said)}. Add "side" to `changes`: where left and right matter, users '
                "forbid it by that word",
            )

    def test_its_symmetries_are_exact(self) -> None:
        """`symmetries` are those of the volumes' axes; one that mirrors is said to change sides."""
        size = self.sizes[0]
        for magnitudes in self.combinations():
            operation = self.make()
            found = operation.symmetries(len(size), **magnitudes)
            for one in found:
                require(
                    isinstance(one, Symmetry) and len(one.order) == len(size),
                    f"{self.name}.symmetries({len(size)}) gives {one!r}, which is no Symmetry of "
                    f"{len(size)} axes; make it with medpipe_core.Symmetry",
                )
                require(
                    not one.mirrors or "side" in (declared_changes(type(operation)) or {"side"}),
                    f'{self.name}.symmetries has a mirror, but "side" is not in `changes`',
                )
            if found and not self.random:
                batch = self.batch(dtype=torch.float64)
                after = self.run(batch, magnitudes=magnitudes)
                require(
                    any(one.keeps(size) and close(after, one(batch)) for one in found),
                    f"{self.name} does none of its symmetries, with {magnitudes}",
                )

    def _said(self) -> frozenset[str]:
        said = declared_changes(type(self.make()))
        if said is None:
            pytest.skip("it does not say what it changes")
        return said


def _stays(moved: Tensor, centre: tuple[Any, ...]) -> bool:
    """Say whether what changed is largest in one place, or nothing changed, of each volume."""
    farthest = moved.flatten(2).amax(2)
    return bool((moved[centre] >= farthest - 1e-12).all())


def _listed(said: frozenset[str]) -> str:
    return ", ".join(sorted(said)) or "nothing"
