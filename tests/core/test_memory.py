from __future__ import annotations

import numpy as np
import pytest
import torch

from medpipe_core.memory import out_of_memory


def raised(call):
    try:
        call()
    except BaseException as error:
        return error
    raise AssertionError("nothing was raised")


def wrapped():
    try:
        np.empty(2**55)
    except MemoryError as error:
        raise ValueError("the kernel is too large") from error


def test_every_way_of_being_out_of_memory_counts():
    for call in (
        lambda: [0] * 2**60,
        lambda: np.empty(2**55),
        lambda: bytearray(2**62),
        lambda: torch.empty(2**60, dtype=torch.uint8),
        wrapped,
    ):
        assert out_of_memory(raised(call)), raised(call)


@pytest.mark.parametrize(
    "text",
    [
        "CUDA out of memory. Tried to allocate 2.00 GiB",
        "[enforce fail at alloc_cpu.cpp:124] err == 0. DefaultCPUAllocator: can't allocate memory",
        "DefaultCPUAllocator: not enough memory: you tried to allocate 8589934592 bytes.",
        "std::bad_alloc",
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
        "[Errno 12] Cannot allocate memory",
    ],
)
def test_the_texts_of_torch_and_its_libraries_count(text):
    assert out_of_memory(RuntimeError(text))


def test_other_errors_do_not_count_even_where_memory_had_run_out_before():
    def later():
        try:
            raise MemoryError
        except MemoryError:
            raise KeyError("x")  # noqa: B904

    for error in (RuntimeError("shape mismatch"), KeyboardInterrupt(), raised(later)):
        assert not out_of_memory(error)
