from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from medpipe_core import (
    Decision,
    Group,
    Operation,
    OperationChoice,
    SearchSpace,
    Supernet,
    build_network,
)
from medpipe_core.space import InvalidGenotypeError
from medpipe_core.supernet import BindingError


@pytest.fixture
def supernet(space):
    return Supernet(space, in_channels=1, num_classes=2, seed=3)


def test_a_pass_runs_the_sampled_operations_and_no_other(space, supernet, volumes, count_calls):
    calls = count_calls(supernet.operations)
    genotype = space.sample(seed=0)
    gates = {path: torch.ones((), requires_grad=True) for path in genotype.choices}
    supernet(volumes, Decision(genotype, gates)).sum().backward()
    assert len(supernet.operations) == 2 + 3 + 3
    assert sorted(calls.values()) == [1, 1, 1]
    assert all(genotype["network/layer1"] in key for key in calls if "layer1" in key)
    ran = {name for name, module in supernet.operations.items() if name in calls}
    for name, module in supernet.operations.items():
        touched = [p.grad is not None for p in module.parameters()]
        assert all(touched) if name in ran else not any(touched)


def test_a_space_may_be_one_block(space, volumes):
    one = SearchSpace("one", Operation("block", "conv", {"channels": 4}), catalogue=space.catalogue)
    genotype = one.sample(seed=0)
    supernet = Supernet(one, in_channels=1, num_classes=2, seed=3).eval()
    network = build_network(one, genotype, in_channels=1, num_classes=2, seed=3).eval()
    assert torch.equal(supernet(volumes, genotype), network(volumes))


def test_a_frozen_path_computes_bit_for_bit_what_the_supernet_does(space, supernet, volumes):
    supernet.train()
    for seed in range(6):
        supernet(volumes, space.sample(seed=seed))
    supernet.eval()
    for seed in range(6):
        genotype = space.sample(seed=seed)
        frozen = supernet.freeze(genotype)
        assert torch.equal(frozen(volumes), supernet(volumes, genotype))


def test_a_frozen_path_trains_bit_for_bit_as_the_supernet_does(space, supernet, volumes):
    genotype = space.genotype(
        {
            "augment/shift/p": "0",
            "augment/shift/high": "0.1",
            "augment/mirror/p": "0",
            "network/stem/stride": "2",
            "network/layer1": "k3",
            "network/layer2": "k1",
        }
    )
    frozen = supernet.freeze(genotype).train()
    supernet.train()
    gates = {path: torch.ones((), requires_grad=True) for path in genotype.choices}
    one, other = frozen(volumes), supernet(volumes, Decision(genotype, gates))
    assert torch.equal(one, other)
    one.square().sum().backward()
    other.square().sum().backward()
    for mine, theirs in zip(frozen.parameters(), supernet.parameters_of(genotype), strict=True):
        assert torch.equal(mine.grad, theirs.grad)


def test_a_frozen_network_is_plain_and_shares_nothing_with_the_supernet(
    space, supernet, volumes, tmp_path
):
    genotype = space.sample(seed=1)
    frozen = supernet.freeze(genotype).eval()
    assert type(frozen) is nn.Sequential
    before = frozen(volumes)
    with torch.no_grad():
        for parameter in supernet.parameters():
            parameter.zero_()
    assert torch.equal(frozen(volumes), before)
    assert torch.equal(torch.export.export(frozen, (volumes,)).module()(volumes), before)


def test_fresh_weights_follow_from_seed_and_path_alone(space, supernet):
    genotype = space.sample(seed=5)
    fresh = build_network(space, genotype, in_channels=1, num_classes=2, seed=3)
    other = build_network(space, genotype, in_channels=1, num_classes=2, seed=4)
    inherited = supernet.freeze(genotype)
    state = inherited.state_dict()
    assert fresh.state_dict().keys() == state.keys()
    assert all(torch.equal(value, state[key]) for key, value in fresh.state_dict().items())
    assert not torch.equal(other.state_dict()["head.linear.weight"], state["head.linear.weight"])


