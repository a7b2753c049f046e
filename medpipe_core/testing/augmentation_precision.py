"""What every augmentation promises of the precision it computes in."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest
import torch

from medpipe_core.testing.augmentation_fusion import FusionContract
from medpipe_core.testing.checking import ContractError, require

if TYPE_CHECKING:
    from torch import Tensor

_OFF = 5e-5  # of intensities about 1; single precision is nearer, half precision farther off
_MOST_OFF = 0.25  # share of changed voxels: rounding and thresholds flip a few
_ALIKE = 0.25  # share of the change; coordinates that autocast lowers come to less
_LEAST_CHANGE = 0.05  # of the spread


class PrecisionContract(FusionContract):
    """The part of `AugmentationContract` that is about precision."""

    dtypes: tuple[torch.dtype, ...] = (torch.float32, torch.float64)

    def test_it_computes_in_the_precision_of_its_volumes(self) -> None:
        """Single precision gives what double precision does, nearly: nothing is lowered."""
        if not {torch.float32, torch.float64} <= set(self.dtypes):
            pytest.skip("it takes no single or no double precision")
        for size, magnitudes in itertools.product(self.sizes, self.combinations()):
            operation, batch = self.make(), self.batch(size=size)
            drawn = self.draw(operation, batch, magnitudes)
            wide = tuple(d.double() if d.is_floating_point() else d for d in drawn)
            exact = self.apply(operation, batch.double(), wide)
            found = self.apply(operation, batch, drawn).double()
            changed = (exact - batch).abs() > _OFF
            off = (found - exact).abs() > _OFF * exact.abs().clamp_min(1)
            share = float((off & changed).sum() / changed.sum().clamp_min(1))
            require(
                share <= _MOST_OFF,
                f"{self.name}.apply is off by more than {_OFF} in {share:.0%} of the voxels that "
                f"it changes in float32, measured by float64, with {magnitudes}. Compute in the "
                "type of the volumes: no torch.autocast, .half() or .bfloat16()",
            )

    def test_autocast_makes_no_difference(self) -> None:
        """Inside torch.autocast it does about the same, though medpipe itself keeps that off."""
        for magnitudes in self.combinations():
            batch = self.batch()
            expected = self.run(batch, magnitudes=magnitudes)
            try:
                with torch.autocast("cpu", dtype=torch.bfloat16):
                    found = self.run(batch, magnitudes=magnitudes)
            except ContractError:
                continue  # types that do not go together there never meet in a run
            apart = _norm(found.float() - expected)
            change = max(_norm(expected - batch), _LEAST_CHANGE * _norm(batch - batch.mean()))
            require(
                apart <= _ALIKE * change,
                f"{self.name} does something else inside of torch.autocast, by "
                f"{apart / change:.0%} of what it changes, with {magnitudes}. Let nothing depend "
                "on torch.is_autocast_enabled(): a run augments outside of it",
            )


def _norm(difference: Tensor) -> float:
    return float(difference.norm())
