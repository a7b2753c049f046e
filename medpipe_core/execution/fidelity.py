"""How much a trial may spend: epochs, a share of the volumes, smaller volumes, fewer channels."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from medpipe_core.data import ChangedVolumes, StoredVolumes, split
from medpipe_core.errors import MedpipeError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from medpipe_core.data import LabelledVolumes

_PART = 64  # volumes that are shrunk at once


class FidelityError(MedpipeError):
    """A fidelity that is none."""


@dataclass(frozen=True)
class Fidelity:
    """How much of a full training a trial is.

    Attributes:
        epochs: Passes over the training volumes, at least 0.
        volumes: Share of the training volumes, in (0, 1]; stratified by class, whole patients.
        edge: Edge length of all volumes, as a share of what it is, in (0, 1].
        width: Channels of the network's blocks, as a share of what they are, in (0, 1].

    Raises:
        FidelityError: A number is out of its range.
    """

    epochs: int
    volumes: float = 1.0
    edge: float = 1.0
    width: float = 1.0

    def __post_init__(self) -> None:
        if self.epochs < 0:
            raise FidelityError(f"a trial of {self.epochs} epochs; give 0 or more")
        for name in ("volumes", "edge", "width"):
            share = getattr(self, name)
            if not 0 < share <= 1:
                raise FidelityError(f"{name}={share}: a share is above 0 and at most 1")

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        return asdict(self)

    def of_training(self, data: LabelledVolumes, *, seed: int) -> LabelledVolumes:
        """Return the volumes that a trial trains on.

        Args:
            data: All of them.
            seed: Seed of the choice; the same for all trials that are compared.
        """
        if self.volumes < 1:
            chosen, _ = split(data.labels, data.groups, share=self.volumes, seed=seed)
            data = data.take(chosen)
        return self.of_validation(data)

    def of_validation(self, data: LabelledVolumes) -> LabelledVolumes:
        """Return the volumes that a trial is judged on: all of them, as small as it wants them."""
        return shrunk(data, self.edge)


def shrunk(data: LabelledVolumes, edge: float | tuple[float, ...]) -> LabelledVolumes:
    """Return volumes averaged to a share of their edge lengths: one for all axes, or one for each.

    What is stored stays so, and is averaged each time that it is read.

    Raises:
        FidelityError: There are not as many shares as axes.
    """
    axes = len(data.volumes.shape) - 2
    edges = edge if isinstance(edge, tuple) else (edge,) * axes
    if len(edges) != axes:
        raise FidelityError(f"edge={edge}: {len(edges)} shares for volumes of {axes} axes")
    if all(share == 1 for share in edges):
        return data
    lengths = zip(edges, data.volumes.shape[2:], strict=True)
    size = tuple(max(round(edge * length), 1) for edge, length in lengths)
    if isinstance(data.volumes, StoredVolumes):
        shape = (data.volumes.shape[1], *size)
        source = ChangedVolumes(data.volumes, partial(_averaged, size=size), shape)
        return replace(data, volumes=StoredVolumes([source]))
    parts = (data.volumes[i : i + _PART] for i in range(0, len(data), _PART))
    volumes = np.concatenate([_averaged(part, size) for part in parts])
    return replace(data, volumes=volumes)


def _averaged(volumes: NDArray[Any], size: tuple[int, ...]) -> NDArray[Any]:
    import torch
    import torch.nn.functional as F

    averaged: NDArray[Any] = F.interpolate(
        torch.from_numpy(volumes).float(), size, mode="area"
    ).numpy()
    if volumes.dtype == np.uint8:  # a set keeps its type, and so its scale
        return averaged.round().astype(np.uint8)
    return averaged
