"""Batches on the device, handed out as float32 in [0, 1]: held there, or read ahead of use."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
import torch
from torch import Tensor

from medpipe_core.data.errors import DataError
from medpipe_core.data.stored import StoredVolumes
from medpipe_core.errors import counted
from medpipe_core.seeding import child_seed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from concurrent.futures import Future

    from numpy.typing import NDArray

    from medpipe_core.data.volumes import LabelledVolumes

Hold = Literal["auto", "device", "host"]

# Of the device's free memory, what the volumes of one source may take: two sources are held during
# a search, beside the network and what it keeps for the backward pass.
_HELD_SHARE = 0.25
_AHEAD = 2


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

    Volumes are held on the device, as the type that they have, or stay on the host: then a thread
    gathers the next two batches while one is used. The batches are the same either way.

    Volumes that vary are drawn anew in each epoch, from the seed and the epoch's number. They stay
    on the host, whatever `hold` says.

    Args:
        data: The volumes.
        batch_size: Volumes in a batch.
        seed: Seed of the order.
        device: Where batches are handed out.
        hold: Where volumes are held, `"device"` or `"host"`. By default on the device if they take
            at most a quarter of a GPU's free memory, and on the host if they are in files.

    Raises:
        DataError: There are fewer than two volumes, which batch normalisation cannot train on.
    """

    def __init__(
        self,
        data: LabelledVolumes,
        *,
        batch_size: int,
        seed: int,
        device: torch.device | str,
        hold: Hold = "auto",
    ) -> None:
        if len(data) < 2:
            raise DataError(
                f"cannot train on {counted(len(data), 'volume')}; at least two are needed"
            )
        self._count = len(data)
        self._volumes = data.volumes
        self._reader = _reader(data, torch.device(device), hold)
        self._batch_size = min(batch_size, len(data))
        self._seed = seed
        self._epoch, self._position = 0, 0
        self._epochs: dict[int, _Epoch] = {}

    def __len__(self) -> int:
        return self._count // self._batch_size

    @property
    def epoch(self) -> int:
        """Epochs that were handed out whole."""
        return self._epoch

    @property
    def held(self) -> bool:
        """Whether the volumes are held on the device."""
        return isinstance(self._reader, _Held)

    def next(self) -> Batch:
        """Return the next batch."""
        batch = self._reader.read(self._coming())
        if self._position == len(self):
            self._epoch, self._position = self._epoch + 1, 0
        self._position += 1
        self._epochs = {n: found for n, found in self._epochs.items() if n >= self._epoch}
        return batch

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
        self._epochs.clear()
        self._reader.forget()

    def _coming(self) -> Iterator[_Coming]:
        """Iterate over the batches to come."""
        number = self._epoch * len(self) + self._position
        while True:
            epoch, position = divmod(number, len(self))
            if epoch not in self._epochs:
                self._epochs[epoch] = self._begun(epoch)
            found, start = self._epochs[epoch], position * self._batch_size
            positions = found.order[start : start + self._batch_size]
            yield _Coming(number, positions, found.volumes)
            number += 1

    def _begun(self, epoch: int) -> _Epoch:
        generator = torch.Generator().manual_seed(child_seed(self._seed, "epoch", str(epoch)))
        order, volumes = torch.randperm(self._count, generator=generator), self._volumes
        if isinstance(volumes, StoredVolumes) and volumes.varies:
            volumes = volumes.drawn(child_seed(self._seed, "volumes", str(epoch)))
        return _Epoch(order, volumes)


def ordered_batches(
    data: LabelledVolumes, *, batch_size: int, device: torch.device | str
) -> Iterator[Batch]:
    """Iterate once over all volumes in their order, for evaluation; they are not held there."""
    device = torch.device(device)
    simple = device.type == "cpu" and not isinstance(data.volumes, StoredVolumes)
    reader = _reader(data, device, "device" if simple else "host")
    positions = torch.split(torch.arange(len(data)), batch_size)
    coming = [_Coming(n, where, data.volumes) for n, where in enumerate(positions)]
    for number in range(len(positions) if len(data) else 0):
        yield reader.read(coming[number:])


