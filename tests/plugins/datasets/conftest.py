"""The plugins of this project, and the keys of runs that take a second."""

from __future__ import annotations

import pytest

import medpipe_core as mp


@pytest.fixture(scope="session")
def registry():
    return mp.load_plugins()


@pytest.fixture(scope="session")
def tiny():
    """Keys of a run of two small networks, an epoch each."""
    return {
        "space": "medpipe-mbconv3d",
        "space.stem_channels": 4,
        "space.channels": [4],
        "space.depths": [1],
        "space.candidates": ["mbconv_k3_e3", "identity"],
        "searcher": "random",
        "search.epochs": 1,
        "search.batch_size": 4,
        "evaluate.epochs": 1,
        "evaluate.top_k": 1,
        "retrain.epochs": 1,
        "test.resamples": 20,
        "threads": 1,
    }
