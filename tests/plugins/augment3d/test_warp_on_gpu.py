"""The kernels that resample and erase, against scipy in double precision.

Without a GPU they run in Triton's interpreter, which takes a tenth of a second for each tile: what
is small here is so for that.
"""

from __future__ import annotations

import numpy as np
import pytest
import scipy.ndimage
import torch
from hypothesis import given
from hypothesis import strategies as st

from medpipe_plugins.augment3d import resample, resampling
from medpipe_plugins.augment3d.on_gpu import can_launch, warp_on_gpu
from medpipe_plugins.triton_extra import has_triton

pytestmark = pytest.mark.skipif(not has_triton(), reason="needs Triton")

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
SHAPES = [(2, 2, 4, 5, 7), (2, 1, 1, 6, 9), (1, 3, 7, 1, 3), (2, 1, 3, 5, 1), (1, 1, 1, 2, 40)]
# Of numbers below 1; the interpreter does not round to bfloat16, but cuts off.
TOLERANCES = {torch.float32: 2e-6, torch.bfloat16: 2**-7, torch.float16: 2**-10}
UNIT = np.eye(3, 4)
NO_BOX = (UNIT, (np.inf,) * 3, (-np.inf,) * 3)


def volumes(shape, dtype=torch.float32):
    numbers = torch.rand(shape, generator=torch.Generator().manual_seed(1))
    return numbers.to(DEVICE, dtype)


def table_of(*rows):
    """Return a table of rows (matrix or None for a volume that stays, boxes)."""
    lines = []
    for back, boxes in rows:
        line = [float(back is not None), *np.ravel(UNIT if back is None else back)]
        for matrix, start, stop in boxes:
            line += [*np.ravel(matrix), *start, *stop]
        lines.append(line)
    return torch.tensor(np.array(lines), dtype=torch.float32, device=DEVICE)


def by_scipy(volumes, table, boxes):
    """Return what is to come out, in float64."""
    out = []
    for volume, row in zip(
        volumes.double().cpu().numpy(), table.double().cpu().numpy(), strict=True
    ):
        back = row[1:13].reshape(3, 4)[::-1]  # scipy's axes are (z, y, x)
        linear, offset = back[:, 2::-1], back[:, 3]
        if row[0]:
            volume = np.stack(
                [
                    scipy.ndimage.affine_transform(
                        channel, linear, offset, order=1, mode="grid-constant"
                    )
                    for channel in volume
                ]
            )
        z, y, x = np.indices(volume.shape[1:])
        for box in row[13:].reshape(boxes, 18):
            places = np.einsum(
                "ij,j...->i...", box[:12].reshape(3, 4), np.stack((x, y, z, x * 0 + 1))
            )
            start, stop = box[12:15, None, None, None], box[15:, None, None, None]
            share = np.minimum(places - (start - 1), stop - places).clip(0, 1).prod(0)
            volume = volume * (1 - share)
        out.append(volume)
    return torch.from_numpy(np.stack(out))


def turned(seed, shape, spread=0.4):
    """Return a matrix that turns, scales, shears and shifts a little about the centre."""
    random = np.random.default_rng(seed)
    linear = np.eye(3) + spread * random.standard_normal((3, 3))
    centre = (np.array(shape[:1:-1]) - 1) / 2
    return np.c_[linear, centre - linear @ centre + spread * random.standard_normal(3)]


def mirrored(shape, axes):
    """Return the matrix that mirrors some of the axes -1 (x), -2 and -3."""
    back = UNIT.copy()
    for axis in axes:
        back[-1 - axis] *= -1
        back[-1 - axis, 3] = shape[axis] - 1
    return back


