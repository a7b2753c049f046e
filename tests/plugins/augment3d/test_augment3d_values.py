"""Ranges of draws, what is refused, and the intensities that come out."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

import medpipe_plugins.augment3d as room
from medpipe_plugins.augment3d import (
    Affine,
    Augmentation3D,
    Blur,
    ColorJitter,
    DRotation,
    Erase,
    Invert,
    MagnitudeError,
    Noise,
    VolumeShapeError,
    magnitudes,
    per_volume,
    uniform,
)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def volumes(*shape):
    return torch.rand(*shape, generator=generator(1))


def boxes(count, **bounds):
    bounds = {"scale_left": 0.02, "scale_right": 0.3, "ratio_left": 0.2, "ratio_right": 3, **bounds}
    return Erase().draw(count, generator(), **bounds)


def within(drawn, low, high):
    """Say whether draws stay in [low, high] and come near both ends."""
    reach = 0.02 * (high - low)
    return low <= drawn.min() < low + reach and high - reach < drawn.max() <= high


def test_every_public_name_can_be_imported():
    assert all(getattr(room, name).__name__ == name for name in room.__all__)
    with pytest.raises(AttributeError, match="no attribute 'Shear'"):
        _ = room.Shear


def in_another_process(code):
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False
    )


def test_the_grids_are_read_without_torch():
    code = "import sys, medpipe_plugins.augment3d.magnitudes; sys.exit('torch' in sys.modules)"
    assert in_another_process(code).returncode == 0


def test_the_operations_import_without_a_warning(forked):
    strict = "import warnings; warnings.simplefilter('error')"
    done = forked(f"{strict}\nfrom medpipe_plugins.augment3d import *")
    assert (done.code, done.problems) == (0, "")


def test_grids_of_other_lengths_keep_their_ends():
    assert magnitudes.grid_closed(-30, 0, 4).values == (-30, -20, -10, 0)
    assert magnitudes.grid_open_left(0, 0.3, 3).keys == ("0.1", "0.2", "0.3")


def test_table_one_has_its_number_of_values_in_every_grid():
    grids = {name: grid for name, grid in vars(magnitudes).items() if name[0] in "REABIJ"}
    found = {name: len(grid.keys) for name, grid in grids.items() if name.isupper()}
    of_five = {"ROTATION_LEFT", "ROTATION_RIGHT", "ERASE_SCALE_LEFT", "ERASE_SCALE_RIGHT",
               "ERASE_RATIO_LEFT", "ERASE_RATIO_RIGHT", "AFFINE_LEFT", "AFFINE_RIGHT"}  # fmt: skip
    others = {"BLUR_KERNEL": 3, "INVERT_MAX_VALUE": 4, "JITTER_BRIGHTNESS": 2, "JITTER_CONTRAST": 2}
    assert found == dict.fromkeys(of_five, 5) | others


def test_draws_fill_their_bounds():
    source = generator()
    assert within(DRotation().draw(4000, source, left=-22.5, right=7.5), -22.5, 7.5)
    assert within(Affine().draw(4000, source, left=0.8, right=1.4), 0.8, 1.4)
    assert within(Affine().draw(4000, source, left=1.4, right=0.8), 0.8, 1.4)
    brightness, contrast = ColorJitter().draw(4000, source, brightness=0.3, contrast=0.8)
    assert within(brightness, 0.7, 1.3)
    assert within(contrast, 0.2, 1.8)


def test_a_jitter_above_one_does_not_draw_negative_factors():
    brightness, _ = ColorJitter().draw(4000, generator(), brightness=1.5, contrast=0.5)
    assert within(brightness, 0.0, 2.5)


def test_equal_bounds_are_a_fixed_value():
    assert uniform(3, 0.7, 0.7, generator()).tolist() == pytest.approx([0.7] * 3)


def test_per_volume_broadcasts_over_volumes():
    assert (per_volume(torch.tensor([2.0, 3.0])) * torch.ones(2, 1, 2, 2, 2)).mean() == 2.5


def test_volumes_of_whole_numbers_are_refused_with_the_remedy():
    whole = torch.zeros(2, 1, 4, 4, 4, dtype=torch.uint8)
    for operation in (Noise(), DRotation(), Invert()):
        with pytest.raises(VolumeShapeError, match=r"torch.uint8; convert the volumes first"):
            operation.draw_for(whole, generator())


def test_values_without_meaning_are_refused_by_name():
    with pytest.raises(MagnitudeError, match=r"Noise needs .*std=-1"):
        Noise(std=-1)
    with pytest.raises(MagnitudeError, match=r"Blur needs .*sigma=\(0, 2\)"):
        Blur(sigma=(0, 2))
    with pytest.raises(MagnitudeError, match=r"Blur needs a whole kernel edge.*kernel=2.5"):
        Blur().draw(1, generator(), kernel=2.5)
    with pytest.raises(MagnitudeError, match=r"Affine needs factors above 0.*left=0"):
        Affine().draw(1, generator(), left=0, right=2)
    with pytest.raises(MagnitudeError, match=r"Erase needs shares"):
        boxes(1, scale_left=0)
    with pytest.raises(MagnitudeError, match=r"Erase needs ratios"):
        boxes(1, ratio_left=-1)


def test_a_newcomers_operation_needs_only_draw_and_apply():
    class Gamma(Augmentation3D):
        def draw(self, count, generator):
            return uniform(count, 0.5, 1.5, generator)

        def apply(self, volumes, gamma):
            return volumes.clamp(0, 1) ** per_volume(gamma)

    batch = volumes(2, 1, 3, 3, 3)
    drawn = Gamma().draw_for(batch, generator())
    torch.testing.assert_close(Gamma().apply(batch, drawn)[1], batch[1] ** drawn[1])


def test_erasing_keeps_its_share_where_the_ratio_does_not_fit():
    edges, _ = boxes(200, scale_left=0.3, scale_right=0.3, ratio_left=0.2, ratio_right=0.2)
    assert edges.max() <= 1
    torch.testing.assert_close(edges.prod(1), torch.full((200,), 0.3))


def test_erased_boxes_lie_whole_inside_the_volume():
    edges, place = boxes(500)
    place[:250], place[250:] = 0, 1  # both corners
    erased = Erase().apply(torch.ones(500, 1, 9, 10, 11), edges, place)[:, 0] == 0
    for axis, size in enumerate((9, 10, 11)):
        others = [other for other in (1, 2, 3) if other != axis + 1]
        lengths = erased.any(others[1]).any(others[0]).sum(1)
        assert torch.equal(lengths, (edges[:, axis] * size).round().clamp(1, size).long())
    assert erased[:250, 0, 0, 0].all()
    assert erased[250:, -1, -1, -1].all()


def test_all_channels_lose_the_same_box_and_the_rest_stays():
    batch = 0.5 + volumes(6, 3, 8, 8, 8)
    erased = Erase().apply(batch, *boxes(6))
    gone = erased == 0
    assert torch.equal(gone[:, 0], gone[:, 2])
    assert torch.equal(erased[~gone], batch[~gone])


@pytest.mark.parametrize("kernel", [1, 2, 3, 4])
def test_blur_keeps_even_intensities_and_smooths_others(kernel):
    weights = Blur(sigma=(1, 1)).draw(2, generator(), kernel=kernel)
    even = torch.full((2, 3, 5, 6, 7), 0.3)
    torch.testing.assert_close(Blur().apply(even, weights), even)
    batch = volumes(2, 3, 12, 12, 12)
    blurred = Blur().apply(batch, weights)
    assert (blurred.std() < batch.std()) == (kernel > 1)
    assert blurred.min() >= batch.min() - 1e-6
    assert blurred.max() <= batch.max() + 1e-6


def test_inverting_twice_gives_the_volume_back_and_nothing_is_clamped():
    batch, most = volumes(2, 1, 4, 4, 4), torch.tensor([0.25, 1.0])
    once = Invert().apply(batch, most)
    torch.testing.assert_close(Invert().apply(once, most), batch)
    assert once[0].min() < 0
    assert once[1].min() >= 0


def test_jitter_stays_in_the_unit_interval_and_keeps_the_mean_under_contrast_alone():
    batch = volumes(50, 1, 6, 6, 6)
    drawn = ColorJitter().draw(50, generator(), brightness=0.5, contrast=0.8)
    jittered = ColorJitter().apply(batch, *drawn)
    assert jittered.min() >= 0
    assert jittered.max() <= 1
    one, weaker = torch.ones(50), torch.full((50,), 0.4)
    kept = ColorJitter().apply(batch, one, weaker)
    torch.testing.assert_close(kept.flatten(1).mean(1), batch.flatten(1).mean(1))


def test_noise_is_independent_between_volumes_and_channels():
    blank = torch.zeros(2, 2, 20, 20, 20)
    noise = Noise().apply(blank, Noise().draw_for(blank, generator())).flatten(0, 1).flatten(1)
    others = torch.corrcoef(noise) - torch.eye(4)
    assert others.abs().max() < 0.05


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("source", ["cpu", "cuda"])
def test_volumes_stay_on_their_device_wherever_the_generator_is(source):
    from medpipe_core import load_plugins
    from medpipe_core.supernet import augment_batch

    registry, batch = load_plugins(), volumes(3, 1, 6, 7, 8).cuda()
    for name in registry.names("augmentation"):
        operation = registry.factory("augmentation", name)()
        chosen = {key: choice.values[-1] for key, choice in operation.magnitudes().items()}
        drawing = torch.Generator(source).manual_seed(0)
        after = augment_batch(operation, batch, drawing, p=1.0, magnitudes=chosen)
        assert after.device == batch.device
        assert torch.isfinite(after).all()
