"""How tests are run: how many examples, in how many threads, and programs in other processes."""

from __future__ import annotations

import gc
import importlib.metadata
import math
import os

import pytest
import torch
from hypothesis import settings


def _version(distribution):
    """Return the first two numbers of what is installed, larger than any where nothing is."""
    try:
        first, second, *_ = importlib.metadata.version(distribution).split(".")
    except importlib.metadata.PackageNotFoundError:
        return (math.inf, math.inf)
    return int(first), int(second)


if "PYTEST_XDIST_WORKER" in os.environ:
    # Several processes share the cores: each computes, and starts others that do, with one thread.
    os.environ["OMP_NUM_THREADS"] = "1"
    torch.set_num_threads(1)

if not torch.cuda.is_available():
    # Kernels for a GPU run in Triton's interpreter, which is chosen when they are first imported.
    os.environ.setdefault("TRITON_INTERPRET", "1")
    if _version("numpy") >= (2, 4) and _version("triton") < (3, 7):
        # That interpreter takes numbers from arrays as NumPy no longer gives them: without it.
        os.environ["MEDPIPE_TRITON"] = "0"


def pytest_configure(config):
    """Draw few examples where slow tests are left out, and many where all is run.

    They are the same ones each time, so that a failure is a change's; `other` draws others.
    """
    settings.register_profile("quick", max_examples=15, deadline=None, derandomize=True)
    settings.register_profile("thorough", max_examples=100, deadline=None, derandomize=True)
    settings.register_profile("other", max_examples=200, deadline=None)
    if not config.getoption("--hypothesis-profile", None):
        quick = "not slow" in (config.option.markexpr or "")
        settings.load_profile("quick" if quick else "thorough")


def pytest_collection_finish(session):
    """Leave what is there for good out of every later search for garbage: six thousand tests."""
    gc.collect()
    gc.freeze()


def pytest_unconfigure(config):
    """Let the interpreter end as it would have."""
    gc.unfreeze()


@pytest.fixture
def forked():
    """Run a program in a fork of a process that has imported torch alone, or what is named.

    For tests of what a process computes or says that begins with nothing of medpipe; where what is
    imported counts, or seconds do, start a process.
    """
    from medpipe_core.testing.processes import run_programs

    def run(code, *, imported=("torch",), hash_seed=77):
        (ended,) = run_programs(code, None, modules={}, hash_seeds=(hash_seed,), imported=imported)
        return ended

    return run
