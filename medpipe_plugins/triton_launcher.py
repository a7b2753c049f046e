"""Launching a kernel of Triton with little Python in between; imports no Triton."""

from __future__ import annotations

import functools
import pkgutil
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

# Triton looks at addresses, and compiles for those that are a multiple of so many bytes.
_ALIGNED = 16


class Launcher:
    """Launches a kernel with little Python in between.

    A kernel's own `kernel[grid](...)` finds out at each call, from all arguments and from the
    environment, what has been compiled for such. Here that is looked up by what can differ: device,
    types and alignment of the tensors, the constants, and how many warps there are. The kernel must
    take tensors first, then numbers, none of which it may be specialised for
    (`do_not_specialize`), then `tl.constexpr` constants.

    Args:
        kernel: What `triton.jit` made.
    """

    def __init__(self, kernel: Any) -> None:
        self._kernel = kernel
        # As many as there are variants, which are few by design: each takes a second to compile.
        self._compiled: dict[tuple[Any, ...], Any] = {}

    def __call__(
        self,
        grid: tuple[int, int, int],
        tensors: Sequence[Tensor],
        numbers: Sequence[float],
        constants: tuple[int, ...],
        warps: int = 4,
    ) -> None:
        """Launch it on the tensors' device, in its current stream.

        Args:
            grid: Programs along three axes.
            tensors: All on one device.
            numbers: Each always of the same type, and below 2³¹.
            constants: What it is compiled for.
            warps: Of a program.
        """
        device = tensors[0].get_device()
        if device >= 0 and device != torch.cuda.current_device():
            with torch.cuda.device(device):
                return self(grid, tensors, numbers, constants, warps)
        key = (
            device, warps, constants,
            *[one.dtype for one in tensors], *[one.data_ptr() % _ALIGNED == 0 for one in tensors],
        )  # fmt: skip
        compiled = self._compiled.get(key)
        if compiled is not None:
            compiled[grid](*tensors, *numbers, *constants)
            return None
        found = self._kernel[grid](
            *tensors, *numbers, *constants, num_warps=warps, num_stages=1, enable_fp_fusion=True
        )
        if _is_known(found):
            self._compiled[key] = found
        return None


@functools.cache
def launcher(module: str, kernel: str) -> Launcher:
    """Return the one launcher of a kernel; this imports its module, and Triton with it.

    Args:
        module: Name of the module that has it.
        kernel: Its name there.
    """
    return Launcher(pkgutil.resolve_name(f"{module}:{kernel}"))


def _is_known(found: Any) -> bool:
    """Say whether it is clear what a kernel was compiled for.

    For AMD's GPUs Triton looks at how long a tensor is as well; its interpreter compiles nothing.
    """
    from triton.compiler import CompiledKernel

    return torch.version.hip is None and isinstance(found, CompiledKernel)
