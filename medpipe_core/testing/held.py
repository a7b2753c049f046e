"""The arrays that an object holds, wherever they are in it."""

from __future__ import annotations

import gc
import types
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

_MOST = 200_000  # objects looked at


def arrays_held(*roots: object) -> Iterator[NDArray[Any]]:
    """Iterate over the arrays and tensors that objects lead to; files mapped to memory left out.

    Functions lead to what they were made with (closures, defaults), not to their module; classes
    and modules lead nowhere.
    """
    seen: set[int] = set()
    left: list[Any] = list(roots)
    kept = []  # so that no number of a thing is given to another
    while left and len(seen) < _MOST:
        found = left.pop()
        if id(found) in seen or isinstance(found, type | types.ModuleType):
            continue
        seen.add(id(found))
        kept.append(found)
        if isinstance(found, torch.Tensor):
            found = found.detach().cpu().numpy()
        if isinstance(found, np.ndarray):
            if not isinstance(found, np.memmap):
                yield found
            if found.dtype != object:
                continue
        left += _within(found)


def _within(found: Any) -> list[Any]:
    if isinstance(found, types.FunctionType):
        return [found.__closure__, found.__defaults__, found.__kwdefaults__, found.__dict__]
    within: list[Any] = gc.get_referents(found)
    return within