@pytest.mark.parametrize("dtype", TOLERANCES, ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_volumes_are_resampled_as_scipy_does_with_zeros_around(shape, dtype):
    batch = volumes(shape, dtype)
    table = table_of(*((turned(n, shape), ()) for n in range(shape[0])))
    got = warp_on_gpu(batch, table, 0)
    assert got.dtype == dtype
    expected = by_scipy(batch, table, 0)
    torch.testing.assert_close(got.double().cpu(), expected, rtol=0, atol=TOLERANCES[dtype])


@given(
    st.integers(0, 2**32 - 1),
    st.tuples(st.integers(1, 2), st.integers(1, 5), st.integers(1, 5), st.integers(1, 9)),
    st.sampled_from([0.0, 0.2, 1.5]),
    st.integers(0, 2),
)
def test_boxes_lie_where_their_matrices_say(seed, shape, spread, boxes):
    random = np.random.default_rng(seed)
    batch = volumes((2, *shape))
    rows = []
    for n in range(2):
        of_volume = []
        for _ in range(boxes):
            start = random.integers(0, 4, 3).astype(float)
            stop = start + random.integers(1, 5, 3)
            start[random.random(3) < 0.3], stop[random.random(3) < 0.3] = -np.inf, np.inf
            matrix = turned(random, batch.shape, spread)
            of_volume.append(NO_BOX if random.random() < 0.2 else (matrix, start, stop))
        back = turned(random, batch.shape, spread) if n else None
        rows.append((back, of_volume))
    table = table_of(*rows)
    got = warp_on_gpu(batch, table, boxes).double().cpu()
    torch.testing.assert_close(got, by_scipy(batch, table, boxes), rtol=0, atol=1e-5)


@pytest.mark.parametrize("axes", [(), (-1,), (-2, -3), (-1, -2, -3)], ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_mirrors_and_shifts_by_whole_voxels_are_exact_beside_what_is_not_finite(axes, dtype):
    batch = volumes((2, 2, 3, 4, 5), dtype)
    batch[0, 1, 1, 2, 3], batch[1, 0, 0, 0, 1], batch[1, 1, 2, 3, 4] = (
        torch.nan,
        torch.inf,
        -torch.inf,
    )
    shifted = mirrored(batch.shape, axes)
    shifted[0, 3] += 1
    table = table_of((mirrored(batch.shape, axes), ()), (shifted, ()))
    got = warp_on_gpu(batch, table, 0)
    expected = batch.flip(axes)
    torch.testing.assert_close(got[0], expected[0], rtol=0, atol=0, equal_nan=True)
    forward = torch.zeros_like(expected[1])
    if -1 in axes:
        forward[..., 1:] = expected[1][..., :-1]
    else:
        forward[..., :-1] = expected[1][..., 1:]
    torch.testing.assert_close(got[1], forward, rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("dtype", TOLERANCES, ids=str)
def test_a_volume_that_stays_keeps_its_bits_outside_its_boxes(dtype):
    batch = volumes((2, 2, 3, 4, 5), dtype) - 0.5
    batch[0, 0, 0, 0, 0] = torch.inf
    before = batch.clone()
    box = (UNIT, (1, 1, 1), (3, 2, 3))
    got = warp_on_gpu(batch, table_of((None, [NO_BOX]), (None, [box])), 1)
    assert torch.equal(got[0], batch[0])
    assert not got[1, :, 1:3, 1:2, 1:3].any()
    got[1, :, 1:3, 1:2, 1:3] = batch[1, :, 1:3, 1:2, 1:3]
    assert torch.equal(got[1], batch[1])
    assert torch.equal(batch, before)


def test_coordinates_of_long_axes_are_exact_to_a_thousandth_of_a_voxel():
    shape = (1, 1, 512, 1, 3)
    ramp = torch.arange(512.0, device=DEVICE).view(1, 1, 512, 1, 1).expand(shape)
    back = np.array([[1, 0, 1e-6, 0], [0, 1, 0, 0], [-1.37, 3.1, 0.731, 61.8234567]])
    table = table_of((back, ()))
    difference = warp_on_gpu(ramp, table, 0).double().cpu() - by_scipy(ramp, table, 0)
    # Where the ramp ends it falls from 511 to 0 within a voxel.
    assert difference.abs().max() < 1e-3 * 512
    assert difference[:, :, :500].abs().max() < 1e-3


def test_what_no_matrix_can_mean_reads_nothing():
    batch = volumes((2, 1, 2, 3, 4))
    back = np.full((3, 4), np.nan)
    got = warp_on_gpu(batch, table_of((back, ()), (UNIT * 1e30, ())), 0)
    assert not got[0].any()
    assert got[1].count_nonzero() == 1  # the voxel at (0, 0, 0)


@pytest.mark.parametrize("dtype", TOLERANCES, ids=str)
def test_the_gradient_is_the_transpose(dtype):
    batch = volumes((3, 2, 3, 4, 5), dtype)
    box = (turned(7, batch.shape, 0.2), (1, 1, 1), (3, 3, 3))
    table = table_of(
        (turned(3, batch.shape), [box]), (None, [box]), (mirrored(batch.shape, (-1, -3)), [NO_BOX])
    )
    weights = volumes((3, 2, 3, 4, 5), dtype).flip(-1) - 0.5
    wanted = batch.clone().requires_grad_()
    out = warp_on_gpu(wanted, table, 1)
    (gradient,) = torch.autograd.grad(out, wanted, weights)
    assert torch.equal(out.detach(), warp_on_gpu(batch, table, 1))
    assert gradient.dtype == dtype
    one = (by_scipy(batch, table, 1) * weights.double().cpu()).sum((1, 2, 3, 4))
    other = (batch.double() * gradient.double()).sum((1, 2, 3, 4)).cpu()
    torch.testing.assert_close(one, other, rtol=0, atol=60 * TOLERANCES[dtype])
    assert torch.equal(gradient[2], weights[2].flip((-1, -3)))


def test_an_order_of_axes_in_memory_makes_no_difference_and_no_volumes_are_none():
    batch = volumes((2, 3, 2, 3, 4))
    table = table_of(*((turned(n, batch.shape), ()) for n in range(2)))
    last = batch.contiguous(memory_format=torch.channels_last_3d)
    assert torch.equal(warp_on_gpu(last, table, 0), warp_on_gpu(batch, table, 0))
    assert warp_on_gpu(batch[:0], table[:0], 0).shape == (0, 3, 2, 3, 4)


def test_the_kernels_are_for_a_gpu_and_for_types_they_know(monkeypatch):
    assert not can_launch(torch.zeros(1, 1, 2, 2, 2))
    fits = torch.zeros(1, 1, 2, 2, 2, device=DEVICE)
    assert can_launch(fits) == (DEVICE.type == "cuda")
    assert not can_launch(fits.double())


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(2, 1, 28, 28, 28), (1, 2, 9, 33, 70)], ids=str)
def test_many_tiles_fit_together(shape):
    batch = volumes(shape)
    box = (turned(9, shape, 0.1), (4, 5, 3), (20, 12, 22))
    table = table_of(*((turned(n, shape, 0.1), [box, NO_BOX]) for n in range(shape[0])))
    got = warp_on_gpu(batch, table, 2).double().cpu()
    torch.testing.assert_close(got, by_scipy(batch, table, 2), rtol=0, atol=2e-5)


@pytest.fixture
def ways(monkeypatch):
    """Let `resample` go one way or the other."""
    return lambda way: monkeypatch.setattr(resampling, "route", lambda _: way)


@pytest.mark.parametrize("dtype", TOLERANCES, ids=str)
def test_resample_takes_the_kernel_and_gives_what_torch_gives(ways, dtype):
    shape = (2, 2, 3, 4, 5)
    batch = volumes(shape, dtype)
    matrix = torch.tensor(np.stack([turned(seed, shape) for seed in (1, 2)]), device=DEVICE)
    ways("launched")
    found = resample(batch, matrix)
    ways("torch")
    assert found.dtype == dtype
    torch.testing.assert_close(found, resample(batch, matrix), rtol=0, atol=2 * TOLERANCES[dtype])


def test_resample_by_the_kernel_has_the_gradient_by_the_volumes(ways):
    shape = (2, 1, 3, 4, 5)
    matrix = torch.tensor(np.stack([turned(seed, shape) for seed in (1, 2)]), device=DEVICE)
    weights, found = volumes(shape), []
    for way in ("launched", "torch"):
        ways(way)
        batch = volumes(shape).requires_grad_()
        found += torch.autograd.grad((resample(batch, matrix) * weights).sum(), batch)
    torch.testing.assert_close(*found, rtol=0, atol=1e-5)


def test_a_matrix_that_needs_a_gradient_is_left_to_torch(ways):
    ways("launched")
    shape = (1, 1, 3, 4, 5)
    matrix = torch.tensor(turned(1, shape)[None], device=DEVICE, requires_grad=True)
    resample(volumes(shape), matrix).sum().backward()
    assert matrix.grad.abs().sum() > 0


def test_some_rows_are_resampled_by_the_kernel_and_the_others_kept(ways):
    ways("launched")
    shape = (3, 1, 3, 4, 5)
    batch, matrix = volumes(shape), torch.tensor(turned(1, shape)[None], device=DEVICE)
    after = resampling.resample_rows(batch, matrix, torch.tensor([1]))
    assert torch.equal(after[[0, 2]], batch[[0, 2]])
    torch.testing.assert_close(after[1:2], resample(batch[1:2], matrix))
