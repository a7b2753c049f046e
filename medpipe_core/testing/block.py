"""What every building block of a network promises."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch

from medpipe_core.space import (
    Group,
    Operation,
    SearchSpace,
    declared_choices,
    declared_widths,
)
from medpipe_core.supernet import ResourceMeter, build_network
from medpipe_core.testing.checking import close, in_words, require
from medpipe_core.testing.covering import every_pair, every_value
from medpipe_core.testing.module_runs import given_factory
from medpipe_core.testing.modules import ModuleContract

if TYPE_CHECKING:
    from typing import Self

    from medpipe_core.space import ValueChoice

_WIDE = 6


class BlockContract(ModuleContract):
    """What every block promises; inherit it, and say which block is meant.

    Attributes:
        block: The class or function, called as `block(in_channels, **parameters)`, or an import
            string.
        parameters: Keyword arguments; besides these, every value that the class declares as a
            `ValueChoice` is tried.
        stride: By what the block divides every axis, rounding up; by default the parameter
            `stride`, else 1. None says nothing of it.

    See `ModuleContract` for the rest: `in_channels`, `sizes`, `idle_parameters`,
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
        """`out_channels` is a whole number, and as many channels come out, whatever comes in."""
        for one in (*self.variants(), self.varied(in_channels=2 * self.in_channels)):
            module = one.make()
            stated = getattr(module, "out_channels", None)
            require(
                type(stated) is int and stated > 0,
                f"{one.name} has out_channels = {stated!r}; set self.out_channels to the number of "
                "channels it gives, in its constructor",
            )
            for size in one.sizes:
                found = one.run(module, one.batch(size=size)).shape[1]
                require(
                    found == stated,
                    f"{one.name} gives {found} channels for {one.in_channels} that come in, but "
                    f"says out_channels = {stated}; the next block is built for what it says",
                )

    def test_axes_are_kept_or_divided_by_the_stride(self) -> None:
        """`(batch, in_channels, *space)` becomes `(batch, out_channels, *space / stride)`."""
        for one in self.variants():
            one._keeps_axes()

    def test_every_declared_value_makes_a_block_that_fits(self) -> None:
        """Every pair of declared values is taken, and gives as many channels as any other."""
        declared = self.declared()
        if not declared:
            pytest.skip("the class declares no ValueChoice")
        leaving = {}
        for chosen in every_pair({name: choice.values for name, choice in declared.items()}):
            one = self.varied(parameters={**self.parameters, **chosen})
            with in_words(
                f"{one.name}, with values that its class declares as ValueChoice, does not run. A "
                f"space offers every declared value: let the constructor take {', '.join(chosen)} "
                "by name and work with each value, or declare fewer."
            ):
                one._keeps_axes()
                leaving[one.name] = one.run(one.make(), one.batch()).shape[1]
        require(
            len(set(leaving.values())) == 1,
            "values that the class declares give different numbers of channels ("
            f"{', '.join(f'{name}: {found}' for name, found in leaving.items())}), so that no "
            "space can offer them as one choice. Let another, fixed parameter decide the channels",
        )

    def test_memory_layout_does_not_matter(self) -> None:
        """Channels-last and strided memory give what contiguous memory does."""
        for one in self.variants():
            module, volumes = one.make().eval(), one.batch()
            strided = torch.empty(*volumes.shape[:-1], 2 * volumes.shape[-1])[..., ::2]
            others = {"strided": strided.copy_(volumes)}
            others["batch-last"] = volumes.movedim(0, -1).contiguous().movedim(-1, 0)
            if volumes.ndim == 5:
                others["channels-last"] = volumes.contiguous(memory_format=torch.channels_last_3d)
            expected = one.run(module, volumes)
            for what, other in others.items():
                require(
                    close(one.run(module, other), expected),
                    f"{one.name} gives other values for {what} volumes of the same content. Use "
                    "reshape instead of view, and no as_strided",
                )

    def test_its_cost_can_be_measured(self) -> None:
        """`ResourceMeter` counts the trainable numbers that a real module has."""
        for one in self.variants():
            space = SearchSpace(
                "block",
                Operation("block", "block", dict(one.parameters)),
                catalogue=_Shelf(one.factory()),
            )
            meter = ResourceMeter(
                space, in_channels=one.in_channels, num_classes=2, size=one.sizes[0]
            )
            with in_words(
                f"{one.name} cannot be measured. It is built and run on torch's meta device, which "
                "has shapes and no numbers: do not look at values (item, tolist, if tensor:) in "
                "the constructor or in evaluation mode, and make tensors on the volumes' device."
            ):
                cost = meter(space.sample(seed=0))
            module = one.make()
            head = 2 * (int(module.out_channels) + 1)  # type: ignore[arg-type]
            real = sum(p.numel() for p in module.parameters() if p.requires_grad)
            require(
                cost.parameters - head == real and cost.multiply_adds >= 0,
                f"{one.name} is measured as {cost.parameters - head} trainable numbers, but a real "
                f"module has {real}. Make all parameters in the constructor, whatever the device",
            )

    def test_it_can_be_made_narrower(self) -> None:
        """What `@widths(...)` names takes other numbers of channels."""
        names = declared_widths(self.factory())
        if not names:
            pytest.skip("it does not say what its width is")
        for one in self.variants():
            wide = {**one.parameters, **dict.fromkeys(names, _WIDE)}
            root = Group({"block": Operation("block", "block", wide)})
            space = SearchSpace("block", root, catalogue=_Shelf(one.factory()))
            with in_words(
                f"{one.name} cannot be made narrower by the parameters that it names in "
                f"widths({', '.join(map(repr, names))}), of {_WIDE} channels to {_WIDE // 2}. Let "
                "it take any whole number from 1, or do not name them."
            ):
                network = build_network(
                    space,
                    space.sample(seed=0),
                    in_channels=one.in_channels,
                    num_classes=2,
                    width=0.5,
                )
                network.eval()(one.batch())

    def declared(self) -> dict[str, ValueChoice]:
        """Return the searchable parameters that the class declares."""
        return declared_choices(self.factory())

    def variants(self) -> list[Self]:
        """Return the contract for the parameters of the test, and for every declared value."""
        values = {name: choice.values for name, choice in self.declared().items()}
        given = dict(self.parameters)
        wanted = [given, *({**given, **chosen} for chosen in every_value(values))]
        return [self.varied(parameters=p) for n, p in enumerate(wanted) if p not in wanted[:n]]

    def factory(self) -> Any:
        """Return what makes the block."""
        return given_factory(self, "block")

    def call(self) -> Any:
        """Make a block."""
        return self.factory()(self.in_channels, **self.parameters)

    def _keeps_axes(self) -> None:
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
