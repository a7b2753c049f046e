"""What every building block of a network promises."""

from __future__ import annotations

from typing import Any

import torch

from medpipe_core.space import Operation, SearchSpace
from medpipe_core.supernet import ResourceMeter
from medpipe_core.testing.checking import close, in_words, require
from medpipe_core.testing.modules import ModuleContract, given_factory


class BlockContract(ModuleContract):
    """What every block promises; inherit it, and say which block is meant.

    Attributes:
        block: The class or function, called as `block(in_channels, **parameters)`, or an import
            string.
        stride: By what the block divides every axis, rounding up; by default the parameter
            `stride`, else 1. None says nothing of it.

    See `ModuleContract` for the rest: `parameters`, `in_channels`, `sizes`, `idle_parameters`,
    `random_in_training`.

    Example:
        >>> class Double(torch.nn.Module):
        ...     def __init__(self, in_channels):
        ...         super().__init__()
        ...         self.out_channels = in_channels
        ...     def forward(self, volumes):
        ...         return 2 * volumes
        >>> class TestDouble(BlockContract):
        ...     block = Double
        >>> TestDouble().test_it_says_how_many_channels_it_gives()
    """

    block: Any = None
    stride: Any = "parameters"

    def test_it_says_how_many_channels_it_gives(self) -> None:
        """`out_channels` is a whole number, and as many channels come out."""
        module = self.make()
        stated = getattr(module, "out_channels", None)
        require(
            type(stated) is int and stated > 0,
            f"{self.name} has out_channels = {stated!r}; set self.out_channels to the number of "
            "channels it gives, in its constructor",
        )
        for size in self.sizes:
            found = self.run(module, self.batch(size=size)).shape[1]
            require(
                found == stated,
                f"{self.name} gives {found} channels but says out_channels = {stated}; the next "
                "block is built for what it says",
            )

    def test_axes_are_kept_or_divided_by_the_stride(self) -> None:
        """`(batch, in_channels, *space)` becomes `(batch, out_channels, *space / stride)`."""
        stride = self.parameters.get("stride", 1) if self.stride == "parameters" else self.stride
        for size in self.sizes:
            volumes = self.batch(size=size)
            after = self.run(self.make(), volumes)
            require(
                after.ndim == volumes.ndim and len(after) == len(volumes) and min(after.shape) > 0,
                f"{self.name} turns {tuple(volumes.shape)} into {tuple(after.shape)}; it must keep "
                "the batch and the number of axes, and leave at least one voxel of each",
            )
            if stride is None:
                continue
            expected = tuple(-(-edge // stride) for edge in size)
            require(
                tuple(after.shape[2:]) == expected,
                f"{self.name} turns the size {tuple(size)} into {tuple(after.shape[2:])}; with "
                f"stride {stride} it should be {expected}, so that candidates fit one another. Pad "
                "by kernel // 2, or set `stride` in the test (None: whatever comes)",
            )

    def test_memory_layout_does_not_matter(self) -> None:
        """Channels-last and strided memory give what contiguous memory does."""
        module, volumes = self.make().eval(), self.batch()
        strided = torch.empty(*volumes.shape[:-1], 2 * volumes.shape[-1])[..., ::2].copy_(volumes)
        others = {"strided": strided, "batch-last": volumes.movedim(0, -1).contiguous()}
        others["batch-last"] = others["batch-last"].movedim(-1, 0)
        if volumes.ndim == 5:
            others["channels-last"] = volumes.contiguous(memory_format=torch.channels_last_3d)
        expected = self.run(module, volumes)
        for what, other in others.items():
            require(
                close(self.run(module, other), expected),
                f"{self.name} gives other values for {what} volumes of the same content. Use "
                "reshape instead of view, and no as_strided",
            )

    def test_its_cost_can_be_measured(self) -> None:
        """`ResourceMeter` counts the trainable numbers that a real module has."""
        factory = given_factory(self, "block")
        space = SearchSpace(
            "block",
            Operation("block", "block", dict(self.parameters)),
            catalogue=_Shelf(factory),
        )
        meter = ResourceMeter(
            space, in_channels=self.in_channels, num_classes=2, size=self.sizes[0]
        )
        with in_words(
            f"{self.name} cannot be measured. It is built and run on torch's meta device, which "
            "has shapes and no numbers: do not look at values (item, tolist, if tensor:) in the "
            "constructor or in evaluation mode, and make tensors on the volumes' device."
        ):
            cost = meter(space.sample(seed=0))
        module = self.make()
        head = 2 * (int(module.out_channels) + 1)  # type: ignore[arg-type]
        real = sum(p.numel() for p in module.parameters() if p.requires_grad)
        require(
            cost.parameters - head == real and cost.multiply_adds >= 0,
            f"{self.name} is measured as {cost.parameters - head} trainable numbers, but a real "
            f"module has {real}. Make all parameters in the constructor, whatever the device",
        )

    def factory(self) -> Any:
        """Return what makes the block."""
        return given_factory(self, "block")

    def call(self) -> Any:
        """Make a block."""
        return self.factory()(self.in_channels, **self.parameters)


class _Shelf:
    """A catalogue of one block."""

    def __init__(self, factory: Any) -> None:
        self._factory = factory

    def factory(self, kind: str, name: str, /) -> Any:
        return self._factory

    def origin(self, kind: str, name: str, /) -> tuple[str, str]:
        return ("the plugin under test", "0")

    def versions(self) -> dict[str, str]:
        return {"the plugin under test": "0"}
