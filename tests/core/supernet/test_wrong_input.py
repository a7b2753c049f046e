"""What a supernet cannot take is told in words."""

from __future__ import annotations

import pytest
import torch

from medpipe_core import Decision, Supernet, build_network, build_policy
from medpipe_core.space import InvalidGenotypeError
from medpipe_core.supernet import BindingError, VolumesError


@pytest.fixture
def net(space):
    return Supernet(space, in_channels=1, num_classes=2)


@pytest.mark.parametrize("wrong", [None, "x", Decision(None)])
def test_what_is_no_decision_is_refused(net, volumes, wrong):
    with pytest.raises(InvalidGenotypeError, match=r"is no genotype of space 'tiny'"):
        net(volumes, wrong)
    with pytest.raises(InvalidGenotypeError, match=r"is no genotype of space 'tiny'"):
        list(net.parameters_of(wrong))


def test_freezing_what_is_no_genotype_is_refused(net, space):
    with pytest.raises(InvalidGenotypeError, match="a str is no genotype"):
        net.freeze("x")
    with pytest.raises(BindingError, match=r"a genotype is needed .* got a str"):
        build_policy(space, "x")
    with pytest.raises(BindingError, match=r"a genotype is needed .* got a NoneType"):
        build_network(space, None, in_channels=1, num_classes=2)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            lambda v: v[0],
            r"have shape \(1, 6, 6, 6\).*\(batch, channel, \*space\).*volumes\[None\]",
        ),
        (lambda v: v[:, 0], r"have shape \(4, 6, 6, 6\).*volumes\[:, None\]"),
        (lambda v: v.expand(-1, 3, -1, -1, -1), r"\(4, 3, 6, 6, 6\).* with 1 at channel"),
        (lambda v: v[:, :, 0, 0, 0], r"have shape \(4, 1\)"),
        (lambda v: (v * 255).to(torch.uint8), r"are torch.uint8; .* volumes.float\(\) / 255"),
    ],
)
def test_what_is_no_batch_of_volumes_is_refused(net, space, volumes, training, change, words):
    genotype = space.sample(seed=0)
    with pytest.raises(VolumesError, match=words):
        net.train(training)(change(volumes), genotype)
    with pytest.raises(VolumesError, match=words):
        net.classify(change(volumes), Decision(genotype))


def test_half_precision_is_floating_point(net, space, volumes):
    keys = {"network/layer1": "skip", "network/layer2": "skip"}
    genotype = space.decide(lambda choice: keys.get(choice.path, choice.keys[0]))
    assert net.eval().bfloat16()(volumes.bfloat16(), genotype).dtype == torch.bfloat16
