"""Hypothesis strategies: volumes, spaces and their members."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from hypothesis import strategies as st

from medpipe_core.space import (
    Group,
    Mutable,
    Operation,
    OperationChoice,
    Repeat,
    SearchSpace,
    ValueChoice,
)
from medpipe_core.testing.checking import sample_volumes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from medpipe_core.space import Genotype

_NAMES = ("a", "b", "c", "d")


@st.composite
def volumes(
    draw: st.DrawFn,
    *,
    most: int = 4,
    channels: int | None = None,
    axes: int = 3,
    longest: int = 8,
    dtypes: Sequence[torch.dtype] = (torch.float32, torch.float64),
) -> Tensor:
    """Draw volumes `(batch, channel, *space)`, intensities in [0, 1].

    Axes mostly differ in length. Some volumes are blank, full or lit in one voxel; some lie in
    memory that is not contiguous.

    Args:
        draw: Hypothesis's own; not given by the caller.
        most: Largest batch; the smallest is 1.
        channels: Channels; 1 to 3 by default.
        axes: Axes of space.
        longest: Longest axis, in voxels.
        dtypes: Types to draw from.
    """
    count = draw(st.integers(1, most))
    channels = draw(st.integers(1, 3)) if channels is None else channels
    size = [draw(st.integers(1, longest)) for _ in range(axes)]
    dtype = draw(st.sampled_from(list(dtypes)))
    drawn = sample_volumes(count, channels, size, seed=draw(st.integers(0, 999)), dtype=dtype)
    content = draw(st.sampled_from(("ordinary", "blank", "full", "single")))
    if content != "ordinary":
        drawn.fill_(1.0 if content == "full" else 0.0)
    if content == "single":
        drawn.flatten(1)[:, draw(st.integers(0, drawn[0].numel() - 1))] = 1
    if draw(st.booleans()):
        drawn = drawn.movedim(0, -1).contiguous().movedim(-1, 0)
    return drawn


def genotypes(space: SearchSpace) -> st.SearchStrategy[Genotype]:
    """Draw members of a space; a failing one shrinks towards the space's first keys."""
    return st.integers(0, space.size() - 1).map(space.unrank)


def spaces(*, largest: int = 3000, leaves: int = 5) -> st.SearchStrategy[SearchSpace]:
    """Draw small spaces, nested and conditional ones among them, without a catalogue.

    Args:
        largest: Most members of a space.
        leaves: About how many operations the tree of a part has at most.
    """
    parts = st.dictionaries(st.sampled_from(_NAMES), _nodes(leaves), min_size=1, max_size=3)
    return parts.map(lambda parts: SearchSpace("random", Group(parts))).filter(
        lambda space: space.size() <= largest
    )


def _nodes(leaves: int) -> st.SearchStrategy[Mutable]:
    def compound(children: st.SearchStrategy[Mutable]) -> st.SearchStrategy[Mutable]:
        named = st.lists(children, min_size=1, max_size=3).map(
            lambda nodes: dict(zip(_NAMES, nodes, strict=False))
        )
        counts = st.sampled_from([(0, 1), (1,), (2, 1), (0, 2)])
        return st.one_of(
            named.map(Group), named.map(OperationChoice), st.builds(Repeat, children, counts)
        )

    return st.recursive(_operations(), compound, max_leaves=leaves)


def _operations() -> st.SearchStrategy[Mutable]:
    def build(kind: str, choices: list[ValueChoice], can_be_neutral: bool) -> Mutable:
        searched = dict(zip(("p", "left", "right"), choices, strict=False))
        neutral = {"p": 0} if can_be_neutral and "p" in searched else None
        return Operation(kind, "op", {"fixed": 7, **searched}, neutral)

    choices = st.lists(st.integers(1, 3).map(lambda n: ValueChoice(*range(n))), max_size=3)
    return st.builds(build, st.sampled_from(("augmentation", "block")), choices, st.booleans())
