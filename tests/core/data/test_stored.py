from __future__ import annotations

import numpy as np
import pytest

from medpipe_core.data import (
    DataError,
    LabelledVolumes,
    StoredVolumes,
    blank,
    describe,
    overlap,
    value_range,
)
from medpipe_core.data import stored as module

SHAPE = (7, 1, 3, 4, 5)


@pytest.fixture
def inside():
    values = np.random.default_rng(0).integers(0, 255, SHAPE).astype(np.uint8)
    values[3] = 9
    return LabelledVolumes(values, np.arange(7) % 2, np.arange(7) // 2)


@pytest.fixture
def stored(inside, tmp_path):
    np.save(tmp_path / "volumes.npy", inside.volumes)
    mapped = np.load(tmp_path / "volumes.npy", mmap_mode="r")
    return LabelledVolumes(mapped, inside.labels, inside.groups)


def test_a_memory_mapped_array_stays_in_its_file(stored):
    assert isinstance(stored.volumes, StoredVolumes)
    assert isinstance(stored.take(np.array([2, 0])).volumes, StoredVolumes)
    assert isinstance(stored.join(stored).volumes, StoredVolumes)


@pytest.mark.parametrize(
    "index", [2, -1, slice(1, 5), slice(0, 0), np.array([5, 0, 5]), np.arange(7) % 2 == 0]
)
def test_stored_volumes_are_indexed_as_arrays_are(inside, stored, index):
    assert np.array_equal(stored.volumes[index], inside.volumes[index])
    assert stored.volumes[index].dtype == np.uint8


def test_it_has_the_shape_type_and_bytes_of_the_array(inside, stored):
    for name in ("shape", "dtype", "nbytes"):
        assert getattr(stored.volumes, name) == getattr(inside.volumes, name)
    assert np.array_equal(np.asarray(stored.volumes), inside.volumes)
    assert np.asarray(stored.volumes, np.float32).dtype == np.float32
    assert all(map(np.array_equal, stored.volumes, inside.volumes))


def test_no_array_can_be_had_without_a_copy(stored):
    with pytest.raises(ValueError, match="without being read"):
        np.array(stored.volumes, copy=False)


def test_subsets_and_unions_hold_the_same_volumes_as_those_of_arrays(inside, stored):
    some = np.array([6, 1, 2])
    for one in (inside, stored):
        for other in (inside, stored):
            joined = one.take(some).join(other)
            expected = inside.take(some).join(inside)
            assert np.array_equal(np.asarray(joined.volumes), expected.volumes)
            assert np.array_equal(joined.labels, expected.labels)
            assert np.array_equal(joined.groups, expected.groups)
    twice = stored.take(some).join(stored).take(np.array([9, 0]))
    assert np.array_equal(twice.volumes[:], inside.volumes[[6, 6]])


def test_volumes_of_two_types_stay_stored_and_are_read_on_one_scale(inside, stored, tmp_path):
    np.save(tmp_path / "more.npy", np.ones((2, *SHAPE[1:]), np.float32))
    more = LabelledVolumes(np.load(tmp_path / "more.npy", mmap_mode="r"), np.zeros(2, int))
    for one, other in ((stored, more), (more, stored), (inside, more), (more, inside)):
        joined = one.join(other).volumes
        assert isinstance(joined, StoredVolumes)
        assert joined.dtype == joined[0].dtype == joined[:].dtype == np.float32
        both = [v.volumes[:] / np.float32(1 if v is more else 255) for v in (one, other)]
        assert np.array_equal(joined[:], np.concatenate(both))


@pytest.mark.parametrize("part_bytes", [1, 130, 2**26])
def test_what_is_odd_is_found_part_by_part(inside, stored, part_bytes, monkeypatch):
    monkeypatch.setattr(module, "_PART_BYTES", part_bytes)
    assert blank(stored) == blank(inside) == [3]
    assert value_range(stored.volumes) == (inside.volumes.min(), inside.volumes.max())
    assert describe(stored, ("a", "b")) == describe(inside, ("a", "b"))
    assert overlap(stored, inside) == 7


@pytest.mark.parametrize("dtype", [np.float64, ">f4", np.float16, bool])
def test_a_type_that_must_be_converted_is_so_when_it_is_read(tmp_path, dtype):
    values = np.random.default_rng(0).integers(0, 2, SHAPE).astype(dtype)
    np.save(tmp_path / "volumes.npy", values)
    mapped = LabelledVolumes(np.load(tmp_path / "volumes.npy", mmap_mode="r"), np.zeros(7, int))
    assert isinstance(mapped.volumes, StoredVolumes)
    inside = LabelledVolumes(values, np.zeros(7, int)).volumes
    assert mapped.volumes.dtype == inside.dtype
    for index in (2, slice(1, 4), np.array([5, 0])):
        assert np.array_equal(mapped.volumes[index], inside[index])
        assert mapped.volumes[index].dtype == inside.dtype


def test_a_type_that_has_no_scale_is_refused_where_the_file_is_opened(tmp_path):
    np.save(tmp_path / "volumes.npy", np.zeros(SHAPE, np.uint16))
    with pytest.raises(DataError, match="of uint16"):
        LabelledVolumes(np.load(tmp_path / "volumes.npy", mmap_mode="r"), np.zeros(7, int))


def test_sources_of_two_shapes_are_refused():
    with pytest.raises(DataError, match="have one shape"):
        StoredVolumes([np.zeros((1, 1, 2, 2, 2), np.uint8), np.zeros((1, 1, 3, 2, 2), np.uint8)])
