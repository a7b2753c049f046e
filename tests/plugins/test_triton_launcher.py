"""What was compiled for a kernel is launched again where nothing differs that it depends on."""

from __future__ import annotations

import pytest
import torch

from medpipe_plugins import triton_launcher
from medpipe_plugins.triton_launcher import Launcher, launcher


class Compiled:
    """Stands in for what Triton compiles."""

    def __init__(self, told):
        self.told = told

    def __getitem__(self, grid):
        return lambda *arguments: self.told.append(("again", grid, len(arguments)))


class Kernel:
    """Stands in for a kernel, which compiles itself where it is launched."""

    def __init__(self):
        self.told = []

    def __getitem__(self, grid):
        def run(*arguments, **options):
            self.told.append(("first", grid, len(arguments), options["num_warps"]))
            return Compiled(self.told)

        return run


@pytest.fixture
def kernel(monkeypatch):
    monkeypatch.setattr(triton_launcher, "_is_known", lambda found: True)
    return Kernel()


def aligned(*shape, dtype=torch.float32):
    values = torch.zeros(*shape, dtype=dtype)
    assert values.data_ptr() % 16 == 0
    return values


def test_the_second_launch_takes_what_the_first_compiled(kernel):
    launch, values = Launcher(kernel), aligned(8)
    launch((2, 1, 1), (values, values), (5, 0.5), (8, True))
    launch((3, 1, 1), (values, aligned(4)), (7, 0.25), (8, True))
    assert kernel.told == [("first", (2, 1, 1), 6, 4), ("again", (3, 1, 1), 6)]


@pytest.mark.parametrize(
    ("tensors", "constants", "warps"),
    [
        ((aligned(8)[1:], aligned(8)), (8, 4), 4),
        ((aligned(8), aligned(8, dtype=torch.bfloat16)), (8, 4), 4),
        ((aligned(8), aligned(8)), (8, 2), 4),
        ((aligned(8), aligned(8)), (8, 4), 2),
    ],
    ids=["alignment", "type", "constant", "warps"],
)
def test_what_it_depends_on_is_compiled_anew(kernel, tensors, constants, warps):
    launch = Launcher(kernel)
    launch((1, 1, 1), (aligned(8), aligned(8)), (5,), (8, 4), 4)
    launch((1, 1, 1), tensors, (5,), constants, warps)
    assert [kind for kind, *_ in kernel.told] == ["first", "first"]


def test_where_it_is_unknown_what_was_compiled_the_kernel_is_asked_each_time(kernel, monkeypatch):
    monkeypatch.setattr(triton_launcher, "_is_known", lambda found: False)
    launch = Launcher(kernel)
    for _ in range(2):
        launch((1, 1, 1), (aligned(8),), (5,), (8,))
    assert [kind for kind, *_ in kernel.told] == ["first", "first"]


def test_a_kernel_has_one_launcher():
    assert launcher("math", "sqrt") is launcher("math", "sqrt")
    assert launcher("math", "sqrt") is not launcher("math", "cos")
