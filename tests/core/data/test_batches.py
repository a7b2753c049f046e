from __future__ import annotations

import numpy as np
import pytest
import torch

from medpipe_core.data import Batches, DataError, LabelledVolumes, ordered_batches


def volumes(count=10, dtype=np.uint8):
    values = np.arange(count, dtype=dtype).reshape(-1, 1, 1, 1, 1)
    return LabelledVolumes(np.tile(values, (1, 1, 2, 2, 2)), np.arange(count))


def source(count=10, batch_size=3, seed=0):
    return Batches(volumes(count), batch_size=batch_size, seed=seed, device="cpu")


def test_an_epoch_shows_every_volume_at_most_once_in_equal_batches():
    batches = list(source().epoch_batches())
    seen = torch.cat([batch.indices for batch in batches])
    assert [len(batch.labels) for batch in batches] == [3, 3, 3]
    assert len(set(seen.tolist())) == 9
    assert all(torch.equal(batch.labels, batch.indices) for batch in batches)


def test_volumes_come_as_float_in_the_unit_interval():
    batch = source().next()
    assert batch.volumes.dtype == torch.float32
    torch.testing.assert_close(batch.volumes[:, 0, 0, 0, 0], batch.labels / 255)


def test_every_epoch_has_an_order_of_its_own_that_follows_from_the_seed():
    one, same, other = source(), source(), source(seed=1)
    orders = [
        [b.indices.tolist() for _ in range(3) for b in [s.next()]] for s in (one, same, other)
    ]
    assert orders[0] == orders[1] != orders[2]
    assert [one.next().indices.tolist() for _ in range(3)] != orders[0]


@pytest.mark.parametrize("stop", range(8))
def test_going_on_from_a_saved_state_gives_the_same_batches(stop):
    whole = source()
    for _ in range(stop):
        whole.next()
    resumed = source(seed=99)
    resumed.load_state_dict(whole.state_dict())
    for _ in range(7):
        assert torch.equal(resumed.next().indices, whole.next().indices)


def test_fewer_volumes_than_a_batch_make_one_batch():
    assert len(source(count=4, batch_size=16)) == 1
    assert len(source(count=4, batch_size=16).next().labels) == 4


def test_one_volume_cannot_be_trained_on():
    with pytest.raises(DataError, match="at least two"):
        source(count=1)


def test_evaluation_goes_through_all_volumes_in_order():
    found = [b.labels.tolist() for b in ordered_batches(volumes(), batch_size=4, device="cpu")]
    assert found == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
