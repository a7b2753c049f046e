"""Settings of the network space that ask for too much are refused before anything is built."""

from __future__ import annotations

import time

import pytest

from medpipe_core import MedpipeError, load_plugins


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"depths": [10**8] * 6}, r"depths\.0=100000000: .* less than or equal to 1000"),
        ({"depths": [1000] * 6}, "description is too large, with 54,021 layers, candidates and"),
        ({"channels": [10**20] * 6}, r"channels\.0=.*less than or equal to 65536"),
        ({"stem_channels": 10**20}, "stem_channels=.*less than or equal to 65536"),
        ({"strides": [1, 10**9]}, r"strides\.1=.*less than or equal to 64"),
        ({"candidates": ["mbconv_k99999999999999999999_e3"]}, r"has a kernel that is not in \[1"),
        ({"candidates": ["mbconv_k3_e99999999999999999"]}, r"has an? expansion that is not in \[1"),
        ({"candidates": ["mbconv_k0_e3"]}, r"has a kernel that is not in \[1, 63\]"),
        ({"candidates": ["mbconv_k" + "9" * 5000 + "_e3"]}, r"has a kernel that is not in \[1"),
        ({"candidates": ["mbconv_k٣_e3"]}, "there is no block"),
    ],
)
def test_a_network_beyond_reason_is_refused_in_words(settings, words):
    registry = load_plugins()
    start = time.process_time()
    with pytest.raises(MedpipeError, match=words):
        registry.space("medpipe-mbconv3d", **settings)
    assert time.process_time() - start < 5
