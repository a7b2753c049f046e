"""Both searchers on a space with shared choices, constraints and a budget."""

from __future__ import annotations

import pytest
import torch

from medpipe_core import (
    Budget,
    Group,
    Limit,
    Operation,
    Outcome,
    Ref,
    ResourceMeter,
    SearchSpace,
    Shared,
    ValueChoice,
    forbid,
)
from medpipe_core.search import BudgetError, GumbelSearcher, RandomSearcher, search
from medpipe_core.search.settings import SearchSettings


def noise():
    return Operation(
        "augmentation",
        "noise",
        {"p": ValueChoice(0.0, 0.5), "scale": Ref("scale")},
        neutral={"p": 0.0},
    )


@pytest.fixture
def rich(space):
    """Exactly two of four augmentations, kernels in common, one combination forbidden."""
    conv = Operation("block", "conv", {"kernel": Ref("kernel"), "channels": 3})
    root = Group(
        {
            "augment": Shared(
                {"scale": ValueChoice(0.1, 0.2)}, Group({name: noise() for name in "abcd"})
            ),
            "net": Shared(
                {"kernel": ValueChoice(1, 3)}, Group({"stem": conv, "body": conv, "head": conv})
            ),
        }
    )
    limits = [
        Limit({"augment/*/p": [0.5]}, at_least=2, at_most=2),
        forbid({"augment/a/p": [0.5], "augment/b/p": [0.5]}),
    ]
    return SearchSpace(
        "rich",
        root,
        constraints=limits,
        budget=Budget(parameters=400),
        catalogue=space.catalogue,
    )


@pytest.fixture
def admit(rich):
    return ResourceMeter(rich, in_channels=1, num_classes=2, size=(3, 3, 3)).admits


@pytest.fixture(params=[RandomSearcher, GumbelSearcher])
def searcher(request, rich, admit):
    return request.param(rich, seed=0, steps=100, admit=admit)


def favour(searcher, path, key, by=6.0):
    state = searcher.state_dict()
    state["theta"][path][searcher.space.choices[path].keys.index(key)] = by
    searcher.load_state_dict(state)


def test_the_space_is_as_small_as_it_should_be(rich, admit):
    assert rich.size() == 5 * 2 * 2
    assert sum(admit(rich.unrank(index)) for index in range(rich.size())) == 10


def test_whatever_is_decided_proposed_or_best_is_a_member_within_the_budget(rich, admit, searcher):
    found = [searcher.decide(step).genotype for step in range(60)]
    found += [*searcher.propose(6), searcher.best()]
    for genotype in found:
        rich.validate(genotype)
        assert admit(genotype)
    assert len(set(found)) == 10


def test_the_likeliest_keys_are_taken_as_far_as_they_go_together(rich, admit):
    searcher = GumbelSearcher(rich, seed=0, steps=100, admit=admit)
    for name, by in zip("abcd", (5.0, 4.0, 3.0, 2.0), strict=True):
        favour(searcher, f"augment/{name}/p", "0.5", by)
    favour(searcher, "net/kernel", "3")
    best = searcher.best()
    assert [best[f"augment/{name}/p"] for name in "abcd"] == ["0.5", "0", "0.5", "0"]
    assert best["net/kernel"] == "1"  # the other is above the budget
    for step in range(20):
        decision = searcher.decide(step)
        assert rich.admits(decision.genotype)
        assert admit(decision.genotype)
        searcher.observe(Outcome(decision.genotype, step, 1, 1, dict.fromkeys(decision.gates, 1.0)))


def test_without_a_budget_the_best_is_the_exact_optimum_under_constraints(rich):
    loose = SearchSpace("loose", rich.root, constraints=rich.constraints)
    searcher = GumbelSearcher(loose, seed=0, steps=100)
    generator = torch.Generator().manual_seed(0)
    state = searcher.state_dict()
    for theta in state["theta"].values():
        theta.copy_(torch.randn(len(theta), generator=generator))
    searcher.load_state_dict(state)
    probabilities = searcher.probabilities()

    def likelihood(genotype):
        product = 1.0
        for path, key in genotype.choices.items():
            product *= probabilities[path][key]
        return product

    best = max(map(loose.unrank, range(loose.size())), key=likelihood)
    assert searcher.best() == best


def test_limits_that_a_budget_leaves_nothing_of_say_both(rich):
    for kind in (RandomSearcher, GumbelSearcher):
        hopeless = kind(rich, seed=0, steps=5, admit=lambda genotype: False)
        with pytest.raises(BudgetError, match=r"keeps its budget .* and constraints; raise"):
            hopeless.decide(0)


@pytest.mark.parametrize("kind", [RandomSearcher, GumbelSearcher])
def test_a_whole_search_scores_members_only(rich, admit, kind, start, loss):
    settings = SearchSettings(epochs=3)
    state = start(rich, kind, settings=settings, admit=admit)
    found = search(state, settings=settings, loss=loss, score=lambda *_: {"score": 0.5})
    assert found
    for candidate in found:
        rich.validate(candidate.genotype)
        assert admit(candidate.genotype)
