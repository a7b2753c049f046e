"""Kernels compile for a GPU that need not be there; the interpreter lets more pass than that."""

from __future__ import annotations

import pytest

from medpipe_plugins.triton_extra import has_triton

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not has_triton(), reason="needs Triton"),
]

CODE = """
import os
os.environ.pop("TRITON_INTERPRET", None)
os.environ["TRITON_DEFAULT_FP_FUSION"] = "1"
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from medpipe_plugins.blocks3d import depthwise_triton_kernels as depthwise
from medpipe_plugins.blocks3d import normalisation_triton_kernels as normalisation

READ = ("x", "y", "gradient", "to_x")
NUMBERS = ("mean", "variance", "running_mean", "running_variance", "weight", "bias", "parts",
           "to_weight", "to_bias")


def compiled(function, read, **sizes):
    sizes = {name: size for name, size in sizes.items() if name in function.arg_names}
    kinds = {"batches": "*i64"}
    kinds |= dict.fromkeys(("share", "eps", "low", "high"), "fp32")
    kinds |= dict.fromkeys(READ, "*" + read) | dict.fromkeys(NUMBERS, "*fp32")
    kinds |= dict.fromkeys(sizes, "constexpr")
    kinds = {name: kinds.get(name, "i32") for name in function.arg_names}
    source = ASTSource(function, kinds, sizes)
    text = triton.compile(source, target=GPUTarget("cuda", 90, 32)).asm["ptx"]
    assert "ld.global" in text


for read in ("fp32", "bf16", "fp16"):
    for stride in (1, 2):
        sizes = dict(unit=4, kernel=3, stride=stride, planes=2, places=16, across=4, lanes=32)
        compiled(depthwise.convolve, read, **sizes, flipped=stride == 1)
        compiled(depthwise.correlate, read, **sizes, taps=8)
        compiled(depthwise.spread, read, **sizes)
    sizes = dict(unit=4, rows=64, lanes=32)
    for name in ("sum_moments", "finish_moments", "normalise", "sum_gradients",
                 "finish_gradients", "spread_gradients"):
        compiled(getattr(normalisation, name), read, **sizes)
print("compiled")
"""


def test_all_kernels_compile_for_a_gpu(forked, monkeypatch, tmp_path):
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    done = forked(CODE)
    assert done.output == "compiled\n", done.problems
