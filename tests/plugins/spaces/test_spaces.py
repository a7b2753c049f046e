from __future__ import annotations

import pytest
from pydantic import ValidationError

import medpipe_core as mp

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
