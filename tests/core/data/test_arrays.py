"""One rule for a whole data set: what numpy allows and torch does not is made right at the door."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from medpipe_core.data import Batches, DataError, LabelledVolumes, ordered_batches

COUNT = 6
VALUES = np.random.default_rng(0).integers(0, 256, (COUNT, 1, 2, 3, 4), dtype=np.uint8)
UNIT = (VALUES / 255).astype(np.float32)
LABELS = np.arange(COUNT) % 2


def read_only(array):
    array = array.copy()
    array.flags.writeable = False
    return array


def unaligned(array):
    room = np.empty(array.nbytes + 1, np.uint8)
    moved = room[1:].view(array.dtype).reshape(array.shape)
    moved[:] = array
    return moved


FORMS = {
    "negative strides": lambda a: np.ascontiguousarray(a[::-1])[::-1],
    "negative strides inside": lambda a: np.ascontiguousarray(a[..., ::-1])[..., ::-1],
    "another byte order": lambda a: a.astype(a.dtype.newbyteorder(">")),
    "read-only": read_only,
    "Fortran order": np.asfortranarray,
    "every other": lambda a: np.repeat(a, 2, axis=0)[::2],
    "unaligned": unaligned,
    "a list": lambda a: [np.asarray(one) for one in a],
    "masked, nothing hidden": lambda a: np.ma.masked_array(a, np.zeros(a.shape, bool)),
    "a tensor": lambda a: torch.from_numpy(a.copy()),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("values", [VALUES, UNIT], ids=["uint8", "float32"])
@pytest.mark.parametrize("hold", ["device", "host"])
def test_every_form_of_an_array_reaches_the_network_as_the_plain_one_does(form, values, hold):
    data = LabelledVolumes(FORMS[form](values), FORMS[form](LABELS))
    assert data.volumes.flags.c_contiguous
    assert data.volumes.dtype == values.dtype
    (batch,) = ordered_batches(data, batch_size=COUNT, device="cpu")
    assert torch.equal(batch.volumes, torch.from_numpy(UNIT))
    assert torch.equal(batch.labels, torch.from_numpy(LABELS))
    batches = Batches(data, batch_size=2, seed=0, device="cpu", hold=hold)
    for _ in range(4):
        batch = batches.next()
        assert torch.equal(batch.volumes, torch.from_numpy(UNIT)[batch.indices])
        assert torch.equal(batch.labels, batch.indices % 2)


@pytest.mark.parametrize("dtype", [np.float16, np.float64, np.longdouble, ">f8"])
def test_floating_point_volumes_of_any_width_become_float32(dtype):
    volumes = LabelledVolumes(np.full((1, 1, 3, 3, 3), 0.5, dtype), np.zeros(1, int)).volumes
    assert volumes.dtype == np.dtype(np.float32)
    assert volumes.dtype.isnative
    assert (volumes == 0.5).all()


def test_masks_of_bool_are_0_and_1_to_the_network():
    data = LabelledVolumes(VALUES > 99, LABELS)
    assert data.volumes.dtype == np.uint8
    (batch,) = ordered_batches(data, batch_size=COUNT, device="cpu")
    assert torch.equal(batch.volumes, torch.from_numpy(VALUES > 99).float())


def test_a_number_too_large_for_float32_is_told_by_the_check_and_warns_nowhere():
    volumes = LabelledVolumes(np.full((1, 1, 3, 3, 3), 1e300), np.zeros(1, int)).volumes
    assert np.isinf(volumes).all()


@pytest.mark.parametrize("dtype", [np.uint16, np.int8, np.int64, complex, object, "U1", "M8[s]"])
def test_types_without_a_scale_are_refused(dtype):
    with pytest.raises(DataError, match=r"of uint8, 0 to 255, .* but are \(2, 1, 3, 3, 3\) of"):
        LabelledVolumes(np.zeros((2, 1, 3, 3, 3)).astype(dtype), np.zeros(2, int))


@pytest.mark.parametrize(
    ("volumes", "reason"),
    [
        (np.ma.masked_less(VALUES, 99), "some volumes are masked"),
        ([np.zeros((1, 2, 2, 2)), np.zeros((1, 3, 2, 2))], "volumes cannot be made one array"),
        (torch.zeros(2, 1, 2, 2, 2, requires_grad=True), "volumes cannot be made one array"),
        (np.zeros((2, 1, 0, 3, 3), np.uint8), "have no voxels"),
        (None, "volumes must be"),
    ],
)
def test_what_cannot_become_an_array_of_voxels_is_refused_in_words(volumes, reason):
    with pytest.raises(DataError, match=reason):
        LabelledVolumes(volumes, np.zeros(2, int))


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.uint64, bool, ">i8", object])
@pytest.mark.parametrize("shape", [(2,), (2, 1)])
def test_whole_labels_of_any_width_become_int64(dtype, shape):
    given = np.array([0, 1]).astype(dtype).reshape(shape)
    labels = LabelledVolumes(VALUES[:2], given).labels
    assert labels.dtype == np.dtype(np.int64)
    assert labels.tolist() == [0, 1]


@pytest.mark.parametrize(
    ("labels", "reason"),
    [
        (np.array([0, 2**63], np.uint64), "but one is 9223372036854775808"),
        (np.array([0, 2**70], object), "of whole numbers"),
        ([0, 2**70], "of whole numbers"),
        (np.array([[0, 1]]), r"labels must be \(2,\)"),
        (np.eye(2, dtype=int), r"labels must be \(2,\)"),
        (np.array(["0", "1"]), "of whole numbers"),
        (np.ma.masked_equal([0, 1], 1), "some labels are masked"),
        ([0, None], "of whole numbers"),
    ],
)
def test_labels_that_are_none_are_refused(labels, reason):
    with pytest.raises(DataError, match=reason):
        LabelledVolumes(VALUES[:2], labels)


@pytest.mark.parametrize("order", [1, -1])
def test_a_joined_set_has_one_scale_whichever_types_come_together(order):
    sides = [LabelledVolumes(VALUES, LABELS), LabelledVolumes(UNIT, LABELS)][::order]
    joined = sides[0].join(sides[1])
    assert joined.volumes.dtype == np.float32
    assert joined.volumes.max() <= 1
    assert np.array_equal(joined.volumes[:COUNT], joined.volumes[COUNT:])
    halves = joined.take(np.array([0, COUNT])).volumes
    assert np.array_equal(halves[0], halves[1])


def test_uint8_joined_with_uint8_stays_so():
    data = LabelledVolumes(VALUES, LABELS)
    assert data.join(data).volumes.dtype == np.uint8


@pytest.mark.parametrize("groups", [[1, "1"], np.array([1, "1"], object), [b"1", b"1"]])
def test_patients_of_mixed_types_are_texts(groups):
    groups = LabelledVolumes(VALUES[:2], LABELS[:2], groups).groups
    assert groups.tolist() == ["1", "1"]


def test_patients_of_two_types_are_joined_as_texts():
    one = LabelledVolumes(VALUES[:2], LABELS[:2], [1, 2])
    for other in (["1", "3"], [b"1", b"3"], np.array(["1", "3"], object)):
        joined = one.join(LabelledVolumes(VALUES[:2], LABELS[:2], other))
        assert joined.groups.tolist() == ["1", "2", "1", "3"]


def test_names_of_cases_go_with_their_volumes():
    data = LabelledVolumes(VALUES[:3], [0, 1, 0], cases=["a", "b", "c"])
    assert data.take(np.array([2, 0])).cases.tolist() == ["c", "a"]
    assert data.join(data).cases.tolist() == ["a", "b", "c", "a", "b", "c"]
    assert data.join(LabelledVolumes(VALUES[:1], [0])).cases is None
    with pytest.raises(DataError, match="one name for each volume"):
        LabelledVolumes(VALUES[:3], [0, 1, 0], cases=["a", "b"])
