"""One seed makes a tree of generators: a child's seed follows from its parent's and its name."""

from __future__ import annotations

import hashlib
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


def child_seed(seed: int, *names: str) -> int:
    """Derive the seed of a named child, in [0, 2⁶³).

    The same seed and names give the same child on every machine and in every process; a child
    does not depend on which siblings exist or in which order they are made.
    """
    text = "/".join((str(seed), *names))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


@contextmanager
def seeded_init(seed: int) -> Iterator[None]:
    """Seed the initialisation of modules built inside the block, and nothing after it.

    Torch's layers draw their first weights from torch's global CPU generator and accept no other.
    This seeds that generator for the block and puts its state back, so that neither side notices.
    """
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield
