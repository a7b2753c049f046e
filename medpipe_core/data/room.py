"""Whether volumes fit into memory, asked before it is taken."""

from __future__ import annotations

from medpipe_core.data.errors import DataError

_GIB = 2**30


def check_room(needed: int, what: str, *, remedy: str) -> None:
    """Refuse what does not fit into the memory that is free now, as far as the system tells.

    Args:
        needed: Bytes.
        what: What takes them, for the message.
        remedy: What would take fewer.

    Raises:
        DataError: It does not fit.
    """
    import torch

    from medpipe_core.memory import free_memory

    free = free_memory(torch.device("cpu"))
    if free is not None and needed > free:
        raise DataError(
            f"{what} would take {needed / _GIB:.1f} GiB of memory, and {free / _GIB:.1f} GiB are "
            f"free; {remedy}"
        )
