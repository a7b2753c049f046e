"""The joint space of small residual networks."""

from __future__ import annotations

import functools

import pytest
import torch
from torch import nn

from medpipe_core import SpaceError, build_network, load_plugins
from medpipe_core.config import resolve
from medpipe_plugins.spaces.augment import TABLE_ONE

REGISTRY = load_plugins()
LAYERS = [name for name in TABLE_ONE if name != "invert"]
SMALL = {"stem_channels": 4, "channels": [4, 6, 8], "depths": [1, 1, 1]}


def test_its_size_is_that_of_its_parts():
    space = REGISTRY.space("medpipe-residual3d")
    assert space.size() == 2 * (5**5 + 2**4)
    assert REGISTRY.space("medpipe-residual3d", cell_channels=None).size() == 2 * 5**5
    joint = REGISTRY.space("medpipe-joint-residual")
    settings = {"layers": LAYERS, "extra": ["shift"], "grids": "mild"}
    policies = REGISTRY.space("medpipe-augment", **settings).size()
    assert joint.size() == policies * space.size() * 2 * 2
    assert {path.partition("/")[0] for path in joint.choices} == {"augment", "network", "training"}
    assert "augment/shift/share" in joint.choices
    assert joint.choices["augment/affine/left"].values == (0.7, 0.85)


@pytest.mark.parametrize(("normalisation", "kind"), [
    ("batch", nn.BatchNorm3d), ("instance", nn.InstanceNorm3d),
])  # fmt: skip
@pytest.mark.parametrize("body", ["pyramid", "cell"])
def test_one_choice_normalises_all_dense_layers(normalisation, kind, body):
    space = REGISTRY.space("medpipe-residual3d", **SMALL)
    wanted = {"network/body": body, "body": body, "body/normalisation": normalisation}
    member = space.fix({path: key for path, key in wanted.items() if path in space.choices})
    dense = member.restrict({"*/layer*": ["conv_k3", "conv_k5"]})
    network = build_network(dense, dense.sample(seed=0), in_channels=1, num_classes=2)
    norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm3d | nn.InstanceNorm3d)]
    assert norms
    assert {type(norm) for norm in norms} == {kind}


def _note(sizes, module, given, output):
    sizes.append(tuple(output.shape[2:]))


def test_a_cell_keeps_every_voxel_and_a_pyramid_few():
    seen: dict[str, list[tuple[int, ...]]] = {"pyramid": [], "cell": []}
    space = REGISTRY.space("medpipe-residual3d", **SMALL)
    for body, sizes in seen.items():
        member = space.fix({"body": body})
        network = build_network(member, member.sample(seed=0), in_channels=1, num_classes=2)
        note = functools.partial(_note, sizes)
        for module in network.modules():
            if isinstance(module, nn.Conv3d):
                module.register_forward_hook(note)
        assert network.eval()(torch.rand(1, 1, 16, 16, 16)).shape == (1, 2)
    assert set(seen["cell"]) == {(16, 16, 16)}
    assert seen["pyramid"][0] == (8, 8, 8)
    assert min(seen["pyramid"]) == (1, 1, 1)


def test_layers_without_weights_give_back_their_input():
    block = REGISTRY.create("block", "residual-conv3d", 3, kernel=3)
    nn.init.zeros_(block.layer.convolution.weight)
    volumes = torch.rand(2, 3, 5, 6, 7)
    assert torch.equal(block.eval()(volumes), volumes)
    nn.init.ones_(block.layer.convolution.weight)
    assert not torch.equal(block(volumes), volumes)


def test_stages_without_a_depth_each_are_refused():
    with pytest.raises(Exception, match="channels has 2 entries and depths 3") as caught:
        REGISTRY.space("medpipe-residual3d", channels=[4, 8])
    assert not isinstance(caught.value, SpaceError | TypeError)


def test_it_knows_the_policy_of_textbooks():
    space = REGISTRY.space("medpipe-joint-residual", augment={"probabilities": (0, 0.2, 0.5)})
    known = space.known["textbook"]
    acting = {
        path.split("/")[1] for path, key in known.items() if path.endswith("/p") and key != "0"
    }
    assert acting == {
        "noise", "v_flip", "h_flip", "d_flip", "v_rotation", "h_rotation", "d_rotation", "affine",
        "shift",
    }  # fmt: skip
    assert {path.split("/")[1] for path in known if path.endswith("/p")} == {*LAYERS, "shift"}
    assert {known[f"augment/{name}/p"] for name in acting} == {"0.5"}
    assert known["augment/h_rotation/left"] == "-15"
    assert (known["augment/affine/left"], known["augment/affine/right"]) == ("0.85", "1.2")
    assert known["augment/shift/share"] == "0.05"


@pytest.mark.parametrize(("settings", "found"), [
    ({"grids": "paper"}, None),
    ({"probabilities": (0.2, 0.5)}, None),
    ({"layers": ["erase", "blur"], "extra": []}, None),
    ({"layers": ["h_flip"], "extra": [], "probabilities": (0.3, 0.8, 1.0)}, {"h_flip/p": "0.3"}),
    ({"layers": ["v_flip", "invert"], "extra": [], "probabilities": (0, 0.1, 0.3)},
     {"v_flip/p": "0.3", "invert/p": "0"}),
    ({"layers": ["h_rotation"], "extra": [], "magnitudes": {"h_rotation": {"left": [-10, 0]}}},
     {"h_rotation/p": "0.5", "h_rotation/left": "-10", "h_rotation/right": "15"}),
])  # fmt: skip
def test_the_textbook_is_as_near_as_layers_offer(settings, found):
    space = REGISTRY.space("medpipe-augment", **{"grids": "mild", **settings})
    assert space.known == ({} if found is None else {"textbook": found})


def test_a_race_on_a_small_machine_begins_with_it():
    given = {"space": "medpipe-joint-residual", "searcher": "halving", "preset": "laptop"}
    assert resolve(given, REGISTRY).parameters["searcher"]["known"] == "space"
    assert resolve({**given, "searcher": "random"}, REGISTRY).parameters["searcher"]["known"] == ()
    none = resolve({**given, "searcher.known": []}, REGISTRY)
    assert none.parameters["searcher"]["known"] == ()


def test_mild_grids_are_for_any_space_and_one_grid_of_them_can_be_another():
    mild = {"grids": "mild", "magnitudes": {"affine": {"left": [0.9]}}}
    choices = REGISTRY.space("medpipe-joint", augment=mild).choices
    assert choices["augment/affine/left"].values == (0.9,)
    assert choices["augment/affine/right"].values == (1.2, 1.4)
    assert choices["augment/v_rotation/left"].values == (-30, -15, -7.5)
    paper = REGISTRY.space("medpipe-joint").choices
    assert paper["augment/affine/right"].values == (1.4, 1.8, 2.2, 2.6, 3.0)


def test_one_key_of_a_part_leaves_its_other_defaults():
    given = {"space": "medpipe-joint-residual", "space.augment.magnitudes.affine.left": [0.9]}
    flat = resolve({**given, "space.training.lr": [1e-2]}, REGISTRY).flat()
    assert flat["space.augment.grids"] == "mild"
    assert flat["space.augment.extra"] == ["shift"]
    assert flat["space.training.weight_decay"] == [0.01, 0.05]


def test_what_is_told_of_a_shift_is_what_it_declares():
    told = REGISTRY.space("medpipe-augment", layers=["shift"]).choices["shift/share"]
    assert told.values == REGISTRY.factory("augmentation", "shift").share.values
