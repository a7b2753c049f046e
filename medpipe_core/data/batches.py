"""Batches on the device: volumes are held there once, and handed out as float32 in [0, 1]."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from medpipe_core.data.volumes import DataError, LabelledVolumes
from medpipe_core.seeding import child_seed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


@dataclass(frozen=True)
class Batch:
    """One batch.

    Attributes:
        volumes: `(batch, channel, *space)`, float32 in [0, 1].
        labels: `(batch,)`, int64.
        indices: `(batch,)`, positions in the data, on the CPU.
    """

    volumes: Tensor
    labels: Tensor
    indices: Tensor


class Batches:
    """An endless, shuffled source of training batches that can be stopped and continued.

    Every epoch is one random order of all volumes, cut into batches of equal size; what is left
    over is dropped, unless the data are fewer than one batch. The order of epoch n follows from
    the seed and n, so `state_dict` is three numbers.

    Args:
        data: The volumes.
        batch_size: Volumes in a batch.
        seed: Seed of the order.
        device: Where volumes are held and handed out.

    Raises:
        DataError: There are fewer than two volumes, which batch normalisation cannot train on.
    """

    def __init__(
        self, data: LabelledVolumes, *, batch_size: int, seed: int, device: torch.device | str
    ) -> None:
        if len(data) < 2:
            raise DataError(f"cannot train on {len(data)} volumes; at least two are needed")
        self._volumes = torch.from_numpy(data.volumes).to(device)
        self._labels = torch.from_numpy(data.labels).to(device)
        self._batch_size = min(batch_size, len(data))
        self._seed = seed
        self._epoch, self._position = 0, 0
        self._order = self._order_of(0)

    def __len__(self) -> int:
        return len(self._labels) // self._batch_size

    @property
    def epoch(self) -> int:
        """Epochs that were handed out whole."""
        return self._epoch

    def next(self) -> Batch:
        """Return the next batch."""
        if self._position == len(self):
            self._epoch, self._position = self._epoch + 1, 0
            self._order = self._order_of(self._epoch)
        start = self._position * self._batch_size
        self._position += 1
        return gather(self._volumes, self._labels, self._order[start : start + self._batch_size])

    def epoch_batches(self) -> Iterator[Batch]:
        """Iterate over as many batches as an epoch has."""
        for _ in range(len(self)):
            yield self.next()

    def state_dict(self) -> dict[str, Any]:
        """Return where it is."""
        return {"seed": self._seed, "epoch": self._epoch, "position": self._position}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from there: the same order, the same next batch."""
        self._seed, self._epoch = state["seed"], state["epoch"]
        self._position = state["position"]
        self._order = self._order_of(self._epoch)

    def _order_of(self, epoch: int) -> Tensor:
        generator = torch.Generator().manual_seed(child_seed(self._seed, "epoch", str(epoch)))
        return torch.randperm(len(self._labels), generator=generator)


def ordered_batches(
    data: LabelledVolumes, *, batch_size: int, device: torch.device | str
) -> Iterator[Batch]:
    """Iterate once over all volumes in their order, for evaluation."""
    for start in range(0, len(data), batch_size):
        part = slice(start, start + batch_size)
        yield Batch(
            as_input(torch.from_numpy(data.volumes[part]).to(device)),
            torch.from_numpy(data.labels[part]).to(device),
            torch.arange(start, min(start + batch_size, len(data))),
        )


def gather(volumes: Tensor, labels: Tensor, indices: Tensor) -> Batch:
    """Return the batch of some positions."""
    where = indices.to(volumes.device)
    return Batch(as_input(volumes[where]), labels[where], indices)


def as_input(volumes: Tensor) -> Tensor:
    """Return volumes as float32 in [0, 1]."""
    return volumes.float() / 255 if volumes.dtype == torch.uint8 else volumes.float()
