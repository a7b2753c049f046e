"""What every augmentation promises about the volumes it is given."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest
import torch
from torch import Tensor

from medpipe_core.supernet import augment_batch
from medpipe_core.testing.augmentation_draws import DrawContract
from medpipe_core.testing.augmentation_meaning import MeaningContract
from medpipe_core.testing.augmentation_precision import PrecisionContract
from medpipe_core.testing.checking import (
    ContractError,
    close,
    generator,
    in_words,
    require,
    same,
    sample_volumes,
)
from medpipe_core.testing.watching import GRADIENT_MODES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from medpipe_core.supernet import Augmentation


class AugmentationContract(MeaningContract, PrecisionContract):
    """What every augmentation promises; inherit it, and say which operation is meant.

    Attributes:
        operation: The class, a function without arguments that makes one, or an import string.
        channels: Channels of the volumes it is tried on.
        sizes: Spatial sizes it is tried on; the first is the usual one.
        dtypes: Floating-point types that it keeps; add torch.float16 and torch.bfloat16 where it is
            to work in half precision.
        differentiable: Whether its output has a gradient with respect to the volumes.
        random: Whether it draws anything; False for one that always does the same.
        mixes_channels: Whether a channel of its output may follow from another channel.
        neighbours: Other operations with the same `fusion`, to be tried beside it.
        examples: Magnitudes to try, name → value; by default both ends of every `ValueChoice` in
            every combination, and every value at least once.

    Example:
        >>> from medpipe_core import Augmentation
        >>> class Mirror(Augmentation):
        ...     def draw(self, count, generator):
        ...         return ()
        ...     def apply(self, volumes):
        ...         return volumes.flip(-1)
        >>> class TestMirror(AugmentationContract):
        ...     operation = Mirror
        ...     random = False
        >>> TestMirror().test_the_input_is_not_changed()
    """

    differentiable: bool = True
    mixes_channels: bool = False

    def test_shape_dtype_and_device_are_kept(self) -> None:
        """Volumes of every size and type come back with the same shape, type and device."""
        for device in _devices():
            for size, (count, channels), dtype in itertools.product(
                self.sizes, self._counts(), self.dtypes
            ):
                for magnitudes in self.combinations()[-3:]:
                    batch = self.batch(
                        count=count, channels=channels, size=size, dtype=dtype, device=device
                    )
                    after = self.run(batch, magnitudes=magnitudes)
                    for what in ("shape", "dtype", "device"):
                        had, has = getattr(batch, what), getattr(after, what)
                        require(
                            had == has,
                            f"{self.name}.apply turned volumes of {what} {had} into {what} {has}. "
                            f"Keep it: {_KEEP[what]}",
                        )

    def test_the_input_is_not_changed(self) -> None:
        """The volumes that come in are as they were, whatever the magnitudes."""
        for magnitudes in self.combinations():
            for size in self.sizes:
                batch = self.batch(size=size)
                before = batch.clone()
                self.run(batch, magnitudes=magnitudes)
                require(
                    same(batch, before),
                    f"{self.name}.apply changes the volumes it is given, with {magnitudes}. Do not "
                    "write into them: avoid methods that end in '_' and assignments such as "
                    "volumes[...] = ..., or work on volumes.clone()",
                )

    def test_values_stay_finite(self) -> None:
        """Blank, full, single-voxel and ordinary volumes give no NaN and no infinity."""
        for magnitudes in self.combinations():
            for size in self.sizes:
                for what, batch in self._contents(size):
                    after = self.run(batch, magnitudes=magnitudes)
                    require(
                        bool(after.isfinite().all()),
                        f"{self.name} gives NaN or infinity for {what} of size {tuple(size)}, with "
                        f"{magnitudes}. Look for a division by a range, a maximum or a deviation "
                        "that is 0 there, and put a smallest value under it, such as .clamp(1e-6)",
                    )
                    farthest = float(after.abs().max())
                    require(
                        farthest < _FAR,
                        f"{self.name} gives intensities up to {farthest:.3g} for {what} with "
                        f"{magnitudes}. Volumes come with intensities in [0, 1], and layers after "
                        "it count on about as much: is it meant for 0 to 255?",
                    )

    def test_memory_layout_does_not_matter(self) -> None:
        """Strided, transposed, channels-last and batch-last memory make no difference."""
        batch = self.batch(dtype=torch.float64)
        operation, magnitudes = self.make(), self.combinations()[-1]
        drawn = self.draw(operation, batch, magnitudes)
        expected = self.apply(operation, batch, drawn)
        for what, other in _layouts(batch):
            require(
                close(self.apply(operation, other, drawn), expected),
                f"{self.name}.apply gives other values for {what} volumes than for contiguous ones "
                "of the same content. Use reshape instead of view, and no as_strided or data_ptr",
            )

    def test_each_volume_is_transformed_alone(self) -> None:
        """Changing one volume of a batch changes nothing in the others."""
        batch = self.batch(count=4, dtype=torch.float64)
        for magnitudes in self.combinations():
            operation = self.make()
            drawn = self.draw(operation, batch, magnitudes)
            expected = self.apply(operation, batch, drawn)
            for row in range(len(batch)):
                other = batch.clone()
                other[row] = 1 - other[row] ** 2
                after = self.apply(operation, other, drawn)
                require(after.shape == expected.shape, f"{self.name}.apply changes the shape")
                alone = [i for i in range(len(batch)) if i != row]
                require(
                    close(after[alone], expected[alone]),
                    f"{self.name}.apply lets volume {row} of a batch change others, with "
                    f"{magnitudes}. The axes are (batch, channel, *space): take means, extrema and "
                    "the like over all axes but 0 with keepdim=True, and flip, roll or shuffle "
                    "along the axes from 2 on (or from the end: -3, -2, -1)",
                )

    def test_each_channel_is_transformed_alone(self) -> None:
        """Changing one channel changes no other, unless `mixes_channels` says so."""
        if self.mixes_channels:
            pytest.skip("mixes_channels = True")
        batch = self.batch(channels=3, dtype=torch.float64)
        for magnitudes in self.combinations():
            operation = self.make()
            drawn = self.draw(operation, batch, magnitudes)
            expected = self.apply(operation, batch, drawn)
            for channel in range(3):
                other = batch.clone()
                other[:, channel] = 1 - other[:, channel] ** 2
                after = self.apply(operation, other, drawn)
                alone = [i for i in range(3) if i != channel]
                require(
                    after.shape == expected.shape and close(after[:, alone], expected[:, alone]),
                    f"{self.name}.apply lets channel {channel} change other channels, with "
                    f"{magnitudes}. The axes are (batch, channel, *space): flip, roll or shuffle "
                    "along the axes from 2 on. If mixing channels is what it is for, set "
                    "mixes_channels = True in the test",
                )

    def test_a_batch_equals_its_volumes_one_by_one(self) -> None:
        """A batch with its draw gives what each volume gives with its row of the draw."""
        few = ((self.sizes[0], count) for count in (2, _MANY))
        for size, count in (*((size, 3) for size in self.sizes), *few):
            batch = self.batch(count=count, size=size, dtype=torch.float64)
            for magnitudes in self.combinations():
                operation = self.make()
                drawn = self.draw(operation, batch, magnitudes)
                whole = self.apply(operation, batch, drawn)
                for row in range(len(batch)):
                    one = slice(row, row + 1)
                    alone = self.apply(operation, batch[one], tuple(d[one] for d in drawn))
                    require(
                        close(alone, whole[one]),
                        f"{self.name}.apply gives volume {row} another result alone, with its row "
                        f"of the draw, than within its batch (size {tuple(size)}, {magnitudes}). "
                        "Use row i of the draw for volume i: reshape an amount of each volume to "
                        "(-1, 1, 1, 1, 1) before it meets the volumes",
                    )

    def test_gradients_are_those_of_finite_differences(self) -> None:
        """The gradient with respect to the volumes is right, in double precision."""
        if not self.differentiable:
            pytest.skip("differentiable = False")
        size = tuple(min(edge, most) for edge, most in zip(self.sizes[0], (3, 4, 5), strict=False))
        batch = 0.2 + 0.5 * self.batch(count=2, size=size, dtype=torch.float64)
        batch.requires_grad_()
        for magnitudes in (self.combinations()[0], self.combinations()[-1]):
            operation = self.make()
            drawn = self.draw(operation, batch.detach(), magnitudes)
            remedy = (
                "Compute with torch operations from the volumes to the result, without detach, "
                ".data, numpy or torch.no_grad. If it has no gradient by its nature, set "
                "differentiable = False in the test"
            )
            require(
                self.apply(operation, batch, drawn).requires_grad,
                f"{self.name}.apply cuts the gradient with respect to the volumes. {remedy}",
            )
            try:
                torch.autograd.gradcheck(lambda v: self.apply(operation, v, drawn), batch)  # noqa: B023
            except (RuntimeError, AssertionError) as error:
                if isinstance(error, ContractError):
                    raise
                raise ContractError(
                    f"{self.name}.apply has a gradient that finite differences do not confirm, "
                    f"with {magnitudes}: {str(error).splitlines()[0]}. {remedy}"
                ) from error

    def test_recording_gradients_makes_no_difference(self) -> None:
        """With gradients, under no_grad and in inference_mode it draws and does the same."""
        for magnitudes, dtype in itertools.product(self.combinations(), self.dtypes[:2]):
            operation, batch = self.make(), self.batch(dtype=dtype)
            expected = self._ways(operation, batch, self.draw(operation, batch, magnitudes))
            for words, mode, asks in GRADIENT_MODES:
                if asks and not self.differentiable:
                    continue
                volumes = batch.clone().requires_grad_(asks)
                with mode():
                    drawn = self.draw(operation, volumes, magnitudes)
                    found = self._ways(operation, volumes, drawn)
                for way, after in found.items():
                    require(
                        close(after.detach().clone(), expected[way]),
                        f"{self.name} {way} gives something else {words} than otherwise, with "
                        f"{magnitudes}. Let nothing depend on torch.is_grad_enabled(), "
                        "torch.is_inference_mode_enabled() or volumes.requires_grad: augmentation "
                        "runs in each of these modes",
                    )

    def test_untouched_volumes_stay_as_they_are(self) -> None:
        """At p = 0 the very batch comes back; at p = 0.5 untouched volumes keep their bits."""
        operation, magnitudes, batch = self.make(), self.combinations()[-1], self.batch(count=40)
        source = generator(0)
        before = source.get_state()
        after = augment_batch(operation, batch, source, p=0.0, magnitudes=magnitudes)
        require(
            after is batch and torch.equal(source.get_state(), before),
            f"{self.name} does something at p = 0, where nothing may be drawn or changed",
        )
        touched = torch.rand(len(batch), generator=generator(0)) < 0.5
        with in_words(f"{self.name} cannot be applied to a part of a batch."):
            after = augment_batch(operation, batch, generator(0), p=0.5, magnitudes=magnitudes)
        require(
            same(after[~touched], batch[~touched]),
            f"{self.name} changes volumes that p left out. Do not write into the volumes",
        )

    def _counts(self) -> list[tuple[int, int]]:
        """Return numbers of volumes and channels to try: one of each, too."""
        most = [(3, self.channels), (1, self.channels)]
        return [*most, (3, 1), (1, 1)] if self.channels == DrawContract.channels else most

    def _ways(
        self, operation: Augmentation, batch: Tensor, drawn: tuple[Tensor, ...]
    ) -> dict[str, Tensor]:
        """Return what it does to a batch alone, and in its fusion if it has one."""
        found = {"alone": self.apply(operation, batch, drawn)}
        if operation.fusion is not None:
            rows = torch.arange(len(batch))
            found["in its fusion"] = self.joined(batch, [(operation, rows, drawn)])
        return found

    def _contents(self, size: tuple[int, ...]) -> Iterator[tuple[str, Tensor]]:
        blank = torch.zeros(2, self.channels, *size)
        yield "volumes that are 0 everywhere", blank
        yield "volumes that are 1 everywhere", blank + 1
        single = blank.clone()
        single.flatten(1)[:, 0] = 1
        yield "volumes of which one voxel is 1", single
        yield "ordinary volumes", sample_volumes(2, self.channels, size)


_MANY = 20
_FAR = 32  # above what standardised intensities reach
_KEEP = {
    "shape": "whatever moves content between axes of different length has to cut or fill",
    "dtype": "bring what was drawn to the volumes' type, as in drawn.to(volumes.dtype)",
    "device": "make new tensors with device=volumes.device",
}


def _devices() -> list[str]:
    return ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]


def _layouts(batch: Tensor) -> Iterator[tuple[str, Tensor]]:
    strided = torch.empty(*batch.shape[:-1], 2 * batch.shape[-1], dtype=batch.dtype)[..., ::2]
    yield "strided", strided.copy_(batch)
    yield "transposed", batch.transpose(2, -1).contiguous().transpose(2, -1)
    if batch.ndim in (4, 5):
        last = torch.channels_last if batch.ndim == 4 else torch.channels_last_3d
        yield "channels-last", batch.contiguous(memory_format=last)
    yield "batch-last", batch.movedim(0, -1).contiguous().movedim(-1, 0)
