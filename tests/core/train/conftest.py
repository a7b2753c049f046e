"""Small labelled volumes that a small network can learn, and listeners."""

from __future__ import annotations

import numpy as np
import pytest
from torch import nn

from medpipe_core.data import LabelledVolumes
from medpipe_core.seeding import seeded_init
from medpipe_core.train import ClassificationTask


def make_volumes(count, seed=0, shift=60):
    """Volumes of 4³; those of label 1 are brighter in the upper half."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 2
    volumes = rng.integers(0, 160, (count, 1, 4, 4, 4))
    volumes[labels == 1, :, :, :2] += shift
    return LabelledVolumes(volumes.astype(np.uint8), labels.astype(np.int64))


def make_network(seed=0, dropout=0.2):
    with seeded_init(seed):
        return nn.Sequential(
            nn.Conv3d(1, 4, 3, padding=1),
            nn.BatchNorm3d(4),
            nn.ReLU(),
            nn.Flatten(),
            nn.Dropout(dropout),
            nn.Linear(256, 2),
        )


class Diary(list):
    """A listener that writes down what it hears."""

    def __call__(self, event, /, **fields):
        self.append((event, fields))


@pytest.fixture
def data():
    return make_volumes(24)


@pytest.fixture
def validation():
    return make_volumes(10, seed=1)


@pytest.fixture
def network():
    return make_network(dropout=0.0)


@pytest.fixture
def task():
    return ClassificationTask(("without", "with"))


@pytest.fixture
def diary():
    return Diary()
