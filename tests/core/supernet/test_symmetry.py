"""Exact symmetries, their closure, and predictions averaged over them."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import nn

from medpipe_core.supernet import (
    Augmentation,
    Averaged,
    Policy,
    PolicyLayer,
    Symmetry,
)
from medpipe_core.supernet.symmetry import generated

FLIPS = [Symmetry.mirror(axis, 3) for axis in range(3)]
TURNS = [Symmetry.quarter_turn(one, other, 3) for one, other in ((0, 1), (1, 2), (0, 2))]


def volumes(size=(4, 4, 4)):
    return torch.rand(2, 1, *size, generator=torch.Generator().manual_seed(0))


def test_a_mirror_flips_and_a_quarter_turn_is_torchs():
    batch = volumes((3, 4, 5))
    assert torch.equal(Symmetry.mirror(-1, 3)(batch), batch.flip(-1))
    assert torch.equal(Symmetry.mirror(0, 3)(batch), batch.flip(2))
    turned = Symmetry.quarter_turn(1, 2, 3)(batch)
    assert torch.equal(turned, batch.rot90(1, (3, 4))) or torch.equal(
        turned, batch.rot90(-1, (3, 4))
    )


@pytest.mark.parametrize(("one", "other"), list(itertools.product(FLIPS + TURNS, repeat=2)))
def test_one_after_the_other_is_both(one, other):
    batch = volumes()
    assert torch.equal(one.after(other)(batch), one(other(batch)))


@pytest.mark.parametrize(
    ("makers", "count"),
    [([], 0), (FLIPS[:1], 1), (FLIPS[:2], 3), (FLIPS, 7), (TURNS[:1], 3), (TURNS, 23),
     (FLIPS[:1] + TURNS, 47)],
)  # fmt: skip
def test_what_they_make_together_is_the_whole_group(makers, count):
    found = generated(makers, 3)
    assert len(set(found)) == count
    batch = volumes()
    pictures = {one(batch).numpy().tobytes() for one in found} | {batch.numpy().tobytes()}
    assert len(pictures) == count + 1


def test_mirrors_and_their_odd_products_exchange_sides_and_turns_do_not():
    assert all(flip.mirrors for flip in FLIPS)
    assert not any(turn.mirrors for turn in generated(TURNS, 3))
    assert sum(one.mirrors for one in generated(FLIPS[:1] + TURNS, 3)) == 24


def test_volumes_keep_turns_between_equal_axes_alone():
    assert TURNS[0].keeps((4, 4, 5))
    assert not TURNS[1].keeps((4, 4, 5))
    assert all(flip.keeps((3, 4, 5)) for flip in FLIPS)


@pytest.mark.parametrize("one", [*FLIPS, *TURNS])
def test_it_is_plain_data_and_back(one):
    assert Symmetry.from_plain(one.to_plain()) == one


def test_data_that_are_no_symmetry_are_refused():
    with pytest.raises(ValueError, match="is no symmetry"):
        Symmetry.from_plain([[0, 0, 2], [False, False, False]])


class Mirror(Augmentation):
    def symmetries(self, axes, *, axis):
        return (Symmetry.mirror(axis, axes),)


def layer(p, axis):
    return PolicyLayer("mirror", Mirror(), p, {"axis": axis}, ())


def test_layers_that_act_make_them_and_others_do_not():
    policy = Policy([layer(0.5, 0), layer(0.0, 1), layer(0.1, 2)])
    assert set(policy.symmetries((3, 4, 5))) == set(generated([FLIPS[0], FLIPS[2]], 3))


def test_averaged_probabilities_do_not_depend_on_the_view():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 3)).eval()
    symmetries = generated(FLIPS, 3)
    averaged = Averaged(network, symmetries).eval()
    batch = volumes()
    views = [batch, *(one(batch) for one in symmetries)]
    mean = torch.stack([network(view).softmax(1) for view in views]).mean(0)
    for view in views:
        torch.testing.assert_close(averaged(view).softmax(1), mean)
    assert not torch.allclose(network(batch).softmax(1), mean, atol=1e-3)
