"""Running out of memory: knowing it when it happens, and giving memory back."""

from __future__ import annotations

import gc

import torch


def out_of_memory(error: BaseException) -> bool:
    """Say whether an error is a way of saying that memory is used up."""
    text = str(error).lower()
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or any(
        sign in text for sign in ("out of memory", "not enough memory", "can't allocate memory")
    )


def release_memory() -> None:
    """Give the memory of what failed back to the device."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
