"""Tensors as the bytes of a safetensors file, the same bytes for the same tensors and texts."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from safetensors.torch import save

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

_LENGTH = 8  # bytes of the number before the header, and what the header is padded to


def tensor_bytes(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> bytes:
    """Return the content of a file of tensors with plain texts about them, in their order.

    The library itself writes the texts in an order that changes from call to call.
    """
    separate = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    blob = save(separate)
    end = _LENGTH + int.from_bytes(blob[:_LENGTH], "little")
    header = {"__metadata__": dict(metadata), **json.loads(blob[_LENGTH:end])}
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % _LENGTH)
    return len(text).to_bytes(_LENGTH, "little") + text + blob[end:]