def test_building_leaves_the_global_generator_as_it_was(space):
    before = torch.get_rng_state()
    Supernet(space, in_channels=1, num_classes=2, seed=3)
    assert torch.equal(torch.get_rng_state(), before)


def test_augmentation_acts_in_training_mode_only(space, supernet, volumes):
    choices = dict(space.sample(seed=0).choices)
    active = space.genotype({**choices, "augment/shift/p": "1", "augment/mirror/p": "1"})
    blank = space.genotype({**choices, "augment/shift/p": "0", "augment/mirror/p": "0"})
    supernet.eval()
    assert torch.equal(supernet(volumes, active), supernet(volumes, blank))
    supernet.train()
    assert not torch.equal(supernet(volumes, active), supernet(volumes, blank))


def test_a_handed_in_generator_decides_every_draw(space, supernet, volumes):
    choices = dict(space.sample(seed=0).choices)
    genotype = space.genotype({**choices, "augment/shift/p": "0.5"})
    one, same, other = (
        supernet.augment(volumes, Decision(genotype), generator=torch.Generator().manual_seed(s))
        for s in (1, 1, 2)
    )
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_a_path_that_was_run_lately_is_not_walked_again(space, supernet, volumes, monkeypatch):
    genotypes = list(dict.fromkeys(space.sample(seed=seed) for seed in range(40)))[:6]
    walked, resolve = [], type(space).resolve
    monkeypatch.setattr(
        type(space), "resolve", lambda self, one: walked.append(one) or resolve(self, one)
    )
    for _ in range(3):
        supernet(volumes, genotypes[0])
        assert supernet.policy(genotypes[0]) is supernet.policy(genotypes[0])
    assert walked == genotypes[:1]
    for genotype in genotypes:
        supernet.policy(genotype)
    assert walked == genotypes
    supernet.policy(genotypes[0])  # forgotten since
    assert walked == [*genotypes, genotypes[0]]


def test_a_copy_remembers_no_path_and_computes_the_same(space, supernet, volumes):
    genotype = space.sample(seed=0)
    before, state = supernet.eval()(volumes, genotype), list(supernet.state_dict())
    policy, copied = supernet.policy(genotype), copy.deepcopy(supernet)
    assert list(supernet.state_dict()) == list(copied.state_dict()) == state
    assert copied.policy(genotype) is not policy
    assert torch.equal(copied(volumes, genotype), before)


def test_what_is_no_path_is_refused_every_time(supernet):
    for _ in range(2):
        with pytest.raises(InvalidGenotypeError):
            supernet.policy({"not": "one"})


def test_candidates_that_disagree_about_channels_are_refused_by_path(shelf):
    root = Group(
        {
            "net": OperationChoice(
                {
                    "narrow": Operation("block", "conv", {"channels": 2}),
                    "wide": Operation("block", "conv", {"channels": 3}),
                }
            )
        }
    )
    with pytest.raises(BindingError, match=r"net: candidates must .* narrow gives 2, wide gives 3"):
        Supernet(SearchSpace("odd", root, catalogue=shelf), in_channels=1, num_classes=2)


def test_an_augmentation_after_a_block_is_refused(shelf):
    root = Group(
        {"a": Operation("block", "skip"), "b": Operation("augmentation", "mirror", {"p": 1.0})}
    )
    with pytest.raises(BindingError, match="b: an augmentation stands after the network's a"):
        Supernet(SearchSpace("odd", root, catalogue=shelf), in_channels=1, num_classes=2)


def test_a_space_without_catalogue_says_what_to_do(space):
    with pytest.raises(BindingError, match="catalogue=registry"):
        Supernet(SearchSpace("loose", space.root), in_channels=1, num_classes=2)


def test_a_block_that_refuses_its_parameters_names_path_and_origin(shelf):
    root = Group({"stem": Operation("block", "conv", {"chanels": 4})})
    with pytest.raises(BindingError, match=r"stem: block 'conv' of shelf 1.0 refused .*chanels"):
        Supernet(SearchSpace("odd", root, catalogue=shelf), in_channels=1, num_classes=2)
