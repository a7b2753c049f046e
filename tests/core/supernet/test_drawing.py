"""What a policy draws in one go, and whom it hands arrays or tensors."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from medpipe_core import Augmentation, Fusion, Policy, ValueChoice
from medpipe_core.supernet import AugmentationError, PolicyLayer, augment_batch


class Gains(Fusion):
    """Multiplies each volume by one number; remembers the types that joined."""

    on_cpu = True

    def __init__(self, volumes):
        super().__init__(volumes)
        self.gain = torch.ones(len(volumes), dtype=volumes.dtype)

    def result(self):
        return self.volumes * self.gain.view(-1, 1, 1, 1, 1)


class Scale(Augmentation):
    """Scales by a number of its own for each volume; says what it was handed."""

    high = ValueChoice(1.5, 2.0)
    uniforms = 2
    fusion = Gains

    def __init__(self):
        self.joined = []

    def from_uniforms(self, numbers, *, high):
        return 1 + (high - 1) * numbers[:, 1]

    def join(self, fusion, rows, gain):
        self.joined.append((type(rows), type(gain)))
        fusion.gain[rows] *= torch.as_tensor(gain).to(fusion.gain)

    def apply(self, volumes, gain):
        return volumes * gain.view(-1, 1, 1, 1, 1)


class Shift(Augmentation):
    def draw(self, count, generator):
        return torch.rand(count, generator=generator)

    def apply(self, volumes, amount):
        return volumes + amount.view(-1, 1, 1, 1, 1)


class DrawsItself(Scale):
    def draw(self, count, generator, *, high):
        return torch.full((count,), 3.0)


class ChangesTheDraw(Scale):
    def draw_for(self, volumes, generator, *, high):
        return 2 * super().draw_for(volumes, generator, high=high)


class JoinsItself(Scale):
    def join(self, fusion, rows, gain):
        super().join(fusion, rows, torch.sqrt(gain))


class WithoutFusion(Scale):
    fusion = None


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def batch(count=6):
    return torch.rand(count, 1, 3, 4, 5, generator=generator(1))


def policy_of(*layers):
    return Policy(
        PolicyLayer(f"{i}", operation, p, dict.fromkeys(operation.magnitudes(), 2.0), (f"{i}/p",))
        for i, (operation, p) in enumerate(layers)
    )


def test_a_policy_draws_one_table_and_then_what_operations_draw_themselves():
    policy = policy_of((Scale(), 0.5), (Shift(), 1.0), (Scale(), 0.0), (WithoutFusion(), 0.5))
    volumes, source, expected = batch(), generator(), generator()
    after = policy(volumes, source)
    table = torch.rand(3 + 2 + 2, 6, generator=expected)
    amount = torch.rand(6, generator=expected)
    assert torch.equal(source.get_state(), expected.get_state())
    gain, other = (
        torch.where(table[at] < 0.5, 1 + table[number], torch.ones(6)).view(-1, 1, 1, 1, 1)
        for at, number in ((0, 4), (2, 6))
    )
    torch.testing.assert_close(after, (volumes * gain + amount.view(-1, 1, 1, 1, 1)) * other)


def test_layer_by_layer_and_alone_the_same_numbers_are_drawn():
    policy, volumes = policy_of((Scale(), 0.5)), batch()
    fused = policy(volumes, generator())
    torch.testing.assert_close(fused, policy.layer_by_layer(volumes, generator()))
    alone = augment_batch(Scale(), volumes, generator(), p=0.5, magnitudes={"high": 2.0})
    torch.testing.assert_close(fused, alone)


@pytest.mark.parametrize(
    ("kind", "handed"),
    [
        (Scale, (np.ndarray, np.ndarray)),
        (JoinsItself, (torch.Tensor, torch.Tensor)),
        (DrawsItself, (torch.Tensor, torch.Tensor)),
        (ChangesTheDraw, (torch.Tensor, torch.Tensor)),
    ],
)
def test_arrays_are_handed_to_the_join_that_goes_with_them_alone(kind, handed):
    operation = kind()
    policy, volumes = policy_of((operation, 0.5)), batch()
    fused = policy(volumes, generator())
    assert operation.joined == [handed]
    torch.testing.assert_close(
        fused if kind is not JoinsItself else fused**2 / volumes,
        policy.layer_by_layer(volumes, generator()),
    )


def test_a_fusion_on_the_volumes_device_gets_tensors(monkeypatch):
    monkeypatch.setattr(Gains, "on_cpu", False)
    operation = Scale()
    policy_of((operation, 1.0))(batch(), generator())
    assert operation.joined == [(torch.Tensor, torch.Tensor)]


def test_draw_is_made_of_uniform_numbers():
    drawn = Scale().draw(5, generator(), high=2.0)
    assert torch.equal(drawn, 1 + torch.rand(2, 5, generator=generator())[1])


def test_volumes_are_checked_before_they_are_drawn_for():
    class Flat(Scale):
        def check(self, volumes):
            if volumes.ndim != 4:
                raise AugmentationError("only slices")

    with pytest.raises(AugmentationError, match="0: only slices"):
        policy_of((Flat(), 1.0))(batch(), generator())


class Nothing(Scale):
    def from_uniforms(self, numbers, *, high):
        pass


class Stumbles(Scale):
    def from_uniforms(self, numbers, *, high):
        return numbers[:, 5]


class NoFormula(Augmentation):
    uniforms = 1


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (Nothing, r"Nothing \(.*\)\.from_uniforms returned nothing \(None\), not an array"),
        (Stumbles, r"from_uniforms failed for 6 volumes .*Write from_uniforms\(self, numbers, \*"),
        (NoFormula, r"names uniforms, but does not define from_uniforms\(self, numbers"),
    ],
)
def test_what_goes_wrong_is_told_with_the_layer(kind, words):
    with pytest.raises(AugmentationError, match=words):
        policy_of((kind(), 1.0))(batch(), generator())
