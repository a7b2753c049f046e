from __future__ import annotations

import gc
import threading
import time

import numpy as np
import pytest
import torch

from medpipe_core.data import Batches, DataError, LabelledVolumes, StoredVolumes, ordered_batches


def volumes(count=10, dtype=np.uint8):
    values = np.arange(count, dtype=dtype).reshape(-1, 1, 1, 1, 1)
    return LabelledVolumes(np.tile(values, (1, 1, 2, 2, 2)), np.arange(count))


def source(count=10, batch_size=3, seed=0, hold="auto"):
    return Batches(volumes(count), batch_size=batch_size, seed=seed, device="cpu", hold=hold)


def readers():
    return {t for t in threading.enumerate() if t.name.startswith("medpipe-batches")}


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


@pytest.mark.parametrize("hold", ["device", "host"])
@pytest.mark.parametrize("stop", range(8))
def test_going_on_from_a_saved_state_gives_the_same_batches(stop, hold):
    whole = source(hold=hold)
    for _ in range(stop):
        whole.next()
    resumed = source(seed=99, hold=hold)
    resumed.next()
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


def test_batches_read_ahead_are_those_that_are_held():
    held, ahead = source(hold="device"), source(hold="host")
    for _ in range(11):
        one, other = held.next(), ahead.next()
        assert torch.equal(one.volumes, other.volumes)
        assert torch.equal(one.labels, other.labels)
        assert torch.equal(one.indices, other.indices)
        assert held.state_dict() == ahead.state_dict()


def test_volumes_in_files_are_read_ahead_and_those_in_memory_held(tmp_path):
    np.save(tmp_path / "volumes.npy", volumes().volumes)
    mapped = np.load(tmp_path / "volumes.npy", mmap_mode="r")
    stored = LabelledVolumes(mapped, np.arange(10))
    from_file = Batches(stored, batch_size=3, seed=0, device="cpu")
    assert (from_file.held, source().held) == (False, True)
    assert torch.equal(from_file.next().volumes, source().next().volumes)
    whole = torch.cat([b.volumes for b in ordered_batches(stored, batch_size=4, device="cpu")])
    assert torch.equal(whole[:, 0, 0, 0, 0] * 255, torch.arange(10.0))


class Counting(StoredVolumes):
    """Stored volumes that remember how often they were read, and fail at will."""

    reads, broken = 0, False

    def __getitem__(self, index):
        self.reads += 1
        if self.broken:
            raise OSError("the disk is gone")
        return super().__getitem__(index)


def counting():
    data = volumes(40)
    stored = Counting([data.volumes])
    return stored, Batches(LabelledVolumes(stored, data.labels), batch_size=2, seed=0, device="cpu")


def test_no_more_than_two_batches_are_read_ahead():
    stored, batches = counting()
    assert stored.reads == 0
    for used in range(1, 6):
        batches.next()
        deadline = time.monotonic() + 10
        while stored.reads < used + 2 and time.monotonic() < deadline:
            time.sleep(0.001)
        time.sleep(0.01)
        assert stored.reads == used + 2


def test_what_goes_wrong_while_reading_ahead_reaches_who_asks():
    stored, batches = counting()
    stored.broken = True
    with pytest.raises(OSError, match="the disk is gone"):
        batches.next()
    stored.broken = False
    batches.load_state_dict(batches.state_dict())
    assert len(batches.next().labels) == 2


def test_the_thread_ends_with_its_batches():
    before = readers()  # other tests' threads may end meanwhile
    batches = source(hold="host")
    batches.next()
    (own,) = readers() - before
    del batches
    gc.collect()
    own.join(timeout=10)
    assert not own.is_alive()
