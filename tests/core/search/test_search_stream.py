"""What blocks draw from torch's global generators follows from the search's seed alone."""

from __future__ import annotations

import copy

import pytest
import torch

from medpipe_core import Operation, OperationChoice
from medpipe_core.search import GumbelSearcher, advance, search
from medpipe_core.search.settings import SearchSettings

SETTINGS = SearchSettings(epochs=2, weights_lr=0.05)


def score(genotype, network):
    return {"score": 0.5}


@pytest.fixture
def dropping(make_space):
    candidates = {name: Operation("block", name) for name in ("dropping", "sees")}
    stem = Operation("block", "conv")
    return make_space(
        stem=stem, first=Operation("block", "dropping"), then=OperationChoice(candidates)
    )


def same(one, other):
    return all(torch.equal(value, other[name]) for name, value in one.items())


@pytest.mark.parametrize("estimator", ["look-ahead", "agreement", "score", "gate"])
def test_the_same_seed_gives_the_same_search_whatever_torchs_global_seed(
    dropping, start, loss, estimator
):
    found = []
    for seed in (1, 2):
        state = start(dropping, GumbelSearcher, settings=SETTINGS, estimator=estimator, lr=0.1)
        torch.manual_seed(seed)
        outside = torch.get_rng_state()
        search(state, settings=SETTINGS, loss=loss, score=score)
        assert torch.equal(torch.get_rng_state(), outside)
        found.append(state.state_dict())
    one, other = found
    assert same(one["supernet"], other["supernet"])
    assert same(one["searcher"]["theta"], other["searcher"]["theta"])


def test_another_seed_drops_otherwise(dropping, start, loss):
    found = []
    for seed in (0, 1):
        state = start(dropping, GumbelSearcher, settings=SETTINGS)
        if seed:
            state.stream = type(state.stream)(seed)
        search(state, settings=SETTINGS, loss=loss, score=score)
        found.append(state.supernet.state_dict())
    assert not same(*found)


def test_a_search_goes_on_with_the_draws_it_would_have_made(dropping, start, loss):
    whole, half, other = (start(dropping, GumbelSearcher, settings=SETTINGS) for _ in range(3))
    search(whole, settings=SETTINGS, loss=loss, score=score)
    for _ in range(3):
        advance(half, settings=SETTINGS, loss=loss, score=score)
    other.load_state_dict(copy.deepcopy(half.state_dict()))
    search(other, settings=SETTINGS, loss=loss, score=score)
    assert same(whole.supernet.state_dict(), other.supernet.state_dict())
