"""The kernel that changes intensities, against torch in double precision.

Without a GPU it runs in Triton's interpreter, for which all is small here.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from medpipe_plugins.augment3d import Add, Clamp, Contrast, Linear, Smooth, SmoothAxes
from medpipe_plugins.augment3d.gpu_stages import planned
from medpipe_plugins.augment3d.on_gpu import filter_on_gpu
from medpipe_plugins.triton_extra import has_triton

pytestmark = pytest.mark.skipif(not has_triton(), reason="needs Triton")

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
KINDS = ("linear", "clamp", "contrast", "add", "smooth 1", "smooth 2", "smooth 3", "smooth 6")
KINDS += ("smooth-axes 2", "smooth-axes 3")
# Of numbers below 1; the interpreter does not round to bfloat16, but cuts off.
TOLERANCES = {torch.float32: 1e-5, torch.bfloat16: 2**-7, torch.float16: 2**-10}


def volumes(shape, dtype=torch.float32):
    numbers = torch.rand(shape, generator=torch.Generator().manual_seed(1))
    return numbers.to(DEVICE, dtype)


def step(kind, rows, shape, random):
    """Return a step with numbers of its own for each volume."""
    kind, _, kernel = kind.partition(" ")
    count = len(rows)
    if kind == "add":
        values = random.random((count, *shape[1:]), np.float32) - 0.5
        return kind, rows, torch.from_numpy(values).to(DEVICE)
    if kind == "smooth":
        weights = random.random((count, int(kernel)), np.float32)
        return kind, rows, weights / weights.sum(1, keepdims=True)
    if kind == "smooth-axes":
        weights = random.random((count, 3, int(kernel)), np.float32)
        return kind, rows, (weights / weights.sum(2, keepdims=True)).reshape(count, -1)
    numbers = {"linear": 2, "clamp": 0, "contrast": 1}[kind]
    return kind, rows, random.random((count, numbers), np.float32) * 2 - 0.5


def in_double(volumes, steps):
    """Return what is to come out, in float64."""
    out = volumes.double().cpu() * 1
    for kind, rows, numbers in steps:
        if kind != "noise":
            out[rows] = change(kind, torch.as_tensor(numbers).double().cpu())(out[rows])
    return out


def change(kind, numbers):
    if kind == "clamp":
        return Clamp(len(numbers))
    if kind == "linear":
        return Linear(*numbers.T)
    if kind == "smooth-axes":
        return SmoothAxes(numbers.reshape(len(numbers), 3, -1))
    return {"contrast": Contrast, "add": Add, "smooth": Smooth}[kind](
        numbers[:, 0] if kind == "contrast" else numbers
    )


def noise(shape, seeds, std=1.0, dtype=torch.float32):
    """Return noise alone."""
    rows = torch.arange(shape[0])
    none = torch.zeros(shape, dtype=dtype, device=DEVICE)
    return filter_on_gpu(none, [("noise", rows, (std, np.array(seeds)))]).cpu()


@pytest.mark.parametrize("shape", [(2, 2, 3, 4, 5), (2, 1, 1, 5, 3), (1, 1, 4, 1, 1)], ids=str)
@pytest.mark.parametrize("kind", KINDS)
def test_a_step_is_what_torch_makes_of_it(kind, shape):
    batch = volumes(shape)
    before = batch.clone()
    steps = [step(kind, torch.arange(shape[0]), shape, np.random.default_rng(3))]
    got = filter_on_gpu(batch, steps)
    torch.testing.assert_close(got.double().cpu(), in_double(batch, steps), rtol=0, atol=1e-6)
    assert torch.equal(batch, before)


@given(
    st.integers(0, 2**32 - 1),
    st.lists(st.tuples(st.sampled_from(KINDS), st.integers(1, 7)), max_size=6),
    st.sampled_from(list(TOLERANCES)),
)
def test_a_chain_on_some_volumes_each_is_taken_in_order(seed, chain, dtype):
    random = np.random.default_rng(seed)
    batch = volumes((3, 1, 3, 2, 5), dtype)
    steps = []
    for kind, chosen in chain:
        rows = torch.tensor([n for n in range(3) if chosen >> n & 1])
        steps.append(step(kind, rows, batch.shape, random))
    got = filter_on_gpu(batch, steps)
    assert got.dtype == dtype
    expected = in_double(batch, steps)
    tolerance = TOLERANCES[dtype] * max(1.0, float(expected.abs().max()))
    torch.testing.assert_close(got.double().cpu(), expected, rtol=0, atol=tolerance)
    untouched = [n for n in range(3) if not any(chosen >> n & 1 for _, chosen in chain)]
    assert torch.equal(got[untouched], batch[untouched])


def test_half_precision_is_rounded_once():
    batch = volumes((2, 1, 3, 4, 5), torch.float16)
    rows, random = torch.arange(2), np.random.default_rng(0)
    steps = [step(kind, rows, batch.shape, random) for kind in ("smooth 3", "linear", "contrast")]
    wide = filter_on_gpu(batch.float(), steps)
    assert torch.equal(filter_on_gpu(batch, steps), wide.half())


def test_what_is_no_number_stays_none_and_stays_in_its_volume():
    batch = volumes((3, 1, 2, 3, 4))
    batch[1, 0, 1, 1, 1] = torch.nan
    ones = np.ones((3, 1), np.float32)
    got = filter_on_gpu(
        batch, [("clamp", torch.arange(3), ones[:, :0]), ("contrast", torch.arange(3), ones)]
    )
    assert got[1].isnan().all()
    torch.testing.assert_close(got[::2], batch[::2], rtol=0, atol=1e-6)


def test_noise_is_standard_normal_and_independent_of_voxel_and_seed():
    got = noise((3, 2, 9, 11, 13), [5, 5 + 2**32, 6]).double().flatten(1)
    count = got.shape[1]
    assert got.mean(1).abs().max() < 4 / count**0.5
    assert (got.std(1) - 1).abs().max() < 4 / (2 * count) ** 0.5
    assert (got**4).mean() == pytest.approx(3, abs=0.4)
    correlated = torch.corrcoef(torch.cat((got, got.roll(1, 1), got.roll(2, 1), got.roll(4, 1))))
    assert (correlated - torch.eye(12)).abs().max() < 4.5 / count**0.5
    assert len(got.unique()) > 0.99 * got.numel()


def test_noise_depends_on_its_seed_and_the_place_alone():
    one = noise((2, 1, 2, 3, 5), [-3, 2**62 + 1], np.array([0.5, 2.0]))
    other = noise((3, 1, 2, 3, 5), [7, -3, 2**62 + 1], 0.5)
    assert torch.equal(one[0], other[1])
    torch.testing.assert_close(one[1], other[2] * 4)
    assert not torch.equal(other[0], other[1])
    torch.testing.assert_close(noise((1, 1, 2, 3, 5), [-3], 0.5, torch.float16)[0], other[1].half())


def test_one_of_many_volumes_gets_noise():
    batch = volumes((3, 1, 2, 3, 4))
    got = filter_on_gpu(batch, [("noise", torch.tensor([1]), (0.5, torch.tensor([11])))])
    assert torch.equal(got[::2], batch[::2])
    expected = batch[1].cpu() + noise((1, 1, 2, 3, 4), [11], 0.5)[0]
    torch.testing.assert_close(got[1].cpu(), expected)


@pytest.mark.parametrize("order", ["nbij", "jbni", "bjin", "ijnb"])
def test_the_four_operations_of_the_paper_take_four_launches_at_most(order):
    rows, random = torch.arange(2), np.random.default_rng(0)
    steps = {
        "n": [("noise", rows, (0.05, np.arange(2)))],
        "b": [step("smooth 4", rows, (2,), random)],
        "i": [step("linear", rows, (2,), random)],
        "j": [step(kind, rows, (2,), random) for kind in ("linear", "clamp", "contrast", "clamp")],
    }
    assert len(planned([each for letter in order for each in steps[letter]])) <= 4


def test_a_gradient_goes_through_torch_and_the_noise_is_the_same():
    batch = volumes((3, 1, 3, 4, 5))
    some, random = torch.tensor([0, 2]), np.random.default_rng(4)
    chain = ("clamp", "add", "smooth 3", "linear", "contrast")
    steps = [step(kind, some, batch.shape, random) for kind in chain]
    steps.insert(3, ("noise", some, (0.1, np.array([3, 4]))))
    wanted = batch.clone().requires_grad_()
    out = filter_on_gpu(wanted, steps)
    torch.testing.assert_close(out.detach(), filter_on_gpu(batch, steps), rtol=0, atol=1e-6)
    (gradient,) = torch.autograd.grad((out * batch.flip(-1)).sum(), wanted)
    double = batch.double().cpu().requires_grad_()
    product = in_double(double, steps) * batch.flip(-1).cpu()
    (expected,) = torch.autograd.grad(product.sum(), double)
    torch.testing.assert_close(gradient.double().cpu(), expected, rtol=0, atol=1e-5)


def test_no_step_and_no_volume_change_nothing():
    batch = volumes((2, 1, 2, 3, 4))
    got = filter_on_gpu(batch, [])
    assert torch.equal(got, batch)
    assert got.data_ptr() != batch.data_ptr()
    none = torch.arange(0)
    clamp = ("clamp", none, np.empty((0, 0), np.float32))
    assert filter_on_gpu(batch[:0], [clamp]).shape == (0, 1, 2, 3, 4)
    assert torch.equal(filter_on_gpu(batch, [clamp]), batch)


@pytest.mark.slow
def test_many_programs_share_a_volume():
    shape = (2, 1, 6, 11, 19)
    batch, random, rows = volumes(shape), np.random.default_rng(6), torch.arange(2)
    chain = ("smooth 4", "linear", "contrast", "clamp")
    steps = [step(kind, rows, shape, random) for kind in chain]
    got = filter_on_gpu(batch, steps)
    torch.testing.assert_close(got.double().cpu(), in_double(batch, steps), rtol=0, atol=1e-5)
