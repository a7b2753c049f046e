from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

import medpipe_core as mp
from medpipe_core.data import DataError
from medpipe_core.testing import (
    AugmentationContract,
    BlockContract,
    DatasetContract,
    SpaceContract,
)
from medpipe_plugins.planted.exchange import Exchange
from medpipe_plugins.planted.plane import PlaneConv
from medpipe_plugins.planted.problem import majority_belief

REGISTRY = mp.load_plugins()
SIZES = {
    "side": 20_000,
    "intensity": 20_000,
    "symmetry": 512,
    "reach": 6_600,
    "texture": 3_100,
    "synergy": 38,
    "handed": 2_000,
    "mixed": 1_280,
    "turn": 128,
}
PROBLEMS = tuple(SIZES)


def dataset(problem, **settings):
    return REGISTRY.create("dataset", f"planted-{problem}", **settings)


def space(problem):
    return REGISTRY.space(f"planted-{problem}")


def members(problem):
    whole = space(problem)
    # A prime step, so that no period of the numbering leaves an answer out.
    count = min(whole.size(), 997)
    return [whole.unrank(number * 7919 % whole.size()) for number in range(count)]


@pytest.mark.parametrize("problem", PROBLEMS)
def test_the_regret_is_zero_exactly_where_all_that_is_planted_is_right(problem):
    known = dataset(problem)
    right = {
        genotype
        for genotype in members(problem)
        if all(genotype[path] in keys for path, keys in known.optimum.items())
    }
    regrets = {genotype: known.regret(genotype) for genotype in members(problem)}
    assert {genotype for genotype, regret in regrets.items() if regret == 0} == right
    assert 0 < len(right) < len(regrets)
    assert all(0 <= regret <= 1 for regret in regrets.values())


@pytest.mark.parametrize("problem", PROBLEMS)
def test_first_keys_are_no_right_answer(problem):
    """A searcher that has learnt nothing and breaks ties by order must not look right."""
    untaught = space(problem).decide(lambda choice: choice.keys[0])
    assert dataset(problem).regret(untaught) > 0


@pytest.mark.parametrize("problem", PROBLEMS)
def test_spaces_have_the_size_that_the_guide_says(problem):
    assert space(problem).size() == SIZES[problem]
    assert set(space(problem).root.children) == {"augment", "network"}


@pytest.mark.parametrize("other", PROBLEMS)
@pytest.mark.parametrize("problem", PROBLEMS)
def test_only_genotypes_of_the_problem_s_own_space_have_a_regret(problem, other):
    regret = dataset(problem).regret(space(other).sample(seed=0))
    assert (regret is None) == (other != problem)


@pytest.mark.parametrize("problem", PROBLEMS)
def test_a_seed_gives_the_same_volumes_and_another_seed_others(problem):
    settings = {"train": 8, "validation": 4, "test": 4}
    one, same = (dataset(problem, **settings).development() for _ in range(2))
    other = dataset(problem, **settings, seed=1).development()
    assert np.array_equal(one.train.volumes, same.train.volumes)
    assert not np.array_equal(one.train.volumes, other.train.volumes)
    assert np.bincount(one.train.labels).tolist() == [4, 4]


def test_labels_turned_round_in_training_are_believed_by_majority():
    assert [majority_belief(p) for p in (0.0, 0.5, 0.8)] == [1.0, 0.5, 0.0]


def test_a_flip_turns_one_side_into_the_other():
    """Along the height, and along the height alone, mirroring swaps the classes' edges."""
    train = dataset("side", noise=0.0).development().train
    signal = train.volumes[:, 0].astype(float)
    falls = -np.diff(signal, axis=2).clip(max=0).min((1, 2, 3))
    rises = np.diff(signal, axis=2).clip(min=0).max((1, 2, 3))
    assert np.array_equal(falls > rises, train.labels == 0)
    assert all(np.abs(np.diff(signal, axis=axis)).max() == 0 for axis in (1, 3))


def test_a_mirror_exchanges_the_hands_and_a_turn_does_not():
    """The angle at which a screw is bright rises with the depth, or falls."""

    def rises(volumes):
        at = np.arange(12) - 5.5
        ring = np.exp(1j * np.arctan2(at[:, None], at[None, :]))
        phase = np.angle((volumes * ring).sum((2, 3)))
        return np.median(np.angle(np.exp(1j * np.diff(phase, axis=1))), axis=1) > 0

    train = dataset("handed", noise=0.0).development().train
    volumes = train.volumes[:, 0] / 255 - 0.5
    hands = rises(volumes)
    assert np.array_equal(hands, train.labels == 0) or np.array_equal(hands, train.labels == 1)
    for axis in (1, 2, 3):
        assert np.array_equal(rises(np.flip(volumes, axis)), ~hands)
    assert np.array_equal(rises(np.rot90(volumes, axes=(2, 3))), hands)