def as_input(volumes: Tensor) -> Tensor:
    """Return volumes as float32 in [0, 1]."""
    return volumes.float() / 255 if volumes.dtype == torch.uint8 else volumes.float()


@dataclass(frozen=True, eq=False)
class _Epoch:
    """The order of an epoch, and the volumes as it sees them."""

    order: Tensor
    volumes: NDArray[Any] | StoredVolumes


@dataclass(frozen=True, eq=False)
class _Coming:
    """A batch to come: its number since the beginning, and which of which volumes it has."""

    number: int
    positions: Tensor
    volumes: NDArray[Any] | StoredVolumes


class _Reader(Protocol):
    """Reads batches; it may be told of those to come."""

    def read(self, coming: Iterable[_Coming]) -> Batch:
        """Return the first of the batches to come."""

    def forget(self) -> None:
        """Drop what was read ahead."""


class _Held:
    """Gathers on the device from all volumes, which are there."""

    def __init__(self, data: LabelledVolumes, device: torch.device) -> None:
        self._volumes = torch.from_numpy(np.asarray(data.volumes)).to(device)
        self._labels = torch.from_numpy(data.labels).to(device)

    def read(self, coming: Iterable[_Coming]) -> Batch:
        positions = next(iter(coming)).positions
        where = positions.to(self._volumes.device, non_blocking=True)  # or it waits for all before
        return Batch(as_input(self._volumes[where]), self._labels[where], positions)

    def forget(self) -> None:
        """Nothing is read ahead."""


class _Ahead:
    """Gathers on the host, in one thread, a few batches before they are asked for."""

    def __init__(self, labels: NDArray[np.int64], device: torch.device) -> None:
        self._labels = labels
        self._device = device
        # Its thread ends with the process, or when nobody holds this object any more.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="medpipe-batches")
        self._read: dict[int, Future[tuple[Tensor, Tensor]]] = {}

    def read(self, coming: Iterable[_Coming]) -> Batch:
        wanted = list(islice(coming, 1 + _AHEAD))
        for one in wanted:
            if one.number not in self._read:
                self._read[one.number] = self._thread.submit(
                    _gather, one, self._labels, pin=self._device.type == "cuda"
                )
        volumes, labels = self._read.pop(wanted[0].number).result()
        return Batch(
            as_input(volumes.to(self._device, non_blocking=True)),
            labels.to(self._device, non_blocking=True),
            wanted[0].positions,
        )

    def forget(self) -> None:
        for future in self._read.values():
            future.cancel()
        self._read.clear()


def _gather(coming: _Coming, labels: NDArray[np.int64], *, pin: bool) -> tuple[Tensor, Tensor]:
    where = coming.positions.numpy()
    gathered = tuple(torch.from_numpy(part[where]) for part in (coming.volumes, labels))
    one, other = (part.pin_memory() for part in gathered) if pin else gathered
    return one, other


def _reader(data: LabelledVolumes, device: torch.device, hold: Hold) -> _Reader:
    if isinstance(data.volumes, StoredVolumes) and data.volumes.varies:
        hold = "host"
    elif hold == "auto":
        hold = "device" if _fits(data, device) else "host"
    return _Held(data, device) if hold == "device" else _Ahead(data.labels, device)


def _fits(data: LabelledVolumes, device: torch.device) -> bool:
    """Say whether the volumes are few enough to be held on the device."""
    if isinstance(data.volumes, StoredVolumes):
        return False
    if device.type != "cuda":
        return True  # the host's memory, where they are anyway
    free, _ = torch.cuda.mem_get_info(device)
    return data.volumes.nbytes <= _HELD_SHARE * free
