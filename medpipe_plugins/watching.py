"""Whether somebody records or transforms what is computed: then torch's own operators run alone."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.autograd import forward_ad
from torch.utils._python_dispatch import _get_current_dispatch_mode_stack


def watched(*values: Any) -> bool:
    """Say whether more is done with a computation than to compute it.

    It is recorded (`torch.jit.trace`, `torch.fx`, `torch.export`, `torch.compile`, either ONNX
    exporter), transformed (`torch.func`: `vmap`, `jvp`, `grad` and so on; forward-mode gradients)
    or looked at by a dispatch mode, such as one that counts operations. A loop of one's own is
    invisible to all of these, and writing in place confuses some.

    Args:
        values: What is computed on; something else than a plain tensor stands in for one.
    """
    for value in values:
        if type(value) not in (Tensor, nn.Parameter):
            return True
    return _transformed(*values) or torch._C._len_torch_dispatch_stack() > 0


def recorded(*values: Any) -> bool:
    """Say whether a computation is watched otherwise than by trying it on tensors without numbers.

    Such a trial, which tells what memory a step takes, has to keep what the step would keep; but
    where there are no numbers, no loop of one's own can run.
    """
    if not all(type(value) in (Tensor, nn.Parameter, FakeTensor) for value in values):
        return True
    modes = _get_current_dispatch_mode_stack()
    others = [mode for mode in modes if not isinstance(mode, FakeTensorMode)]
    return bool(others) or _transformed(*values)


def _transformed(*values: Any) -> bool:
    return (
        torch.compiler.is_compiling()
        or torch.jit.is_tracing()  # type: ignore[attr-defined, no-untyped-call]
        or torch._C._are_functorch_transforms_active()
        or any(map(torch._C._functorch.is_legacy_batchedtensor, values))  # is_grads_batched
        or forward_ad._current_level >= 0
    )
