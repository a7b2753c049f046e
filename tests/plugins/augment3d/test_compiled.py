"""The compiled loops do what torch's operators do."""

from __future__ import annotations

import pytest
import torch

from medpipe_core import Policy
from medpipe_core.supernet import PolicyLayer
from medpipe_plugins.augment3d import (
    Add,
    Affine,
    Blur,
    Clamp,
    ColorJitter,
    Contrast,
    DRotation,
    Filter,
    HRotation,
    Invert,
    Linear,
    Noise,
    Smooth,
    SmoothAxes,
    VRotation,
    compiled,
    maps,
    resample,
)
from medpipe_plugins.augment3d.resampling import resample_rows
from medpipe_plugins.augment3d.warp import Warp

SHAPES = [(3, 1, 9, 10, 11), (3, 2, 1, 8, 7), (3, 2, 6, 1, 5), (3, 1, 4, 6, 1), (3, 1, 2, 70, 90)]


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def volumes(*shape):
    return torch.rand(*shape, generator=generator(1))


def matrices(volumes):
    """Return turns and scalings about all axes, and a map that is no rotation."""
    warp, count = Warp(volumes), len(volumes)
    for operation, low, high in (
        (VRotation(), -180, 180),
        (HRotation(), -40, 40),
        (DRotation(), -40, 40),
        (Affine(), 0.3, 2.5),
    ):
        amount = low + (high - low) * torch.rand(count, generator=generator(2))
        warp.move(torch.arange(count), operation.matrix(volumes, amount))
    back = warp._moves.composed((0, 0, 0), warp._centre()).back
    matrix = torch.from_numpy(maps.inverse(back)).float()
    return matrix + 0.1 * (torch.rand(count, 3, 4, generator=generator(3)) - 0.5)


@pytest.fixture
def by_torch(monkeypatch):
    """Return a function that runs another without the compiled loops."""

    def run(function, *arguments):
        with monkeypatch.context() as patch:
            for module in ("filtering", "resampling", "warp"):
                patch.setattr(f"medpipe_plugins.augment3d.{module}.route", lambda _: "torch")
            return function(*arguments)

    return run


@pytest.fixture(autouse=True)
def _needs_numba():
    pytest.importorskip("numba")


@pytest.mark.parametrize("shape", SHAPES)
def test_resampling_agrees_with_torch(shape, by_torch):
    batch = volumes(*shape)
    matrix = matrices(batch)
    assert compiled.can_compile(batch)
    found, expected = resample(batch, matrix), by_torch(resample, batch, matrix)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=5e-5)


