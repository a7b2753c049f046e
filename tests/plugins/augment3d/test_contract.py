"""The bundled operations hold to what every operation promises."""

from __future__ import annotations

import pytest
import torch

from medpipe_core import load_plugins
from medpipe_core.supernet import augment_batch
from medpipe_core.testing import AugmentationContract
from medpipe_plugins import augment3d
from medpipe_plugins.augment3d import VolumeShapeError

REGISTRY = load_plugins()


class Bundled(AugmentationContract):
    dtypes = (torch.float32, torch.float64, torch.float16, torch.bfloat16)


class TestNoise(Bundled):
    operation = augment3d.Noise


class TestVFlip(Bundled):
    operation = augment3d.VFlip
    random = False


class TestHFlip(Bundled):
    operation = augment3d.HFlip
    random = False


class TestDFlip(Bundled):
    operation = augment3d.DFlip
    random = False


class TestVRotation(Bundled):
    operation = augment3d.VRotation


class TestHRotation(Bundled):
    operation = augment3d.HRotation


class TestDRotation(Bundled):
    operation = augment3d.DRotation


class TestErase(Bundled):
    operation = augment3d.Erase


class TestAffine(Bundled):
    operation = augment3d.Affine


class TestBlur(Bundled):
    operation = augment3d.Blur


class TestInvert(Bundled):
    operation = augment3d.Invert
    random = False


class TestColorJitter(Bundled):
    operation = augment3d.ColorJitter
    mixes_channels = True  # contrast is about the mean of the whole volume


class TestShift(Bundled):
    operation = augment3d.Shift


class TestTrivialAugment(Bundled):
    operation = augment3d.TrivialAugment
    mixes_channels = True  # contrast is about the mean of the whole volume


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def make(name):
    operation = REGISTRY.factory("augmentation", name)()
    return operation, {key: choice.values[-1] for key, choice in operation.magnitudes().items()}


def volumes(count=4, size=(6, 7, 8)):
    return torch.rand(count, 2, *size, generator=generator(7))


@pytest.fixture(params=REGISTRY.names("augmentation"))
def name(request):
    return request.param


def test_no_operation_is_without_a_contract():
    tested = {c.operation for c in globals().values() if hasattr(c, "operation")}
    entries = [REGISTRY.entry("augmentation", name) for name in REGISTRY.names("augmentation")]
    assert {e.load() for e in entries if e.entry_point == "medpipe-augment3d"} <= tested


def test_p_decides_for_each_volume_alone(name):
    operation, magnitudes = make(name)
    batch = volumes(count=200, size=(4, 5, 6))
    after = augment_batch(operation, batch, generator(), p=0.5, magnitudes=magnitudes)
    untouched = (after == batch).flatten(1).all(1).sum().item()
    assert 70 < untouched < 135  # a fair coin leaves this range once in a hundred thousand runs


def test_volumes_without_five_axes_are_refused(name):
    operation, magnitudes = make(name)
    with pytest.raises(VolumeShapeError, match=r"\(batch, channel, depth, height, width\)"):
        operation.draw_for(torch.rand(2, 3, 4), generator(), **magnitudes)


def test_magnitudes_in_the_wrong_order_are_sorted():
    for name in ("affine", "erase", "v_rotation"):
        operation, magnitudes = make(name)
        keys = list(magnitudes)
        swapped = dict(zip(keys, [magnitudes[k] for k in reversed(keys)], strict=True))
        after = augment_batch(operation, volumes(), generator(), p=1.0, magnitudes=swapped)
        assert torch.isfinite(after).all()
