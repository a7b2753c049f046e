from __future__ import annotations

import numpy as np
import pytest

from medpipe_core.data import DataError, overlap
from medpipe_plugins.datasets import Phantom3D
from medpipe_plugins.datasets.phantom3d import CENTRES, SHARES, ceiling

SMALL = {"size": 12, "train": 40, "validation": 20, "test": 20}


def test_the_seed_of_the_dataset_decides_every_voxel():
    one, same, other = (Phantom3D(**SMALL, seed=s).development() for s in (1, 1, 2))
    assert np.array_equal(one.train.volumes, same.train.volumes)
    assert not np.array_equal(one.train.volumes, other.train.volumes)


def test_parts_share_no_volume_and_classes_have_their_shares():
    dataset = Phantom3D(**SMALL)
    development, test = dataset.development(), dataset.sealed_test().open(after="x")
    assert overlap(development.train, development.validation) == 0
    assert overlap(development.train, test) == 0
    assert np.bincount(test.labels).tolist() == [6, 9, 5]
    assert test.volumes.shape == (20, 1, 12, 12, 12)


@pytest.mark.parametrize("sigma", [0.2, 0.3, 0.6])
def test_the_ceiling_is_what_the_best_decision_on_the_latent_number_scores(sigma):
    rng = np.random.default_rng(0)
    labels = rng.choice(3, 200_000, p=SHARES)
    latent = rng.normal(np.take(CENTRES, labels), sigma)
    scores = np.log(SHARES) - (latent[:, None] - np.array(CENTRES)) ** 2 / (2 * sigma**2)
    found = (scores.argmax(1) == labels).mean()
    assert abs(found - ceiling(sigma)) < 4 * np.sqrt(0.25 / 200_000)


def test_the_card_tells_the_ceiling_and_the_majority_row():
    notes = " ".join(Phantom3D().card.notes)
    assert f"{ceiling(0.3):.3f}" in notes
    assert "0.45" in notes


def test_the_class_shows_in_the_shape_and_not_in_the_mean_intensity():
    data = Phantom3D(size=16, train=300, validation=6, test=6, noise=0.0).development().train
    means = data.volumes.mean((1, 2, 3, 4))
    by_class = [means[data.labels == k] for k in range(3)]
    spread = np.std(means)
    assert max(abs(a.mean() - b.mean()) for a in by_class for b in by_class) < 0.5 * spread


@pytest.mark.parametrize("part", ["train", "validation", "test"])
def test_more_volumes_than_the_memory_holds_are_refused_before_any_is_made(monkeypatch, part):
    monkeypatch.setattr("medpipe_core.memory.free_memory", lambda device: 10**6)
    asked = {"train": 6, "validation": 6, "test": 6, "size": 20}
    assert len(Phantom3D(**asked).development().train) == 6
    with pytest.raises(DataError, match=r"1012 volumes of 20³ .* give fewer with dataset\.train"):
        Phantom3D(**{**asked, part: 1000}).development()
    with pytest.raises(ValueError, match="less than or equal to 1000000"):
        Phantom3D(**{part: 10**9})
