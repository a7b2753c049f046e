"""Operations that change intensities, composed: one visit to each volume."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from medpipe_core import Fusion
from medpipe_plugins.augment3d.base import Augmentation3D, as_array, as_tensor, exact, uncast
from medpipe_plugins.augment3d.changes import Add, Gaussian
from medpipe_plugins.augment3d.compiled import filter_compiled
from medpipe_plugins.augment3d.routes import route

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from medpipe_plugins.augment3d.changes import Change


class Filter(Fusion):
    """What neighbouring operations on a batch of volumes do to its intensities.

    With the extra `fast`, float32 volumes on a CPU are visited once each and go through all steps
    while they are in the cache; on a GPU with Triton a kernel does it. Elsewhere each operation is
    a pass of its own. Numbers are kept on the CPU until then.

    Args:
        volumes: `(batch, channel, depth, height, width)`.
    """

    linear = False
    on_cpu = True

    def __init__(self, volumes: Tensor) -> None:
        super().__init__(volumes)
        self._parts: list[tuple[NDArray[np.int64], Sequence[Change]]] = []

    def then(self, rows: Tensor | NDArray[np.int64], steps: Sequence[Change]) -> None:
        """Change some volumes next.

        Args:
            rows: Which volumes, `(count,)`, rising, on the CPU.
            steps: What is done to them, in order.
        """
        self._parts.append((as_array(rows), steps))

    def result(self) -> Tensor:
        """Apply it all."""
        if not self._parts:
            return self.volumes
        steps = [(rows, step) for rows, steps in self._parts for step in steps]
        way = "torch" if any(step.learned for _, step in steps) else route(self.volumes)
        if way == "compiled" and not self.volumes.requires_grad:
            return self._by_loops(steps)
        if way == "launched":
            return self._by_kernels(steps)
        return self._by_torch()

    def _by_loops(self, steps: Sequence[tuple[NDArray[np.int64], Change]]) -> Tensor:
        voxels = self.volumes[0].numel()
        return filter_compiled(
            self.volumes,
            [
                ("add" if step.kind == "noise" else step.kind, rows, step.size(voxels), step.write)
                for rows, step in steps
            ],
        )

    def _by_kernels(self, steps: Sequence[tuple[NDArray[np.int64], Change]]) -> Tensor:
        from medpipe_plugins.augment3d.on_gpu import filter_on_gpu

        volumes = self.volumes.contiguous()
        told = [(step.kind, rows, _numbers(step, volumes, len(rows))) for rows, step in steps]
        filtered: Tensor = filter_on_gpu(volumes, told)
        return filtered

    def _by_torch(self) -> Tensor:
        result = self.volumes
        for rows, steps in self._parts:
            if len(rows) == len(result):
                result = _all(steps, result)
                continue
            where = torch.from_numpy(rows).to(result.device, non_blocking=True)
            changed = _all(steps, result.index_select(0, where))
            if result is self.volumes or changed.requires_grad or result.requires_grad:
                result = result.index_copy(0, where, changed)
            else:
                result.index_copy_(0, where, changed)
        return result


class Filter3D(Augmentation3D):
    """An operation that changes intensities in elementary steps."""

    fusion: ClassVar[type[Fusion] | None] = Filter
    _joining = frozenset({"join", "steps"})

    def steps(self, *draw: Any) -> Sequence[Change]:
        """Return what is done to so many volumes, in order.

        Args:
            draw: What `draw` returned; in a policy, what `from_uniforms` returned, arrays, for an
                operation that has it.
        """
        raise NotImplementedError

    def join(self, fusion: Filter, rows: Any, *draw: Any) -> None:
        """Add the steps."""
        fusion.then(rows, self.steps(*draw))

    def apply(self, volumes: Tensor, *draw: Any) -> Tensor:
        """Do it alone."""
        return _all(self.steps(*draw), volumes)


def _all(steps: Sequence[Change], volumes: Tensor) -> Tensor:
    """Take all steps in single precision at least, and round once."""
    changed = volumes.to(exact(volumes.dtype))
    with uncast(volumes):
        for step in steps:
            changed = step(changed)
    return changed.to(volumes.dtype)


def _numbers(step: Change, volumes: Tensor, count: int) -> Any:
    """Return what the kernels for GPUs are told of one step on so many of the volumes."""
    if isinstance(step, Gaussian):
        return as_array(step.std), as_array(step.seeds)
    if isinstance(step, Add):
        return as_tensor(step.values).to(volumes.device, non_blocking=True)
    numbers = np.empty((count, step.size(volumes[0].numel())), np.float32)
    step.write(numbers)
    return numbers