def test_upside_down_is_the_other_class_of_the_same_patterns():
    def shapes(label):
        train = dataset("mixed", noise=0.0).development().train
        found = set()
        for volume in train.volumes[train.labels == label, 0]:
            where = np.argwhere(volume != 128).min(0)
            cells = tuple(slice(s, s + 9, 3) for s in where)
            found.add(tuple((volume[cells] > 128).ravel()))
        return found

    def mirrored(found, axis):
        return {tuple(np.flip(np.reshape(s, (3, 3, 3)), axis).ravel()) for s in found}

    upright, upside_down = shapes(0), shapes(1)
    assert len(upright) == len(upside_down) == 12
    assert mirrored(upright, 1) == upside_down
    assert not upright & upside_down
    assert mirrored(upright, 0) == mirrored(upright, 2) == upright


def test_a_turned_shape_is_of_its_class_at_every_angle():
    train = dataset("turn", noise=0.0).development().train
    assert all(np.array_equal(volume[0], volume[-1]) for volume in train.volumes[:, 0])
    spread = [np.std(train.volumes[train.labels == label, 0, 0], axis=0).mean() for label in (0, 1)]
    assert min(spread) > 10


def test_pairs_of_rods_fit_into_no_window_of_five():
    train = dataset("reach", noise=0.0, train=40).development().train
    for volume, label in zip(train.volumes[:, 0, 0], train.labels, strict=True):
        rods = np.argwhere(volume > 200)
        apart = {tuple(np.abs(a - b)) for a, b in itertools.combinations(rods, 2)}
        planted = (6, 0) if label else (0, 6)
        assert planted in apart


def test_an_early_stride_leaves_nothing_of_the_texture():
    train = dataset("texture", noise=0.0).development().train
    seen = train.volumes[:, 0, ::2, ::2, ::2]
    assert all(volume.min() == volume.max() for volume in seen)


def test_an_exchange_turns_one_texture_into_the_other_and_keeps_the_wave():
    up = torch.tensor([1.0, -1.0]).repeat(6)
    at = torch.arange(12)
    wave = torch.cos(2 * torch.pi * (at[:, None, None] + at) / 6).expand(12, 12, 12)
    high, wide = up[:, None].expand(12, 12, 12), up.expand(12, 12, 12)
    changed = Exchange().apply((0.5 + wave + high)[None, None])
    assert torch.allclose(changed[0, 0], 0.5 + wave + wide, atol=1e-5)


def test_no_plane_of_the_synergy_tells_the_certain_class():
    """Within a plane the wave is the same cosine for both classes, of random phase."""
    data = dataset("synergy", noise=0.0, train=400, reliable=0.5)
    train = data.development().train
    first = train.volumes[:, 0, 0].astype(float)
    # The texture says nothing at this reliability, so the planes' mean images agree.
    means = [np.abs(np.fft.fft2(first[train.labels == label])).mean(0) for label in (0, 1)]
    assert np.abs(means[0] - means[1]).max() < 0.1 * max(mean.max() for mean in means)


class TestExchange(AugmentationContract):
    operation = Exchange
    random = False


class TestPlaneConv(BlockContract):
    block = PlaneConv
    parameters = {"channels": 3}


class Planted(DatasetContract):
    settings = {"train": 16, "validation": 8, "test": 8}


class TestSideData(Planted):
    dataset = staticmethod(lambda **settings: dataset("side", **settings))


class TestIntensityData(Planted):
    dataset = staticmethod(lambda **settings: dataset("intensity", **settings))


class TestSymmetryData(Planted):
    dataset = staticmethod(lambda **settings: dataset("symmetry", **settings))


class TestReachData(Planted):
    dataset = staticmethod(lambda **settings: dataset("reach", **settings))


class TestTextureData(Planted):
    dataset = staticmethod(lambda **settings: dataset("texture", **settings))


class TestSynergyData(Planted):
    dataset = staticmethod(lambda **settings: dataset("synergy", **settings))


class TestSideSpace(SpaceContract):
    space = staticmethod(lambda: space("side"))


class TestIntensitySpace(SpaceContract):
    space = staticmethod(lambda: space("intensity"))


class TestSymmetrySpace(SpaceContract):
    space = staticmethod(lambda: space("symmetry"))


class TestReachSpace(SpaceContract):
    space = staticmethod(lambda: space("reach"))


class TestTextureSpace(SpaceContract):
    space = staticmethod(lambda: space("texture"))


class TestSynergySpace(SpaceContract):
    space = staticmethod(lambda: space("synergy"))


class TestHandedData(Planted):
    dataset = staticmethod(lambda **settings: dataset("handed", **settings))


class TestHandedSpace(SpaceContract):
    space = staticmethod(lambda: space("handed"))


class TestMixedData(Planted):
    dataset = staticmethod(lambda **settings: dataset("mixed", **settings))


class TestMixedSpace(SpaceContract):
    space = staticmethod(lambda: space("mixed"))


class TestTurnData(Planted):
    dataset = staticmethod(lambda **settings: dataset("turn", **settings))


class TestTurnSpace(SpaceContract):
    space = staticmethod(lambda: space("turn"))


@pytest.mark.parametrize("part", ["train", "validation", "test"])
def test_more_volumes_than_the_memory_holds_are_refused_before_any_is_made(monkeypatch, part):
    monkeypatch.setattr("medpipe_core.memory.free_memory", lambda device: 10**6)
    asked = {"train": 4, "validation": 4, "test": 4, part: 1000}
    with pytest.raises(DataError, match=r"1000 volumes of 12³ .* give fewer with dataset\.train"):
        dataset("side", **asked).development()
