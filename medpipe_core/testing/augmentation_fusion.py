"""What an augmentation promises that is composed with its neighbours."""

from __future__ import annotations

import copy
import itertools
import math
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import Tensor

from medpipe_core.supernet.augmentation import joins_arrays, uniform_table, uniforms_of
from medpipe_core.testing.augmentation_uniforms import UniformsContract
from medpipe_core.testing.checking import close, generator, in_words, require, same

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Self

    from medpipe_core.supernet import Augmentation

    Layer = tuple[Augmentation, Any, tuple[Any, ...]]
    """An operation, the volumes that it touches, and its draw for them."""

_ROWS = ((0, 1, 2, 3, 6, 7), (2, 3, 4, 5, 6, 7), (1, 3, 5, 7))
"""What the first, second and third layer touch of nine volumes: some alone, the last none."""
_COUNT = 9
_MOST_TURNS = 8
# How much nearer a result may be to what it is not. Resampling once is not resampling twice, and
# rotations about one axis do not care for their order.
_OF_LAYERS, _OF_ORDER = 1.0, 3.0


class FusionContract(UniformsContract):
    """The part of `AugmentationContract` that is about operations with a `fusion`."""

    neighbours: Sequence[Any] = ()

    def test_joining_a_fusion_does_what_apply_does(self) -> None:
        """In a fusion with nothing else, a part of the volumes get what `apply` gives them."""
        rows = torch.tensor([0, 2])
        for magnitudes in self._fused_magnitudes():
            operation, batch = self.make(), self.batch(count=4, dtype=torch.float64)
            drawn = self.draw(operation, batch[rows], magnitudes)
            after = self.joined(batch, [(operation, rows, drawn)])
            require(
                close(after[rows], self.apply(operation, batch[rows], drawn)),
                f"{self.name} does something else in its fusion than in apply, with {magnitudes}. "
                "Let join and apply say the same, or set fusion = None in the class",
            )
            require(
                same(after[[1, 3]], batch[[1, 3]]),
                f"{self.name} in its fusion changes volumes that it is not handed the rows of",
            )

    def test_joining_with_arrays_does_what_joining_with_tensors_does(self) -> None:
        """In a policy rows and draw are arrays where `from_uniforms` makes them."""
        rows = torch.tensor([0, 2])
        for magnitudes in self._fused_magnitudes():
            operation, batch = self.make(), self.batch(count=4, dtype=torch.float64)
            if not joins_arrays(operation, operation.fusion(batch)):  # type: ignore[misc]
                pytest.skip("it joins with tensors")
            numbers = uniform_table(uniforms_of(operation) or 0, 2, generator(0)).T
            arrays = self.from_uniforms(operation, numbers, magnitudes)
            drawn = self.draw(operation, batch[rows], magnitudes)
            by_arrays = self.joined(batch, [(operation, rows.numpy(), arrays)])
            require(
                close(by_arrays, self.joined(batch, [(operation, rows, drawn)])),
                f"{self.name}.join does something else with what from_uniforms returned, arrays, "
                f"than with tensors of the same numbers, with {magnitudes}",
            )

    def test_layers_that_join_a_fusion_add_up(self) -> None:
        """Two or three layers in a fusion do what they do one after the other, in their order."""
        combinations = self._fused_magnitudes()
        beside = [self, *(self._other(found) for found in self.neighbours)]
        pairs = [pair for other in beside for pair in ([self, other], [other, self])]
        chains = [*pairs[1:], *([self, other, self] for other in beside)]
        for chain in chains:
            told = " and ".join(dict.fromkeys(part.name for part in chain))
            turns = range(min(2 * len(combinations), _MOST_TURNS))
            found = [self._distances(chain, told, turn) for turn in turns]
            # The nearest that it is not, of those that it is nearer to than it may be.
            wrong = [
                (otherwise, what, ordered)
                for what, ordered, otherwise in map(_together, zip(*found, strict=True))
                if ordered > (_OF_ORDER if "order" in what else _OF_LAYERS) * otherwise + 1e-6
            ]
            otherwise, what, ordered = min(wrong, default=(0.0, "", 0.0))
            require(
                not wrong,
                f"{len(chain)} layers of {told} in one fusion do not do what they do one after "
                f"the other: the result is apart from that by {ordered:.3g}, and from what it "
                f"were {what} by {otherwise:.3g}. join adds to what others joined before, "
                "after it: it must not overwrite it (compose, multiply or append instead of "
                "assigning), nor come before it",
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
            layer = (operation, torch.arange(len(batch)), self.draw(operation, batch, magnitudes))
            once = self.joined(batch, [layer])
            require(
                close(self.joined(2 * batch, [layer]), 2 * once),
                f"{self.name} is not linear in the volumes, so it cannot be in this fusion: the "
                "gates of its neighbours would be wrong. Set fusion = None in the class, or "
                "linear = False in the fusion",
            )

    # For tests of your own

    def joined(self, batch: Tensor, layers: Sequence[Layer]) -> Tensor:
        """Return the batch after the operations that join one fusion, in order."""
        fusion_class = layers[0][0].fusion
        with in_words(f"{self.name} cannot join its fusion, {fusion_class!r}."):
            fusion = fusion_class(batch)  # type: ignore[misc]
            for operation, rows, drawn in layers:
                operation.join(fusion, rows, *drawn)
            return fusion.result()

    def _fused_magnitudes(self) -> list[dict[str, Any]]:
        if self.make().fusion is None:
            pytest.skip("fusion = None")
        return self.combinations()

    def _other(self, operation: Any) -> Self:
        other = copy.copy(self)
        vars(other).update(operation=operation, examples=())
        require(
            other.make().fusion is self.make().fusion,
            f"{other.name}, a neighbour of {self.name}, has another fusion",
        )
        return other

    def _layer(self, batch: Tensor, number: int, turn: int) -> Layer:
        operation, rows = self.make(), torch.tensor(_ROWS[number])
        combinations = self.combinations()
        magnitudes = combinations[-1 - (turn + number) % len(combinations)]
        drawn = self.draw(operation, batch[rows], magnitudes, seed=10 * turn + number)
        return operation, rows, drawn

    def _smooth(self) -> Tensor:
        """Return volumes of one soft blob each, so that resampling twice loses little."""
        size = [3 * edge for edge in self.sizes[0]]
        axes = torch.meshgrid(*(torch.linspace(-1, 1, n).double() for n in size), indexing="ij")
        blobs = []
        for number in range(_COUNT * self.channels):
            centres = [0.25 * math.sin(number + 2 * axis) for axis in range(len(size))]
            far = sum((x - c) ** 2 / 0.08 for x, c in zip(axes, centres, strict=True))
            blobs.append(0.9 * torch.exp(-far))  # type: ignore[arg-type]
        return torch.stack(blobs).view(_COUNT, self.channels, *size)

    def _each_alone(self, batch: Tensor, layers: Sequence[Layer], fused: Tensor, told: str) -> None:
        """Fail unless volumes that one layer or none touches are as if there were no other."""
        for row in range(len(batch)):
            touching = [layer for layer in layers if row in layer[1]]
            if len(touching) > 1:
                continue
            require(
                close(fused[row], self._in_turn(batch, touching, row)),
                f"a volume that {len(touching)} of {len(layers)} layers of {told} touch gets "
                "something else in their fusion than without the others. join adds to the rows "
                "that it is handed, and leaves the others as they are",
            )

    def _distances(
        self, chain: Sequence[Self], told: str, turn: int
    ) -> list[tuple[str, float, float]]:
        """Return how far what is fused is from its layers in order, and from what it is not.

        That is: each layer left out, nothing done, and every other order; 0 and 0 where that makes
        no difference.
        """
        batch = self._smooth()
        layers = [part._layer(batch, number, turn) for number, part in enumerate(chain)]
        before = batch.clone()
        fused = self.joined(batch, layers)
        require(same(batch, before), f"the fusion of {told} writes into its volumes")
        self._each_alone(batch, layers, fused, told)
        rows = [row for row in range(len(batch)) if all(row in layer[1] for layer in layers)]

        def in_turn(way: Sequence[Layer]) -> Tensor:
            return torch.stack([self._in_turn(batch, way, row) for row in rows])

        ways: dict[str, Sequence[Layer]] = {"with nothing done": []}
        for number in range(len(layers)):
            ways[f"without layer {number + 1}"] = [*layers[:number], *layers[number + 1 :]]
        for order in list(itertools.permutations(range(len(layers))))[1:]:
            shown = ", ".join(str(number + 1) for number in order)
            ways[f"in the order {shown}"] = [layers[number] for number in order]
        expected = in_turn(layers)
        apart = float((fused[rows] - expected).norm())
        others = {what: in_turn(way) for what, way in ways.items()}
        return [
            (what, 0.0, 0.0)
            if close(other, expected)
            else (what, apart, float((fused[rows] - other).norm()))
            for what, other in others.items()
        ]

    def _in_turn(self, batch: Tensor, layers: Sequence[Layer], row: int) -> Tensor:
        """Return one volume after the layers that touch it, one after the other."""
        volume = batch[row : row + 1]
        for operation, rows, drawn in layers:
            if row in rows:
                at = rows.tolist().index(row)
                own = tuple(part[at : at + 1] for part in drawn)
                volume = self.apply(operation, volume, own)
        return volume[0]


def _together(found: Sequence[tuple[str, float, float]]) -> tuple[str, float, float]:
    """Return the distances over all turns."""
    names, ordered, otherwise = zip(*found, strict=True)
    return names[0], math.hypot(*ordered), math.hypot(*otherwise)
