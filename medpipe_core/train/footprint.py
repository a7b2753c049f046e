"""The memory of a training step, estimated without taking it."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.autograd.graph import saved_tensors_hooks

from medpipe_core.memory import free_memory
from medpipe_core.seeding import TorchStream

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from medpipe_core.computing import Computing

# Weights, gradients, and Adam's two moments.
_COPIES = 4
# The backward pass holds gradients of the largest layers beside what was kept: the network of the
# paper peaks at 1.65 times what it keeps (tests/benchmarks/training_step.py).
_SLACK = 1.7
# Volumes of a pass that takes no memory: so many that what does not grow with them hardly counts.
_MANY = 64


@dataclass(frozen=True)
class Footprint:
    """Memory of a training step, in bytes.

    Attributes:
        fixed: Weights, their gradients and Adam's moments.
        per_volume: What each volume of a micro-batch adds, most of it kept for the backward pass.
        note: How it was found, where that was not without taking memory; or the empty text.
    """

    fixed: int
    per_volume: int
    note: str = ""

    def of(self, volumes: int) -> int:
        """Return the bytes of a step with so many volumes at once."""
        return self.fixed + volumes * self.per_volume

    def most_volumes(self, memory: int) -> int:
        """Return how many volumes at once fit into some bytes; it may be none."""
        return max(memory - self.fixed, 0) // max(self.per_volume, 1)


def step_footprint(network: nn.Module, shape: Sequence[int], *, computing: Computing) -> Footprint:
    """Estimate the memory of a training step by what a forward pass keeps, without taking it.

    The pass is one of shapes without numbers (torch's fake tensors). Kept tensors are counted by
    their storages, each once; 70 % are added for what the backward pass takes besides. Networks
    that look at numbers cannot be run so: then forward passes of two and three volumes are made,
    and given up as soon as they keep more than the device has left. The network is left as it is.

    Args:
        network: The network, on the device it is trained on.
        shape: `(channel, *space)` of a volume.
        computing: Device and precision.
    """
    weights = sum(p.numel() * p.element_size() for p in network.parameters())
    note = ""
    try:
        per_volume = _without_numbers(network, shape, computing)
    except Exception as error:
        told = str(error).partition("\n")[0]
        note = (
            "the memory of a training step was estimated by running the network, which cannot be "
            f"run without numbers ({type(error).__name__}: {told})"
        )
        per_volume = _with_numbers(network, shape, computing)
    return Footprint(_COPIES * weights, int(_SLACK * per_volume), note)


def _without_numbers(network: nn.Module, shape: Sequence[int], computing: Computing) -> float:
    """Return the bytes that a volume adds to what a pass of fake tensors keeps."""
    mode = FakeTensorMode(allow_non_fake_inputs=True)
    tried = _copied(network, lambda tensor: mode.from_tensor(tensor.detach()))
    with mode:
        volumes = torch.empty((_MANY, *shape), device=computing.device)
        return _kept(tried, volumes, computing) / _MANY


def _with_numbers(network: nn.Module, shape: Sequence[int], computing: Computing) -> float:
    """Return the bytes that a third volume adds; where not even that fits, all that is left."""
    left = free_memory(computing.device)
    # A copy, because a pass in training mode moves the statistics of batch normalisation.
    tried = copy.deepcopy(network)
    generator = torch.Generator().manual_seed(0)
    kept = []
    for count in (2, 3):
        volumes = torch.rand((count, *shape), generator=generator).to(computing.device)
        kept.append(_kept(tried, volumes, computing, left))
    # A pass that was given up has kept what is left.
    return max(kept[1] - kept[0], 0) if left is None or max(kept) < left else left


def _copied(network: nn.Module, made: Callable[[Tensor], Tensor]) -> nn.Module:
    """Return a copy of a network with each of its tensors replaced."""
    memo: dict[int, Any] = {}
    for module in network.modules():
        own = (*module._parameters.values(), *module._buffers.values(), *vars(module).values())
        for tensor in own:
            if isinstance(tensor, nn.Parameter):
                memo[id(tensor)] = nn.Parameter(made(tensor), tensor.requires_grad)
            elif isinstance(tensor, Tensor):
                memo[id(tensor)] = made(tensor)
    return copy.deepcopy(network, memo)


class _NoMoreLeftError(Exception):
    """A pass has kept as much as there is."""


def _kept(
    network: nn.Module, volumes: Tensor, computing: Computing, left: int | None = None
) -> int:
    """Return the bytes that a forward pass in training mode keeps for its backward pass.

    Args:
        network: The network; its weights do not count.
        volumes: What it is given.
        computing: Device and precision.
        left: Bytes at which the pass is given up, or None.
    """
    own = {_storage(p) for p in network.parameters()}
    storages: dict[int, int] = {}
    # Kept, so that no storage is freed and its place counted twice or not at all. Without the
    # graph: it holds the hook, which holds these, and nothing would ever free them.
    alive: list[Tensor] = []

    def keep(tensor: Tensor) -> Any:
        kept = tensor.detach()
        if _storage(kept) not in own:
            storages[_storage(kept)] = kept.untyped_storage().nbytes()
            alive.append(kept)
        if left is not None and sum(storages.values()) >= left:
            raise _NoMoreLeftError
        return kept

    # Dropout draws; that must not change what the run draws.
    drawing = TorchStream(0, computing.device).running()
    with drawing, saved_tensors_hooks(keep, lambda kept: kept), computing.autocast():
        try:
            network.train()(volumes)
        except _NoMoreLeftError:
            return left or 0
    return sum(storages.values())


def _storage(tensor: Tensor) -> int:
    """Return what tells a storage from others, also one without numbers."""
    return int(tensor.untyped_storage()._cdata)
