"""What an augmentation promises that is composed with its neighbours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import Tensor

from medpipe_core.testing.augmentation_draws import DrawContract
from medpipe_core.testing.checking import close, in_words, require, same

if TYPE_CHECKING:
    from medpipe_core.supernet import Augmentation


class FusionContract(DrawContract):
    """The part of `AugmentationContract` that is about operations with a `fusion`."""

    def test_joining_a_fusion_does_what_apply_does(self) -> None:
        """In a fusion with nothing else, a part of the volumes get what `apply` gives them."""
        rows = torch.tensor([0, 2])
        for magnitudes in self._fused_magnitudes():
            operation, batch = self.make(), self.batch(count=4, dtype=torch.float64)
            drawn = self.draw(operation, batch[rows], magnitudes)
            after = self._joined(operation, batch, rows, drawn)
            require(
                close(after[rows], self.apply(operation, batch[rows], drawn)),
                f"{self.name} does something else in its fusion than in apply, with {magnitudes}. "
                "Let join and apply say the same, or set fusion = None in the class",
            )
            require(
                same(after[[1, 3]], batch[[1, 3]]),
                f"{self.name} in its fusion changes volumes that it is not handed the rows of",
            )

    def test_a_fused_operation_draws_from_the_shape_alone(self) -> None:
        """Other volumes get the same draw."""
        for magnitudes in self._fused_magnitudes():
            operation, batch = self.make(), self.batch(dtype=torch.float64)
            drawn = self.draw(operation, batch, magnitudes)
            others = self.draw(operation, 1 - batch, magnitudes)
            require(
                all(map(same, drawn, others)),
                f"{self.name} draws something else for volumes of other content. In a fusion the "
                "volumes do not exist yet: draw from their shape alone, or set fusion = None",
            )

    def test_an_operation_in_a_linear_fusion_is_linear(self) -> None:
        """Twice the volumes give twice the result."""
        for magnitudes in self._fused_magnitudes():
            operation, batch = self.make(), self.batch(dtype=torch.float64)
            if operation.fusion is None or not operation.fusion.linear:
                pytest.skip("its fusion says that it is not linear")
            drawn = self.draw(operation, batch, magnitudes)
            rows = torch.arange(len(batch))
            once = self._joined(operation, batch, rows, drawn)
            require(
                close(self._joined(operation, 2 * batch, rows, drawn), 2 * once),
                f"{self.name} is not linear in the volumes, so it cannot be in this fusion: the "
                "gates of its neighbours would be wrong. Set fusion = None in the class, or "
                "linear = False in the fusion",
            )

    def _fused_magnitudes(self) -> list[dict[str, Any]]:
        if self.make().fusion is None:
            pytest.skip("fusion = None")
        return self.combinations()

    def _joined(
        self, operation: Augmentation, batch: Tensor, rows: Tensor, drawn: tuple[Tensor, ...]
    ) -> Tensor:
        with in_words(f"{self.name} cannot join its fusion, {operation.fusion!r}."):
            fusion = operation.fusion(batch)  # type: ignore[misc]
            operation.join(fusion, rows, *drawn)
            return fusion.result()
