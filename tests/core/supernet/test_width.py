"""Narrower networks of the same genotype."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from medpipe_core import Group, Operation, SearchSpace, ValueChoice, build_network, widths
from medpipe_core.supernet import BindingError


class Conv(nn.Module):
    def __init__(self, in_channels, *, channels=8, kernel=1):
        super().__init__()
        self.out_channels = channels
        self.conv = nn.Conv3d(in_channels, channels, kernel)

    def forward(self, x):
        return self.conv(x)


@widths("channels")
class Wide(Conv):
    pass


@widths()
class Same(Conv):
    def __init__(self, in_channels):
        super().__init__(in_channels, channels=in_channels)


@widths("breadth")
class Wrong(Conv):
    pass


class Catalogue:
    blocks = {"wide": Wide, "same": Same, "silent": Conv, "wrong": Wrong}

    def factory(self, kind, name):
        return self.blocks[name]

    def origin(self, kind, name):
        return "acme", "1.0"

    def versions(self):
        return {"acme": "1.0"}


def network(*names, width=0.5, **parameters):
    blocks = {f"b{i}": Operation("block", name, parameters) for i, name in enumerate(names)}
    space = SearchSpace("blocks", Group(blocks), catalogue=Catalogue())
    genotype = space.sample(seed=0)
    return build_network(space, genotype, in_channels=1, num_classes=2, width=width)


def channels(built):
    return [block.out_channels for block in list(built)[:-1]]


@pytest.mark.parametrize(("share", "expected"), [(1.0, 20), (0.5, 10), (0.33, 7), (0.01, 1)])
def test_channels_are_a_share_of_what_they_are(share, expected):
    built = network("wide", width=share, channels=ValueChoice(20))
    assert channels(built) == [expected]
    assert built(torch.zeros(2, 1, 3, 3, 3)).shape == (2, 2)


def test_a_width_that_is_a_default_is_narrowed_and_what_has_none_follows():
    space = SearchSpace(
        "two",
        Group({"wide": Operation("block", "wide"), "same": Operation("block", "same")}),
        catalogue=Catalogue(),
    )
    built = build_network(space, space.sample(seed=0), in_channels=1, num_classes=2, width=0.25)
    assert channels(built) == [2, 2]


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (("wide", "silent"), r"b1: block 'silent' of acme 1.0 does not say .* decorate it with"),
        (("same",), "no block of this genotype has a width of its own"),
        (("wrong",), "says that its width is 'breadth', but takes no such parameter"),
    ],
)
def test_what_cannot_be_made_narrower_is_refused_in_words(names, said):
    with pytest.raises(BindingError, match=said):
        network(*names)
    if "wrong" not in names:
        assert network(*names, width=1.0) is not None
