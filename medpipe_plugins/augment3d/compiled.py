"""Resampling, erasing and filtering on a CPU, compiled by numba where it is there.

numba is the extra `medpipe[fast]`; without it torch's own operators are used.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import numpy as np
import torch

from medpipe_plugins.augment3d.filters import KINDS, filter_volumes
from medpipe_plugins.augment3d.kernels import kernels
from medpipe_plugins.numba_extra import has_numba
from medpipe_plugins.threads import in_threads, shares
from medpipe_plugins.watching import watched

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    Writes = Callable[[NDArray[np.float32]], None]

# Voxels below which a second thread costs more than it saves.
_WORTH_A_THREAD = 200_000


def can_compile(volumes: Tensor) -> bool:
    """Say whether the compiled loops take these volumes."""
    return (
        not watched(volumes)
        and volumes.device.type == "cpu"
        and volumes.dtype == torch.float32
        and has_numba()
    )


def resample_compiled(
    volumes: Tensor, rows: NDArray[np.int64], back: NDArray[np.floating], out: Tensor
) -> None:
    """Write some volumes, resampled, into `out`; trilinear, zeros from outside.

    The result does not depend on the number of threads.

    Args:
        volumes: `(batch, channel, depth, height, width)`, contiguous float32 on the CPU.
        rows: Which volumes, `(count,)`.
        back: Where each voxel comes from, `(count, 3, 4)`, destination to source in voxel
            coordinates (x, y, z); finite.
        out: Like `volumes`; only `rows` are written.
    """
    loop = functools.partial(kernels().resample, _array(volumes), rows, *_wide(back), _array(out))
    _in_threads(loop, len(rows) * volumes.shape[2], len(rows) * volumes[0].numel())


def spread_compiled(
    gradient: Tensor, rows: NDArray[np.int64], back: NDArray[np.floating], out: Tensor
) -> None:
    """Write the gradient by the volumes into `out`: the transpose of `resample_compiled`.

    Args:
        gradient: By the result, `(batch, channel, depth, height, width)`, contiguous float32.
        rows: Which volumes were resampled, `(count,)`.
        back: As they were, `(count, 3, 4)`.
        out: Like `gradient`; only `rows` are written.
    """
    loop = functools.partial(kernels().spread, _array(gradient), rows, *_wide(back), _array(out))
    _in_threads(loop, len(rows), len(rows) * gradient[0].numel())


def erase_compiled(
    volumes: Tensor,
    rows: NDArray[np.int64],
    back: NDArray[np.floating],
    start: NDArray[np.floating],
    stop: NDArray[np.floating],
) -> None:
    """Erase a box in some volumes, in place; the box lies where a matrix has moved it.

    Args:
        volumes: `(batch, channel, depth, height, width)`, contiguous float32 on the CPU.
        rows: Which volumes, `(count,)`.
        back: From a voxel to the coordinates (x, y, z) in which the box is stated, `(count, 3, 4)`.
        start: First voxel of each box, `(count, 3)`.
        stop: The voxel after its last, `(count, 3)`.
    """
    kernels().erase(_array(volumes), rows, *_wide(back, start, stop))


def filter_compiled(
    volumes: Tensor, steps: Sequence[tuple[str, NDArray[np.int64], int, Writes]]
) -> Tensor:
    """Return the volumes after some steps, each of them on some volumes.

    The result does not depend on the number of threads.

    Args:
        volumes: `(batch, channel, depth, height, width)`, float32 on the CPU.
        steps: Of each step its kind, of `KINDS`; which volumes, `(count,)`; how many numbers it has
            for each of these; and what writes them into an array, `(count, numbers)`.
    """
    volumes = volumes.detach().contiguous()
    out = torch.empty_like(volumes)
    table = np.empty(sum(len(rows) * numbers for _, rows, numbers, _ in steps), np.float32)
    end = 0
    for _, rows, numbers, write in steps:
        if numbers:
            first, end = end, end + len(rows) * numbers
            write(table[first:end].reshape(-1, numbers))
    told = np.array([(KINDS.index(kind), len(rows), numbers) for kind, rows, numbers, _ in steps])
    everyone = np.concatenate([rows for _, rows, _, _ in steps])
    loop = functools.partial(filter_volumes(), _array(volumes), _array(out), told, everyone, table)
    _in_threads(loop, len(volumes), volumes.numel())
    return out


def _in_threads(loop: Callable[[int, int], None], parts: int, voxels: int) -> None:
    """Run a loop over parts that write to different places, a share of them in each thread."""
    threads = min(torch.get_num_threads(), voxels // _WORTH_A_THREAD)
    if threads < 2:
        loop(0, parts)
    else:
        in_threads(loop, shares(parts, threads))


def _array(volumes: Tensor) -> NDArray[np.float32]:
    """Return an array on the same memory."""
    array: NDArray[np.float32] = volumes.detach().numpy()
    return array


def _wide(*numbers: NDArray[np.floating]) -> tuple[NDArray[np.float64], ...]:
    """Return contiguous float64 arrays: what the loops are compiled for."""
    return tuple(np.ascontiguousarray(array, np.float64) for array in numbers)
