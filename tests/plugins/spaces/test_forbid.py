"""`space.augment.forbid` in the bundle's spaces."""

from __future__ import annotations

import pytest

from medpipe_core import SpaceError, load_plugins
from medpipe_core.space import MEANINGS, declared_changes
from medpipe_plugins.augment3d.trivial import OPERATIONS

REGISTRY = load_plugins()


def layers(*words, name="medpipe-augment", **settings):
    space = REGISTRY.space(name, forbid=words, **settings)
    return list(dict.fromkeys(path.partition("/")[0] for path in space.choices))


def test_layers_that_change_what_is_forbidden_are_left_out():
    every = layers()
    assert len(every) == 12
    assert layers("side") == [name for name in every if "flip" not in name]
    geometry = ("side", "orientation", "size", "position")
    assert layers(*geometry) == ["noise", "erase", "blur", "invert", "color_jitter"]


def test_every_augmentation_of_the_bundle_says_what_it_changes():
    for name in REGISTRY.names("augmentation"):
        said = declared_changes(REGISTRY.factory("augmentation", name))
        assert said is not None, name
        assert said <= set(MEANINGS), name


def test_it_is_a_key_of_every_space_with_the_layers():
    joint = REGISTRY.space("medpipe-joint", augment={"forbid": ["side", "size"]})
    policy = REGISTRY.space("medpipe-policy", augment={"forbid": ["side", "size"]})
    for space in (joint, policy):
        assert not any("flip" in path or "affine" in path for path in space.choices)
        assert "augment/noise/p" in space.choices


def test_trivial_augment_leaves_out_what_is_forbidden():
    import torch

    space = REGISTRY.space(
        "medpipe-augment", layers=["trivial_augment"], probabilities=[1.0], forbid=["side", "size"]
    )
    (step,) = space.resolve(space.sample(seed=0))
    assert step.parameters["forbid"] == ("side", "size")
    operation = REGISTRY.factory("augmentation", "trivial_augment")(forbid=("side", "size"))
    chosen, *_ = operation.draw(2000, torch.Generator().manual_seed(0))
    left = {OPERATIONS[number] for number in set(chosen.tolist())}
    assert left == set(OPERATIONS) - {"d_flip", "v_flip", "h_flip", "affine"}


@pytest.mark.parametrize(
    ("words", "said"),
    [(("sides",), "Did you mean 'side'"), (tuple(MEANINGS), "leaves no augmentation")],
)
def test_wrong_words_are_refused(words, said):
    with pytest.raises(SpaceError, match=said):
        layers(*words)
