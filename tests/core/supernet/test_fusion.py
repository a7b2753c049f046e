"""Neighbouring layers with the same fusion are one pass; nothing else about a policy changes."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from medpipe_core import Augmentation, Decision, Fusion, Policy
from medpipe_core.supernet import AugmentationError, PolicyLayer


class Gain(Fusion):
    """Multiplies each volume by one number."""

    made = 0

    def __init__(self, volumes):
        super().__init__(volumes)
        type(self).made += 1
        self.gain = torch.ones(len(volumes), dtype=volumes.dtype)

    def result(self):
        return self.volumes * self.gain.view(-1, 1, 1, 1, 1)


class Scale(Augmentation):
    fusion = Gain

    def draw(self, count, generator):
        return 0.5 + torch.rand(count, generator=generator)

    def join(self, fusion, rows, gain):
        fusion.gain[rows] *= gain

    def apply(self, volumes, gain):
        return volumes * gain.view(-1, 1, 1, 1, 1)


class Shift(Augmentation):
    def draw(self, count, generator):
        return torch.rand(count, generator=generator)

    def apply(self, volumes, amount):
        return volumes + amount.view(-1, 1, 1, 1, 1)


@pytest.fixture(autouse=True)
def _count_anew(monkeypatch):
    monkeypatch.setattr(Gain, "made", 0)


def generator():
    return torch.Generator().manual_seed(0)


def policy_of(*layers):
    """Return a policy of (operation, p), each governed by a choice of its own."""
    return Policy(
        PolicyLayer(f"{i}", operation(), p, {}, (f"{i}/p",))
        for i, (operation, p) in enumerate(layers)
    )


def batch(count=6):
    return torch.rand(count, 1, 3, 4, 5, generator=generator(), dtype=torch.float64)


@pytest.mark.parametrize(
    ("layers", "passes"),
    [
        ([(Scale, 1.0)] * 3, 1),
        ([(Scale, 1.0), (Shift, 1.0), (Scale, 0.5)], 2),
        ([(Scale, 0.5), (Shift, 0.0), (Scale, 0.5)], 1),
        ([(Shift, 0.0), (Scale, 0.5), (Scale, 0.5)], 1),
        ([(Scale, 0.0), (Scale, 0.0)], 0),
    ],
)
def test_neighbours_are_one_pass_and_give_what_they_give_one_by_one(layers, passes):
    policy, volumes = policy_of(*layers), batch()
    fused = policy(volumes, generator())
    assert Gain.made == passes
    torch.testing.assert_close(fused, policy.layer_by_layer(volumes, generator()))


def test_fusing_changes_no_draw():
    policy = policy_of((Scale, 0.5), (Scale, 0.7), (Shift, 0.5), (Shift, 0.0), (Scale, 0.3))
    one, other = generator(), generator()
    policy(batch(), one)
    policy.layer_by_layer(batch(), other)
    assert torch.equal(one.get_state(), other.get_state())


def test_layers_that_touch_nothing_draw_nothing_and_hand_on_the_batch():
    policy, volumes, source = policy_of((Scale, 0.0), (Shift, 0.0)), batch(), generator()
    assert policy(volumes, source) is volumes
    assert torch.equal(source.get_state(), generator().get_state())


def test_blank_layers_do_not_change_the_draws_of_the_others():
    with_blank = policy_of((Scale, 0.0), (Scale, 0.5), (Shift, 0.0), (Shift, 0.5))
    without = policy_of((Scale, 0.5), (Shift, 0.5))
    assert torch.equal(with_blank(batch(), generator()), without(batch(), generator()))


def test_volumes_that_no_layer_touches_keep_their_bits():
    policy, volumes = policy_of((Scale, 0.3), (Scale, 0.3)), batch(40)
    drawn = torch.rand(2, 40, generator=generator())
    untouched = (drawn >= 0.3).all(0)
    after = policy(volumes, generator())
    assert 0 < untouched.sum() < 40
    assert torch.equal(after[untouched], volumes[untouched])
    assert (after[~untouched] != volumes[~untouched]).any((1, 2, 3, 4)).all()


@pytest.mark.parametrize(
    "layers",
    [
        [(Scale, 0.5), (Scale, 0.5), (Scale, 1.0)],
        [(Shift, 0.5), (Scale, 0.5), (Shift, 0.0), (Scale, 0.5), (Shift, 0.5), (Scale, 0.0)],
        [(Scale, 0.0), (Shift, 0.0), (Scale, 0.0)],
    ],
)
def test_every_gate_gets_the_gradient_that_it_gets_layer_by_layer(layers):
    policy, volumes = policy_of(*layers), batch()
    weights = torch.rand(volumes.shape, generator=generator(), dtype=torch.float64)
    found = []
    for run in (policy, policy.layer_by_layer):
        gates = {f"{i}/p": torch.ones((), requires_grad=True) for i in range(len(layers))}
        decision = SimpleNamespace(gate=Decision(None, gates).gate)
        (run(volumes, generator(), decision) * weights).sum().backward()
        found.append(torch.stack([gate.grad for gate in gates.values()]))
    torch.testing.assert_close(*found)
    assert (found[0] != 0).all()


class Bend(Scale):
    """Multiplies and squares, in a fusion that says that it is not linear."""

    class Square(Fusion):
        linear = False
        made = 0

        def __init__(self, volumes):
            super().__init__(volumes)
            type(self).made += 1
            self.done = volumes

        def result(self):
            return self.done

    fusion = Square

    def join(self, fusion, rows, gain):
        changed = self.apply(fusion.done[rows], gain)
        fusion.done = fusion.done.index_copy(0, rows, changed)

    def apply(self, volumes, gain):
        return super().apply(volumes, gain) ** 2


def test_what_is_not_linear_is_fused_unless_gates_are_asked_for(monkeypatch):
    monkeypatch.setattr(Bend.Square, "made", 0)
    policy, volumes = policy_of((Bend, 0.5), (Bend, 1.0), (Scale, 0.5)), batch()
    apart = policy.layer_by_layer(volumes, generator())
    monkeypatch.setattr(Bend.Square, "made", 0)
    torch.testing.assert_close(policy(volumes, generator()), apart)
    assert Bend.Square.made == 1
    test_every_gate_gets_the_gradient_that_it_gets_layer_by_layer([(Bend, 0.5), (Bend, 1.0)])
    elsewhere = SimpleNamespace(gate=Decision(None, {"2/p": torch.ones(())}).gate)
    monkeypatch.setattr(Bend.Square, "made", 0)
    torch.testing.assert_close(policy(volumes, generator(), elsewhere), apart)
    assert Bend.Square.made == 1


def test_a_subclass_with_another_apply_is_not_fused():
    class Clipped(Scale):
        def apply(self, volumes, gain):
            return super().apply(volumes, gain).clamp(max=0.5)

    class Named(Scale):
        pass

    assert Clipped.fusion is None
    assert Named.fusion is Gain
    after = policy_of((Scale, 1.0), (Clipped, 1.0))(batch(), generator())
    assert after.max() == 0.5


def test_a_fusion_that_changes_the_dtype_is_named():
    class Careless(Gain):
        def result(self):
            return super().result().float()

    class Careful(Scale):
        fusion = Careless

    with pytest.raises(AugmentationError, match=r"Careless.result changed the volumes' dtype"):
        policy_of((Careful, 1.0))(batch(), generator())


def test_an_operation_that_names_a_fusion_without_join_is_told():
    class Half(Augmentation):
        fusion = Gain

        def draw(self, count, generator):
            return ()

    with pytest.raises(AugmentationError, match="Half names a fusion, but does not define join"):
        policy_of((Half, 1.0))(batch(), generator())


class Handed(Shift):
    """Hands back the very volumes that it is given."""

    def apply(self, volumes, amount):
        return volumes


@pytest.mark.parametrize("first", [Handed, Shift, Scale])
def test_the_batch_that_came_in_is_not_written_into(first):
    policy, volumes = policy_of((first, 1.0), (Shift, 0.5), (Shift, 0.5), (Scale, 0.5)), batch(12)
    before = volumes.clone()
    after = policy(volumes, generator())
    assert torch.equal(volumes, before)
    assert not torch.equal(after, before)


def test_a_batch_that_needs_a_gradient_gets_the_right_one():
    policy = policy_of((Scale, 0.5), (Shift, 0.5), (Scale, 0.5), (Shift, 0.5))
    volumes = batch(8).requires_grad_()
    (gradient,) = torch.autograd.grad(policy(volumes, generator()).sum(), volumes)
    moved = policy(volumes.detach() + 1, generator()) - policy(volumes.detach(), generator())
    torch.testing.assert_close(gradient, moved)
