"""What every operation promises, whatever it does."""

from __future__ import annotations

import pytest
import torch

from medpipe_core import load_plugins
from medpipe_core.supernet import augment_batch
from medpipe_plugins.augment3d import VolumeShapeError

REGISTRY = load_plugins()
NAMES = REGISTRY.names("augmentation")


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def make(name):
    operation = REGISTRY.factory("augmentation", name)()
    return operation, {key: choice.values[-1] for key, choice in operation.magnitudes().items()}


def volumes(count=4, size=(6, 7, 8), dtype=torch.float32):
    return torch.rand(count, 2, *size, generator=generator(7), dtype=dtype)


def draw(operation, batch, magnitudes, seed=0):
    found = operation.draw_for(batch, generator(seed), **magnitudes)
    return (found,) if isinstance(found, torch.Tensor) else found


@pytest.fixture(params=NAMES)
def name(request):
    return request.param


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_shape_dtype_and_input_are_kept_and_values_are_finite(name, dtype):
    operation, magnitudes = make(name)
    batch = volumes(dtype=dtype)
    before = batch.clone()
    after = augment_batch(operation, batch, generator(), p=1.0, magnitudes=magnitudes)
    assert (after.shape, after.dtype) == (batch.shape, dtype)
    assert torch.equal(batch, before)
    assert torch.isfinite(after).all()
    assert not torch.equal(after, before)


def test_a_batch_equals_its_volumes_one_by_one(name):
    operation, magnitudes = make(name)
    batch = volumes()
    drawn = draw(operation, batch, magnitudes)
    whole = operation.apply(batch, *drawn)
    for row in range(len(batch)):
        part = [tensor[row : row + 1] for tensor in drawn]
        torch.testing.assert_close(
            operation.apply(batch[row : row + 1], *part), whole[row : row + 1]
        )


def test_every_volume_has_a_draw_of_its_own(name):
    operation, magnitudes = make(name)
    batch = volumes(count=1).expand(6, -1, -1, -1, -1)
    after = operation.apply(batch, *draw(operation, batch, magnitudes))
    alike = torch.equal(after[0], after[1]) and torch.equal(after[1], after[2])
    assert alike == (name in {"v_flip", "h_flip", "d_flip", "invert"})


def test_the_generator_decides_and_global_state_does_not(name):
    operation, magnitudes = make(name)
    batch, state = volumes(), torch.get_rng_state()

    def run(seed):
        return augment_batch(operation, batch, generator(seed), p=0.5, magnitudes=magnitudes)

    one, same = run(3), run(3)
    assert torch.equal(one, same)
    assert any(not torch.equal(one, run(seed)) for seed in range(4, 9))
    assert torch.equal(torch.get_rng_state(), state)


def test_p_decides_for_each_volume_alone(name):
    operation, magnitudes = make(name)
    batch = volumes(count=200, size=(4, 5, 6))
    after = augment_batch(operation, batch, generator(), p=0.5, magnitudes=magnitudes)
    untouched = (after == batch).flatten(1).all(1).sum().item()
    assert 70 < untouched < 135  # a fair coin leaves this range once in a hundred thousand runs


def test_at_p_zero_nothing_is_drawn_and_the_very_batch_comes_back(name):
    operation, magnitudes = make(name)
    batch, source = volumes(), generator()
    before = source.get_state()
    assert augment_batch(operation, batch, source, p=0.0, magnitudes=magnitudes) is batch
    assert torch.equal(source.get_state(), before)


def test_gradients_with_respect_to_the_volumes_are_right(name):
    operation, magnitudes = make(name)
    batch = (0.2 + 0.5 * volumes(count=2, size=(3, 4, 5), dtype=torch.float64)).requires_grad_()
    drawn = draw(operation, batch, magnitudes)
    assert torch.autograd.gradcheck(lambda x: operation.apply(x, *drawn), batch)


def test_volumes_without_five_axes_are_refused(name):
    operation, magnitudes = make(name)
    with pytest.raises(VolumeShapeError, match=r"\(batch, channel, depth, height, width\)"):
        operation.draw_for(torch.rand(2, 3, 4), generator(), **magnitudes)


def test_magnitudes_in_the_wrong_order_are_sorted():
    for name in ("affine", "erase", "v_rotation"):
        operation, magnitudes = make(name)
        keys = list(magnitudes)
        swapped = dict(zip(keys, [magnitudes[k] for k in reversed(keys)], strict=True))
        batch = volumes()
        after = augment_batch(operation, batch, generator(), p=1.0, magnitudes=swapped)
        assert torch.isfinite(after).all()
