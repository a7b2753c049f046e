"""Near-doubles are found; other volumes are not taken for them."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from medpipe_core.data import LabelledVolumes, fingerprints, near_doubles


def pictures(count, seed=0, size=24):
    rng = np.random.default_rng(seed)
    rough = rng.random((count, 6, 6, 6))
    fine = np.stack([ndimage.zoom(one, size / 6, order=3) for one in rough])
    return np.clip(fine * 255, 0, 255).astype(np.uint8)[:, None]


def prints(volumes):
    return fingerprints(LabelledVolumes(volumes, np.zeros(len(volumes), np.int64)))


CHANGES = {
    "the same": lambda v: v,
    "noise": lambda v: np.clip(v + np.random.default_rng(1).normal(0, 5, v.shape), 0, 255),
    "another window": lambda v: v * 0.7 + 30,
    "another curve": lambda v: 255 * (v / 255) ** 0.8,
    "float": lambda v: v / np.float32(255),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_volume_that_was_changed_a_little_is_a_near_double(name):
    volumes = pictures(12)
    changed = CHANGES[name](volumes[3:5].astype(np.float32))
    changed = changed.astype(np.float32) if name == "float" else changed.astype(np.uint8)
    pairs = list(near_doubles(prints(volumes), prints(changed)))
    assert [(row, column) for row, column, _ in pairs] == [(3, 0), (4, 1)]
    assert all((distance == 0) == (name == "the same") or distance < 0.2 for *_, distance in pairs)


def test_other_volumes_and_blank_ones_are_near_nothing():
    volumes = np.concatenate([pictures(40), np.zeros((3, 1, 24, 24, 24), np.uint8)])
    assert list(near_doubles(prints(volumes))) == []
    assert list(near_doubles(prints(volumes), prints(pictures(20, seed=1)))) == []
    assert list(near_doubles(prints(volumes[:0]), prints(volumes))) == []


def test_pairs_within_a_set_are_told_once():
    volumes = pictures(5)
    volumes = np.concatenate([volumes, volumes[1:2]])
    assert [(row, column) for row, column, _ in near_doubles(prints(volumes))] == [(1, 5)]
