"""Memory: how much is free, knowing when it has run out, giving it back, and its pages."""

from __future__ import annotations

import gc
import os
from pathlib import Path
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Iterator

# What a container may take, in versions 2 and 1 of Linux's control groups, and what it has taken.
_LIMITS = (
    ("memory.max", "memory.current"),
    ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
)


# How torch, its libraries and the system say it where they have no type for it.
_SIGNS = (
    "out of memory",
    "not enough memory",
    "can't allocate memory",
    "cannot allocate memory",
    "unable to allocate",
    "bad_alloc",
    "status_alloc_failed",
)


def out_of_memory(error: BaseException) -> bool:
    """Say whether an error is a way of saying that memory is used up, or was raised from one."""
    cause: BaseException | None = error
    while cause is not None:
        text = str(cause).lower()
        if isinstance(cause, torch.OutOfMemoryError | MemoryError) or any(
            sign in text for sign in _SIGNS
        ):
            return True
        cause = cause.__cause__
    return False


def release_memory() -> None:
    """Give the memory of what failed back to the device."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def use_huge_pages() -> None:
    """Let torch ask for huge pages for the tensors of this process and of those that it starts.

    Large tensors on a CPU are given back to the system as they are freed, and it clears every page
    of the next one: with pages of 4 KiB that takes longer than most operators that write them.
    Torch reads the variable when it allocates its first large tensor; systems without transparent
    huge pages ignore it. Whoever has set `THP_MEM_ALLOC_ENABLE` has decided already.
    """
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")


def free_memory(
    device: torch.device,
    *,
    meminfo: Path = Path("/proc/meminfo"),
    groups: Path = Path("/sys/fs/cgroup"),
) -> int | None:
    """Return the bytes that a device has left; None where the system does not tell.

    For a GPU what torch holds in reserve counts as free. For a CPU it is what Linux has available,
    within the limits of a container.

    Args:
        device: The device.
        meminfo: Linux's account of the memory.
        groups: Where control groups are mounted.
    """
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        reserve = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return free + reserve
    if device.type != "cpu":
        return None
    return min((*_available(meminfo), *_left_in_group(groups)), default=None)


def _available(meminfo: Path) -> Iterator[int]:
    try:
        lines = meminfo.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        if line.startswith("MemAvailable:"):
            yield int(line.split()[1]) * 1024


def _left_in_group(groups: Path) -> Iterator[int]:
    for limit, usage in _LIMITS:
        try:
            most, used = ((groups / name).read_text().strip() for name in (limit, usage))
        except OSError:
            continue
        if most.isdecimal():  # not `max`
            yield max(int(most) - int(used), 0)