@pytest.mark.parametrize("offset", [0.0, 0.5, -1.0, 1.0, 3.0, 40.0, 1e6, 1e30])
def test_shifts_agree_with_torch_also_beyond_the_border(offset, by_torch):
    batch = volumes(1, 1, 5, 6, 7)
    for axis in range(3):
        matrix = torch.eye(3, 4)[None].clone()
        matrix[0, axis, 3] = offset
        expected = by_torch(resample, batch, matrix)
        torch.testing.assert_close(resample(batch, matrix), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("operation", [VRotation(), HRotation(), DRotation()])
@pytest.mark.parametrize("mirrored", [(), (-1,), (-2,), (-3,), (-1, -3)])
def test_turns_about_one_axis_agree_with_torch(operation, mirrored, by_torch):
    batch = volumes(4, 2, 8, 9, 10)

    def turned():
        warp, rows = Warp(batch), torch.arange(4)
        warp.move(rows, operation.matrix(batch, torch.tensor([0.0, -15.0, 30.0, 170.0])))
        for axis in mirrored:
            warp.mirror(rows, axis)
        return warp.result()

    torch.testing.assert_close(turned(), by_torch(turned), rtol=1e-4, atol=2e-5)


def test_other_rows_keep_their_bits_and_the_input_its_own():
    batch = volumes(5, 2, 6, 7, 8)
    before, rows = batch.clone(), torch.tensor([1, 4])
    after = resample_rows(batch, matrices(batch)[rows], rows)
    assert torch.equal(after[[0, 2, 3]], before[[0, 2, 3]])
    assert torch.equal(after[rows], resample(batch, matrices(batch))[rows])
    assert torch.equal(batch, before)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_gradient_by_the_volumes_agrees_with_torch(shape, by_torch):
    batch, rows = volumes(*shape), torch.tensor([0, 2])
    matrix = matrices(batch)[rows]
    weights = torch.rand(batch.shape, generator=generator(4))

    def gradient():
        leaf = batch.clone().requires_grad_()
        return torch.autograd.grad((resample_rows(leaf, matrix, rows) * weights).sum(), leaf)[0]

    torch.testing.assert_close(gradient(), by_torch(gradient), rtol=1e-4, atol=2e-4)


def test_the_number_of_threads_changes_no_bit():
    batch = volumes(2, 1, 40, 80, 90)
    matrix = matrices(batch)
    threads = torch.get_num_threads()
    try:
        results = []
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            leaf = batch.clone().requires_grad_()
            result = resample(leaf, matrix)
            results.append((result.detach(), *torch.autograd.grad(result.square().sum(), leaf)))
    finally:
        torch.set_num_threads(threads)
    for other in results[1:]:
        assert all(map(torch.equal, results[0], other))


def test_a_matrix_of_no_numbers_is_left_to_torch():
    batch = volumes(1, 1, 4, 5, 6)
    matrix = torch.eye(3, 4)[None].clone()
    matrix[0, 0, 3] = torch.nan
    assert resample(batch, matrix).shape == batch.shape


@pytest.mark.parametrize("shape", SHAPES)
def test_erasing_agrees_with_torch(shape, by_torch):
    batch = volumes(*shape)
    size = torch.tensor(shape[:1:-1], dtype=torch.float32)
    start = (torch.rand(2, 3, generator=generator(5)) * size).floor()
    stop = torch.minimum(start + 1 + (size / 3).floor(), size)

    def erased():
        warp, rows = Warp(batch), torch.tensor([0, 2])
        there = matrices(batch)[rows]
        warp.move(rows, maps.inverse(there))  # and back, so that the boxes alone are moved
        warp.erase(rows, start, stop)
        warp.move(rows, there)
        return warp.result()

    found = erased()
    torch.testing.assert_close(found, by_torch(erased), rtol=1e-4, atol=1e-5)
    assert torch.equal(found[1], batch[1])


def test_the_inverse_is_that_of_the_square_matrix():
    matrix = matrices(volumes(3, 1, 5, 6, 7)).double()
    last = torch.tensor([0, 0, 0, 1.0]).double().expand(3, 1, 4)
    expected = torch.linalg.inv(torch.cat((matrix, last), 1))[:, :3]
    torch.testing.assert_close(maps.inverse(matrix), expected)
    torch.testing.assert_close(torch.from_numpy(maps.inverse(matrix.numpy())), expected)


def steps_of(batch, count):
    """Return one step of each kind, and smoothing with each length of kernel."""

    def numbers(*shape):
        return torch.rand(shape, generator=generator(6)) + 0.5

    kernels = (numbers(count, length).softmax(1) for length in (1, 2, 3, 4, 7))
    return [
        Linear(-numbers(count), numbers(count)),
        Clamp(count),
        Add(numbers(count, *batch.shape[1:])),
        Contrast(numbers(count)),
        *map(Smooth, kernels),
        *(SmoothAxes(numbers(count, 3, length).softmax(2)) for length in (2, 3)),
    ]


@pytest.mark.parametrize("shape", SHAPES)
def test_filtering_agrees_with_torch(shape, by_torch):
    batch, rows = 3 * volumes(*shape) - 1, torch.tensor([0, 2])
    batch[1, 0, 0, 0, 0] = -0.0  # a sum with 0 would lose the sign

    def filtered(steps):
        chain = Filter(batch)
        chain.then(rows, steps)
        return chain.result()

    steps = steps_of(batch, 2)
    for some in [*([step] for step in steps), steps, steps[::-1]]:
        found, expected = filtered(some), by_torch(filtered, some)
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
        assert torch.equal(found[1].view(torch.int32), batch[1].view(torch.int32))


def test_filters_of_different_volumes_are_one_visit_and_leave_the_input(monkeypatch):
    visits = []
    counted = compiled.filter_compiled
    monkeypatch.setattr(
        "medpipe_plugins.augment3d.filtering.filter_compiled",
        lambda *arguments: visits.append(1) or counted(*arguments),
    )
    operations = ((Blur(), {"kernel": 3}), (Invert(), {"max_value": 0.5}),
                  (Noise(), {}), (ColorJitter(), {"brightness": 0.5, "contrast": 0.8}))  # fmt: skip
    policy = Policy(PolicyLayer(str(op), op, 0.5, values, ()) for op, values in operations)
    batch = volumes(12, 2, 6, 7, 8)
    before = batch.clone()
    fused, apart = (run(batch, generator(9)) for run in (policy, policy.layer_by_layer))
    torch.testing.assert_close(fused, apart, rtol=1e-5, atol=1e-6)
    assert visits == [1]
    assert torch.equal(batch, before)
    untouched = (apart == before).flatten(1).all(1)
    assert 0 < untouched.sum() < 12
    assert torch.equal(fused[untouched], before[untouched])


def test_without_numba_filters_leave_the_input_too(by_torch):
    batch = volumes(4, 1, 4, 5, 6)
    before = batch.clone()

    def filtered():
        chain = Filter(batch)
        for rows in (torch.tensor([0, 2]), torch.tensor([2, 3]), torch.arange(4)):
            count = len(rows)
            chain.then(rows, [Linear(2 * torch.ones(count), torch.zeros(count))])
        return chain.result()

    factors = torch.tensor([4.0, 2.0, 8.0, 4.0]).view(-1, 1, 1, 1, 1)
    assert torch.equal(by_torch(filtered), factors * before)
    assert torch.equal(filtered(), factors * before)
    assert torch.equal(batch, before)


def test_filters_keep_what_is_no_number():
    batch = volumes(1, 1, 4, 5, 6)
    batch[0, 0, 0, 0, 0] = torch.nan
    chain = Filter(batch)
    chain.then(torch.tensor([0]), [Linear(torch.ones(1), torch.zeros(1)), Clamp(1)])
    after = chain.result()
    assert after.isnan().sum() == 1
    assert after[0, 0, 0, 0, 0].isnan()


def test_the_number_of_threads_changes_no_bit_of_a_filter():
    batch, threads = volumes(5, 1, 40, 50, 60), torch.get_num_threads()
    try:
        results = []
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            chain = Filter(batch)
            chain.then(torch.arange(5), steps_of(batch, 5))
            results.append(chain.result())
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(results[0], other) for other in results[1:])


def test_a_volume_that_needs_a_gradient_is_filtered_by_torch():
    batch = volumes(2, 1, 4, 5, 6).requires_grad_()
    chain = Filter(batch)
    chain.then(torch.tensor([1]), [Linear(torch.tensor([3.0]), torch.zeros(1))])
    (gradient,) = torch.autograd.grad(chain.result().sum(), batch)
    assert torch.equal(gradient[0], torch.ones_like(gradient[0]))
    assert torch.equal(gradient[1], torch.full_like(gradient[1], 3))
