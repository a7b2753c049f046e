"""The memory of a training step, estimated before it is taken."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch.autograd.graph import saved_tensors_hooks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor, nn

    from medpipe_core.computing import Computing

# Weights, gradients, and Adam's two moments.
_COPIES = 4
# The backward pass holds gradients of the largest layers beside what was kept: the network of the
# paper peaks at 1.65 times what it keeps (tests/benchmarks/training_step.py).
_SLACK = 1.7


@dataclass(frozen=True)
class Footprint:
    """Memory of a training step, in bytes.

    Attributes:
        fixed: Weights, their gradients and Adam's moments.
        per_volume: What each volume of a micro-batch adds, most of it kept for the backward pass.
    """

    fixed: int
    per_volume: int

    def of(self, volumes: int) -> int:
        """Return the bytes of a step with so many volumes at once."""
        return self.fixed + volumes * self.per_volume

    def most_volumes(self, memory: int) -> int:
        """Return how many volumes at once fit into some bytes; it may be none."""
        return max(memory - self.fixed, 0) // max(self.per_volume, 1)


def step_footprint(network: nn.Module, shape: Sequence[int], *, computing: Computing) -> Footprint:
    """Estimate the memory of a training step by what forward passes of two and three volumes keep.

    Kept tensors are counted by their storages, each once, and grow with the volumes; 70 % are added
    for what the backward pass takes besides. The network is left as it is.

    Args:
        network: The network, on the device it is trained on.
        shape: `(channel, *space)` of a volume.
        computing: Device and precision.
    """
    weights = sum(p.numel() * p.element_size() for p in network.parameters())
    # A copy, because a pass in training mode moves the statistics of batch normalisation.
    tried = copy.deepcopy(network).train()
    two, three = (_kept(tried, (count, *shape), computing) for count in (2, 3))
    return Footprint(_COPIES * weights, int(_SLACK * max(three - two, 0)))


def _kept(network: nn.Module, shape: tuple[int, ...], computing: Computing) -> int:
    """Return the bytes that one forward pass keeps for its backward pass, weights left out."""
    own = {p.untyped_storage().data_ptr() for p in network.parameters()}
    storages: dict[int, int] = {}
    # Kept, so that no storage is freed and its place counted twice or not at all. Without the
    # graph: it holds the hook, which holds these, and nothing would ever free them.
    alive: list[Tensor] = []

    def keep(tensor: Tensor) -> Any:
        kept = tensor.detach()
        storage = kept.untyped_storage()
        if storage.data_ptr() not in own:
            storages[storage.data_ptr()] = storage.nbytes()
            alive.append(kept)
        return kept

    volumes = torch.rand(shape, generator=torch.Generator().manual_seed(0)).to(computing.device)
    # Dropout draws; that must not change what the run draws.
    accelerators = [] if computing.device.type == "cpu" else [computing.device]
    with (
        torch.random.fork_rng(accelerators, device_type=computing.device.type),
        saved_tensors_hooks(keep, lambda kept: kept),
        computing.autocast(),
    ):
        network(volumes)
    return sum(storages.values())
