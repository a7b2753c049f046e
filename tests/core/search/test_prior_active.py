"""The prior towards active, in every searcher that has it."""

from __future__ import annotations

import pytest

from medpipe_core import Group, Operation, Outcome, SearchSpace, ValueChoice
from medpipe_core.search import (
    DecoupledSearcher,
    EvolutionSearcher,
    GumbelSearcher,
    OptunaSearcher,
    RandomSearcher,
)


@pytest.fixture
def policy():
    def layer(name):
        parameters = {"p": ValueChoice(0.0, 0.5), "size": ValueChoice(*range(20))}
        return Operation("augmentation", name, parameters, neutral={"p": 0.0})

    layers = Group({f"layer{number}": layer(f"a{number}") for number in range(8)})
    return SearchSpace("policy", Group({"augment": layers, "depth": ValueChoice(1, 2)}))


def active(genotypes):
    """Return the share of layers that act."""
    ps = [key for g in genotypes for path, key in g.choices.items() if path.endswith("/p")]
    return sum(key != "0" for key in ps) / len(ps)


@pytest.mark.parametrize("made", [RandomSearcher, EvolutionSearcher, OptunaSearcher])
def test_first_proposals_are_active_as_often_as_the_prior_says(made, policy):
    if made is OptunaSearcher:
        pytest.importorskip("optuna")
    more = {"population": 60} if made is EvolutionSearcher else {}
    more = {"startup": 60} if made is OptunaSearcher else more
    plain = made(policy, seed=0, steps=0, **more).propose(60)
    biased = made(policy, seed=0, steps=0, prior_active=2.0, **more).propose(60)
    # Of two keys the odds are e² to 1: 0.88. Of 480 draws a deviation is 0.015 (0.023 at a half).
    assert active(plain) == pytest.approx(0.5, abs=0.09)
    assert active(biased) == pytest.approx(0.881, abs=0.06)
    assert len(set(biased)) == 60


def test_optuna_learns_from_what_the_prior_drew(policy):
    pytest.importorskip("optuna")
    searcher = OptunaSearcher(policy, seed=0, steps=0, prior_active=3.0, startup=10)
    for genotype in searcher.propose(10):
        searcher.observe(Outcome(genotype, 0, score=active([genotype])))
    restored = OptunaSearcher(policy, seed=0, steps=0, prior_active=3.0, startup=10)
    restored.load_state_dict(searcher.state_dict())
    assert searcher.propose(2) == restored.propose(2)
    assert searcher.insight()["trials"] >= 12


def test_paths_of_the_weights_steps_stay_uniform(policy):
    searcher = RandomSearcher(policy, seed=0, steps=0, prior_active=4.0)
    drawn = [searcher.decide(step).genotype for step in range(60)]
    assert active(drawn) == pytest.approx(0.5, abs=0.09)


def test_logits_begin_at_the_prior_and_those_of_other_choices_at_nought(policy):
    one = GumbelSearcher(policy, seed=0, steps=1, prior_active=2.0).probabilities()
    assert one["augment/layer3/p"]["0.5"] == pytest.approx(0.881, abs=0.001)
    assert one["augment/layer3/size"]["7"] == pytest.approx(1 / 20)
    assert one["depth"]["1"] == pytest.approx(0.5)
    two = DecoupledSearcher(policy, seed=0, steps=10, prior_active=2.0).probabilities()
    assert two == one
    assert active([GumbelSearcher(policy, seed=0, steps=1, prior_active=0.1).best()]) == 1
