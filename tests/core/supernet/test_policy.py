from __future__ import annotations

import pytest
import torch

from medpipe_core import (
    Augmentation,
    Decision,
    Genotype,
    Group,
    Operation,
    SearchSpace,
    ValueChoice,
    build_policy,
)
from medpipe_core.space import InvalidGenotypeError
from medpipe_core.supernet import AugmentationError, BindingError, augment_batch


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_a_policy_applies_the_chosen_layers_in_order_and_leaves_out_blank_ones(space, volumes):
    choices = dict(space.sample(seed=0).choices)
    genotype = space.genotype({**choices, "augment/shift/p": "0", "augment/mirror/p": "1"})
    policy = build_policy(space, genotype)
    assert [layer.path for layer in policy.layers] == ["augment/mirror"]
    assert torch.equal(policy(volumes, generator()), volumes.flip(-1))


def test_the_gate_of_a_layer_gets_the_inner_product_of_output_and_gradient(space, volumes):
    choices = dict(space.sample(seed=0).choices)
    genotype = space.genotype({**choices, "augment/shift/p": "0", "augment/mirror/p": "1"})
    gates = {path: torch.ones((), requires_grad=True) for path in genotype}
    policy = build_policy(space, genotype)
    weights = torch.rand(volumes.shape)
    output = policy(volumes, generator(), Decision(genotype, gates))
    (output * weights).sum().backward()
    torch.testing.assert_close(gates["augment/mirror/p"].grad, (volumes.flip(-1) * weights).sum())


class Broken(Augmentation):
    def __init__(self, *, how="shape"):
        self.how = how

    def draw(self, count, generator):
        return ()

    def apply(self, volumes):
        return volumes[..., :-1] if self.how == "shape" else volumes.double()


@pytest.mark.parametrize("how", ["shape", "dtype"])
def test_an_operation_that_changes_shape_or_dtype_is_named(volumes, how):
    with pytest.raises(AugmentationError, match=f"Broken.apply changed the volumes' {how}"):
        augment_batch(Broken(how=how), volumes, generator(), p=1.0, magnitudes={})


def policy_of(shelf, name, parameters, factory=None):
    if factory is not None:
        shelf.augmentations[name] = factory
    space = SearchSpace(
        "s", Group({"x": Operation("augmentation", name, parameters)}), catalogue=shelf
    )
    return build_policy(space, space.sample(seed=0))


def test_fixed_parameters_go_to_the_constructor_and_magnitudes_to_the_draw(shelf):
    policy = policy_of(shelf, "broken", {"how": "dtype"}, Broken)
    assert (policy.layers[0].operation.how, policy.layers[0].p) == ("dtype", 1.0)
    policy = policy_of(shelf, "shift", {"high": ValueChoice(0.3), "p": 0.5})
    assert (dict(policy.layers[0].magnitudes), policy.layers[0].p) == ({"high": 0.3}, 0.5)


def test_a_magnitude_without_value_and_a_probability_out_of_range_are_refused(shelf):
    with pytest.raises(BindingError, match="got no value for high"):
        policy_of(shelf, "shift", {"p": 1.0})
    with pytest.raises(BindingError, match=r"p must be a probability in \[0, 1\], but is 1.5"):
        policy_of(shelf, "mirror", {"p": 1.5})


def test_what_is_no_augmentation_is_refused_with_its_origin(shelf):
    with pytest.raises(BindingError, match=r"'odd' of shelf 1\.0 made a dict"):
        policy_of(shelf, "odd", {}, dict)


def test_a_genotype_of_a_plugin_that_is_not_here_names_it_with_its_version(space):
    genotype = space.sample(seed=0)
    made_elsewhere = Genotype(
        genotype.choices,
        space=genotype.space,
        space_digest=genotype.space_digest,
        provenance={"shelf": "1.0", "acme": "2.3"},
    )
    with pytest.raises(BindingError, match=r"plugins that are not here: acme==2\.3\. Install"):
        build_policy(space, made_elsewhere)


def test_a_genotype_of_another_version_tells_which(space):
    genotype = space.sample(seed=0)
    older = Genotype(
        genotype.choices, space="tiny", space_digest="0" * 16, provenance={"shelf": "0.9"}
    )
    with pytest.raises(InvalidGenotypeError, match=r"made with shelf 0\.9 \(here 1\.0\)"):
        build_policy(space, older)


class Faulty(Augmentation):
    high = ValueChoice(0.1, 0.2)

    def draw(self, count, generator, *, high):
        return torch.zeros(count)

    def apply(self, volumes, amount):
        return volumes


class TakesNoMagnitude(Faulty):
    def draw(self, count, generator):
        return torch.zeros(count)


class DrawsNothingAtAll(Faulty):
    def draw(self, count, generator, *, high):
        pass


class DrawsNumbers(Faulty):
    def draw(self, count, generator, *, high):
        return [0.5] * count


class AppliesToNothing(Faulty):
    def apply(self, volumes, amount):
        volumes + amount.view(-1, 1, 1, 1, 1)


class Stumbles(Faulty):
    def apply(self, volumes, amount):
        return volumes + {}["missing"]


class Hungry(Faulty):
    def apply(self, volumes, amount):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 37 GiB")


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (TakesNoMagnitude, r"draw failed .*high.*Write draw\(self, count, generator, \*, high\)"),
        (DrawsNothingAtAll, r"draw returned nothing \(None\), not a tensor"),
        (DrawsNumbers, r"draw returned a list, not a tensor"),
        (AppliesToNothing, r"apply returned nothing \(None\), not the transformed volumes"),
        (Stumbles, r"apply failed .* KeyError: 'missing' \(at .*test_policy.py:\d+\)"),
    ],
)
def test_a_faulty_augmentation_is_named_with_its_place_and_distribution(
    shelf, volumes, kind, words
):
    policy = policy_of(shelf, "faulty", {"p": 1.0, "high": 0.2}, kind)
    with pytest.raises(AugmentationError) as caught:
        policy(volumes, generator())
    assert caught.match(f"^x: augmentation 'faulty' of shelf 1.0: {kind.__name__}.*{words}")
    assert caught.match("AugmentationContract")


def test_the_error_of_an_augmentation_keeps_its_cause(shelf, volumes):
    with pytest.raises(AugmentationError) as caught:
        policy_of(shelf, "faulty", {"p": 1.0, "high": 0.2}, Stumbles)(volumes, generator())
    assert isinstance(caught.value.__cause__.__cause__, KeyError)


def test_an_augmentation_out_of_memory_is_not_called_faulty(shelf, volumes):
    with pytest.raises(torch.OutOfMemoryError):
        policy_of(shelf, "faulty", {"p": 1.0, "high": 0.2}, Hungry)(volumes, generator())
