"""Volumes that each epoch draws anew, whoever reads them, and are judged in one form."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from medpipe_core.data import (
    Batches,
    CrossValidatedDataset,
    DataError,
    DatasetCard,
    Development,
    LabelledVolumes,
    SealedTest,
    StoredVolumes,
    VaryingVolumes,
    ordered_batches,
)
from medpipe_core.seeding import child_seed

COUNT, SIZE = 11, (1, 2, 2, 2)


def judged():
    rows = np.arange(COUNT, dtype=np.float32).reshape(-1, 1, 1, 1, 1) / COUNT
    return np.tile(rows, (1, *SIZE))


def draw(row, seed):
    return np.random.default_rng((row, seed)).random(SIZE, np.float32)


def varying():
    stored = StoredVolumes([VaryingVolumes(judged(), draw)])
    return LabelledVolumes(stored, np.arange(COUNT) % 2)


def batches(data, seed=0, **more):
    return Batches(data, batch_size=3, seed=seed, device="cpu", **more)


def epoch(source):
    return {
        int(row): volume
        for batch in source.epoch_batches()
        for row, volume in zip(batch.indices, batch.volumes.numpy(), strict=True)
    }


def test_they_are_read_and_judged_in_one_form():
    data = varying()
    assert np.array_equal(data.volumes[:], judged())
    assert data.fixed().volumes.varies is False
    assert np.array_equal(data.fixed().volumes[:], judged())
    found = [batch.volumes.numpy() for batch in ordered_batches(data, batch_size=4, device="cpu")]
    assert np.array_equal(np.concatenate(found), judged())
    for row, volume in epoch(batches(data.fixed())).items():
        assert np.array_equal(volume, judged()[row])


def test_two_epochs_differ_and_one_seed_is_repeated():
    one, same, other = batches(varying()), batches(varying()), batches(varying(), seed=1)
    first, second = epoch(one), epoch(one)
    both = first.keys() & second.keys()
    assert len(both) > 5
    assert all(not np.array_equal(first[row], second[row]) for row in both)
    again, differently = epoch(same), epoch(other)
    assert all(np.array_equal(first[row], again[row]) for row in first)
    both = first.keys() & differently.keys()
    assert all(not np.array_equal(first[row], differently[row]) for row in both)


@given(st.permutations(range(COUNT)), st.integers(1, COUNT))
def test_a_draw_depends_on_seed_and_row_alone(order, size):
    drawn = varying().volumes.drawn(5)
    for start in range(0, COUNT, size):
        rows = np.array(order[start : start + size])
        expected = np.stack([draw(int(row), 5) for row in rows])
        assert np.array_equal(drawn[rows], expected)


@pytest.mark.parametrize("stop", range(9))
def test_going_on_from_a_saved_state_gives_the_same_draws(stop):
    whole, resumed = batches(varying()), batches(varying(), seed=99)
    for _ in range(stop):
        whole.next()
    resumed.next()
    resumed.load_state_dict(whole.state_dict())
    for _ in range(7):
        assert torch.equal(resumed.next().volumes, whole.next().volumes)


def test_the_seed_of_an_epoch_follows_from_that_of_the_batches():
    source = batches(varying(), seed=3)
    epoch(source)
    found = epoch(source)
    for row, volume in found.items():
        assert np.array_equal(volume, draw(row, child_seed(3, "volumes", "1")))


def test_subsets_and_unions_vary_where_their_parts_do():
    data = varying()
    some = data.take(np.array([4, 2]))
    plain = LabelledVolumes(judged()[:2], np.zeros(2, int))
    both = plain.join(some)
    assert both.volumes.varies
    drawn = both.volumes.drawn(1)[:]
    assert np.array_equal(drawn[:2], judged()[:2])
    assert np.array_equal(drawn[2:], np.stack([draw(4, 1), draw(2, 1)]))
    assert not plain.join(some.fixed()).volumes.varies


@pytest.mark.parametrize("hold", ["auto", "device", "host"])
def test_they_stay_on_the_host_whatever_was_asked_for(hold):
    assert not batches(varying(), hold=hold).held
    assert epoch(batches(varying(), hold=hold)).keys() == epoch(batches(varying())).keys()
    assert batches(varying().fixed(), hold="device").held


def test_a_draw_of_another_shape_or_type_is_refused():
    for wrong in (np.zeros((1, 2, 2, 3), np.float32), np.zeros(SIZE, np.uint8)):
        volumes = StoredVolumes([VaryingVolumes(judged(), lambda row, seed, w=wrong: w)])
        with pytest.raises(DataError, match="volume 4 is drawn as"):
            volumes.drawn(0)[4]


class Varying:
    card = DatasetCard("it", "It", ("a", "b"), 1, SIZE[1:], "made", "none")

    def development(self):
        return Development(varying(), varying())

    def sealed_test(self):
        return SealedTest(varying)


def test_in_cross_validation_one_part_alone_is_drawn():
    dataset = CrossValidatedDataset(Varying(), fold=0, folds=5)
    development = dataset.development()
    assert development.train.volumes.varies
    assert not development.validation.volumes.varies
    assert not dataset.sealed_test().open(after="it").volumes.varies
