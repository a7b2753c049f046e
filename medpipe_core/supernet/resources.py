"""What a genotype's network costs, without building the supernet or taking its memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils.flop_counter import FlopCounterMode

from medpipe_core.errors import MedpipeError, place_of
from medpipe_core.supernet.building import (
    MODEL,
    NETWORK_KINDS,
    BindingError,
    build_block,
    catalogue_of,
)
from medpipe_core.supernet.head import PooledLinear

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import nn

    from medpipe_core.space import Catalogue, Genotype, SearchSpace, Step
    from medpipe_core.supernet.network import HeadFactory


@dataclass(frozen=True)
class Resources:
    """The cost of one network.

    Attributes:
        parameters: Number of trainable numbers.
        multiply_adds: Multiply-adds of convolutions and matrix products for one volume, forward.
    """

    parameters: int
    multiply_adds: int


@dataclass(frozen=True)
class _Measured:
    resources: Resources
    out_shape: tuple[int, ...]


class ResourceMeter:
    """Measures genotypes of one space for one size of volume, each distinct block once.

    A block is built on torch's meta device, which holds shapes and no numbers, so a measurement
    takes no memory; blocks are remembered by their parameters and input shape, so that a further
    genotype mostly costs a few look-ups.

    Args:
        space: The space whose genotypes are measured.
        in_channels: Channels of a volume.
        num_classes: Logits of a volume.
        size: Spatial size of a volume, such as `(28, 28, 28)`.
        head: Makes the head.
        catalogue: Who makes the operations; the space's own by default.
    """

    def __init__(
        self,
        space: SearchSpace,
        *,
        in_channels: int,
        num_classes: int,
        size: Sequence[int],
        head: HeadFactory = PooledLinear,
        catalogue: Catalogue | None = None,
    ) -> None:
        self.space = space
        self._catalogue = catalogue_of(space, catalogue)
        self._input = (in_channels, *size)
        self._num_classes = num_classes
        self._head = head
        self._known: dict[tuple[object, ...], _Measured] = {}
        self._admitted: Genotype | None = None

    def __call__(self, genotype: Genotype) -> Resources:
        """Return what the genotype's network costs.

        Raises:
            InvalidGenotypeError: The genotype is not of this space.
            BindingError: A block cannot take the shape that reaches it.
        """
        parameters = multiply_adds = 0
        shape = self._input
        for step in self.space.resolve(genotype):
            if step.kind not in NETWORK_KINDS:
                continue
            measured = self._block(step, shape)
            parameters += measured.resources.parameters
            multiply_adds += measured.resources.multiply_adds
            shape = measured.out_shape
            if step.kind == MODEL:  # its logits are the end
                return Resources(parameters, multiply_adds)
        head = self._measure_head(shape)
        return Resources(parameters + head.parameters, multiply_adds + head.multiply_adds)

    def admits(self, genotype: Genotype) -> bool:
        """Say whether the genotype keeps the space's budget; without a budget each one does."""
        budget = self.space.budget
        # The loop asks again what a searcher has just asked.
        if budget is None or genotype is self._admitted:
            return True
        cost = self(genotype)
        admitted = (budget.parameters is None or cost.parameters <= budget.parameters) and (
            budget.multiply_adds is None or cost.multiply_adds <= budget.multiply_adds
        )
        self._admitted = genotype if admitted else self._admitted
        return admitted

    def _block(self, step: Step, shape: tuple[int, ...]) -> _Measured:
        key = (step.name, tuple(sorted(step.parameters.items())), shape)
        if key not in self._known:
            with torch.device("meta"):
                block = build_block(
                    self._catalogue,
                    step.name,
                    path=step.path,
                    in_channels=shape[0],
                    parameters=dict(step.parameters),
                    seed=None,
                    kind=step.kind,
                    num_classes=self._num_classes,
                )
            self._known[key] = _measure(block, shape, f"{step.path}: {step.kind} {step.name!r}")
        return self._known[key]

    def _measure_head(self, shape: tuple[int, ...]) -> Resources:
        key = ("head", shape)
        if key not in self._known:
            with torch.device("meta"):
                head = self._head(shape[0], self._num_classes)
            self._known[key] = _measure(head, shape, "head")
        return self._known[key].resources


def resources(
    space: SearchSpace,
    genotype: Genotype,
    *,
    in_channels: int,
    num_classes: int,
    size: Sequence[int],
    catalogue: Catalogue | None = None,
) -> Resources:
    """Return the parameters and multiply-adds of one genotype's network.

    For many genotypes keep a `ResourceMeter`.
    """
    meter = ResourceMeter(
        space, in_channels=in_channels, num_classes=num_classes, size=size, catalogue=catalogue
    )
    return meter(genotype)


# Activations: of each element one element, whatever the shape.
_ACTIVATIONS = frozenset(
    {
        F.celu,
        F.elu,
        F.gelu,
        F.hardsigmoid,
        F.hardswish,
        F.hardtanh,
        F.leaky_relu,
        F.mish,
        F.relu,
        F.relu6,
        F.selu,
        F.silu,
        F.softplus,
    }
)


class _WithoutElementwise(TorchFunctionMode):
    """Leaves out batch normalisation and activations: no multiply-adds, and the shape stays.

    On tensors without numbers torch takes them apart, and takes longer for them than for all else.
    """

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if func in _ACTIVATIONS and args and isinstance(args[0], Tensor):
            return args[0]
        if func is F.batch_norm and len(args) > 1 and isinstance(args[1], Tensor):
            volumes, mean = args[:2]
            if mean.shape == volumes.shape[1:2]:
                return volumes
        return func(*args, **kwargs)


def _measure(module: nn.Module, shape: tuple[int, ...], who: str) -> _Measured:
    counter = FlopCounterMode(display=False)
    try:
        with counter, torch.no_grad(), _WithoutElementwise():
            output = module.eval()(torch.empty((1, *shape), device="meta"))
    except (RuntimeError, ValueError, TypeError) as error:
        raise BindingError(f"{who} cannot take volumes of shape {shape}: {error}") from error
    except (Exception, SystemExit) as error:
        if isinstance(error, MedpipeError):
            raise
        raise BindingError(
            f"{who} cannot take volumes of shape {shape}: {type(error).__name__}: {error}"
            f"{place_of(error)}"
        ) from error
    parameters = sum(p.numel() for p in module.parameters() if p.requires_grad)
    # A multiply-add is two floating-point operations.
    return _Measured(Resources(parameters, counter.get_total_flops() // 2), tuple(output.shape[1:]))
