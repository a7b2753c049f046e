from __future__ import annotations

import pytest
from pydantic import ValidationError

import medpipe_core as mp
from medpipe_core.search.given import FixedGenotypeError, decided

AUGMENT = 6_227_824_218_750_000
NETWORK = 1_180_591_620_717_411_303_424
JOINT = 7_352_517_087_957_208_365_268_992_000_000_000_000


@pytest.fixture(scope="module")
def registry():
    return mp.load_plugins()


@pytest.mark.parametrize(
    ("name", "size"),
    [("medpipe-augment", AUGMENT), ("medpipe-mbconv3d", NETWORK), ("medpipe-joint", JOINT)],
)
def test_sizes_are_the_papers_exact_integers(registry, name, size):
    assert registry.space(name).size() == size


def test_the_augmentation_space_has_fewer_distinct_functions_than_names(registry):
    assert registry.space("medpipe-augment").distinct_size() == 388_692_438_295_077


def test_composing_in_python_gives_the_joint_space(registry):
    joint = mp.compose(
        "my-joint",
        augment=registry.space("medpipe-augment"),
        network=registry.space("medpipe-mbconv3d"),
    )
    assert joint.size() == JOINT
    assert joint.digest == registry.space("medpipe-joint").digest
    genotype = joint.sample(seed=0)
    assert mp.Genotype.from_json(genotype.to_json()) == genotype
    assert {"augment/v_rotation/left", "network/stem/stride", "network/block3/layer2"} <= set(
        genotype.choices
    )


def test_the_joint_space_has_twelve_layers_and_twenty_eight_network_choices(registry):
    choices = registry.space("medpipe-joint").choices
    assert sum(path.endswith("/p") for path in choices) == 12
    assert sum(path.startswith("network/") for path in choices) == 28


def test_widths_depths_and_candidates_are_parameters(registry):
    space = registry.space(
        "medpipe-mbconv3d", channels=[4, 8], depths=[1, 2], candidates=["mbconv_k9_e2", "identity"]
    )
    assert space.size() == 2**3 * 2**3


def test_grids_probabilities_and_layers_are_parameters(registry):
    space = registry.space(
        "medpipe-augment",
        layers=["v_rotation", "noise"],
        probabilities=[0, 1],
        magnitudes={"v_rotation": {"left": [-10, -5]}},
    )
    assert space.size() == (2 * 2 * 5) * 2


@pytest.mark.parametrize(
    ("name", "parameters", "hint"),
    [
        ("medpipe-augment", {"layers": ["v_flop"]}, "v_flip"),
        ("medpipe-augment", {"magnitudes": {"blur": {"kernle": [3]}}}, "kernel"),
        ("medpipe-mbconv3d", {"channels": [4], "depths": [1, 1]}, "channels has 1 entries"),
        ("medpipe-mbconv3d", {"chanels": [4]}, "channels"),
    ],
)
def test_wrong_parameters_are_named_with_what_is_near(registry, name, parameters, hint):
    with pytest.raises((mp.MedpipeError, ValidationError), match=hint):
        registry.space(name, **parameters)


def test_what_a_given_policy_does_not_depend_on_may_be_left_open(registry):
    augment = registry.space("medpipe-augment")
    flips = decided(augment, {}, {"*/p": 0, "?_flip/p": 0.5})
    assert augment.effective(flips) == {path for path in augment.choices if path.endswith("/p")}
    with pytest.raises(FixedGenotypeError, match=r"1 choices .* open: blur/kernel\."):
        decided(augment, {}, {"*/p": 0, "blur/p": 0.5})
    assert decided(augment, {}, {"*/p": 0, "blur/p": 0.5, "blur/kernel": 3})["blur/kernel"] == "3"


def test_a_budget_of_the_network_is_the_joint_spaces_budget(registry):
    space = registry.space("medpipe-joint", network={"budget": {"multiply_adds": 1000}})
    assert space.budget == mp.Budget(parameters=None, multiply_adds=1000)


def test_spaces_are_described_without_torch():
    import subprocess
    import sys

    code = (
        "import sys, medpipe_core as mp; mp.load_plugins().space('medpipe-joint').sample(seed=0);"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


class Bias(mp.Augmentation):
    low = mp.ValueChoice(0.1, 0.2, ge=0)

    def __init__(self, *, order: int = 2):
        super().__init__()


class Grouped:
    kernel = mp.ValueChoice(1, 3, ge=1)

    def __init__(self, in_channels, *, kernel: int = 3, groups: int = 1): ...


@pytest.fixture(scope="module")
def extended(registry):
    return registry.adding("augmentation", "bias", Bias).adding("block", "grouped", Grouped)


def test_a_fixed_parameter_of_a_layer_is_a_key(extended):
    space = extended.space("medpipe-augment", layers=["bias"], fixed={"bias": {"order": 3}})
    assert space.size() == 3 * 2
    (step,) = space.resolve(space.sample(seed=0))
    assert step.parameters["order"] == 3


def test_grids_and_fixed_parameters_of_a_candidate_are_keys(extended):
    small = {"channels": [4], "depths": [1], "strides": [1], "candidates": ["grouped"]}
    space = extended.space(
        "medpipe-mbconv3d", **small, grids={"grouped": {"kernel": [3, 5, 7]}},
        fixed={"grouped": {"groups": 2}},
    )  # fmt: skip
    assert space.size() == 3
    step = space.resolve(space.unrank(2))[-1]
    assert dict(step.parameters) == {"kernel": 7, "groups": 2}


@pytest.mark.parametrize(
    ("name", "parameters", "reason"),
    [
        ("medpipe-augment", {"extra": ["bias"], "fixed": {"bais": {"order": 3}}}, "'bias'"),
        (
            "medpipe-augment",
            {"extra": ["bias"], "fixed": {"bias": {"low": 0.3}}},
            r"magnitudes\.bias\.low=\[0\.3\]",
        ),
        (
            "medpipe-augment",
            {"fixed": {"blur": {"kernel": 3}}},
            r"'kernel' is searched, not fixed; give magnitudes\.blur\.kernel=\[3\]",
        ),
        (
            "medpipe-mbconv3d",
            {"candidates": ["grouped"], "fixed": {"grouped": {"kernel": 3}}},
            r"grids\.grouped\.kernel=\[3\]",
        ),
        ("medpipe-mbconv3d", {"grids": {"mbconv_k3_e3": {"kernel": [3]}}}, "take none"),
        (
            "medpipe-mbconv3d",
            {"candidates": ["grouped"], "grids": {"gruoped": {"kernel": [3]}}},
            "Did you mean 'grouped'",
        ),
    ],
)
def test_what_cannot_be_fixed_is_told_with_the_key_that_is_meant(
    extended, name, parameters, reason
):
    with pytest.raises((mp.MedpipeError, ValidationError), match=reason):
        extended.space(name, **parameters)
