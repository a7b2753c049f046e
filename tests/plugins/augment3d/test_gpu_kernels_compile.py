"""The kernels compile for a GPU, which need not be there: the interpreter takes more than it."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from medpipe_plugins.triton_extra import has_triton

PROGRAM = """
import sys
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from medpipe_plugins.augment3d import gpu_filter, gpu_warp

if tuple(map(int, triton.__version__.split(".")[:2])) < (3, 3):
    sys.exit("its compiler is called otherwise")
TARGET = GPUTarget("cuda", int(sys.argv[1]), 32)


def build(kernel, element, **constants):
    pointers = {"volumes": element, "out": element, "gradient": element, "table": "fp32"}
    pointers |= {"values": "fp32", "sums": "fp32"}
    if kernel is gpu_filter.stage:
        pointers["table"] = "i32"
    if kernel is gpu_warp.spread:
        pointers["out"] = "fp32"
    names = kernel.arg_names
    types = {name: "*" + pointers[name] if name in pointers else "i32" for name in names}
    types |= {name: "constexpr" for name in constants}
    places = {(names.index(name),): value for name, value in constants.items()}
    source = ASTSource(kernel, types, places)
    assert triton.compile(source, target=TARGET).asm["cubin"]


for element in ("fp32", "bf16", "fp16"):
    for kernel in (gpu_warp.resample, gpu_warp.spread):
        build(kernel, element, block_d=2, block_h=4, block_w=32)
    for unit in (1, 4):
        build(gpu_filter.stage, element, unit=unit, smooth=0, parts=1024, block=512)
build(gpu_warp.resample, "fp32", block_d=64, block_h=4, block_w=1)
for smooth in (-1, 1, 3):
    build(gpu_filter.stage, "fp32", unit=4, smooth=smooth, parts=1024, block=256)
print("compiled")
"""


@pytest.mark.slow
@pytest.mark.skipif(not has_triton(), reason="needs Triton")
@pytest.mark.parametrize("capability", [80, 90])
def test_the_kernels_compile_for_a_gpu(capability, tmp_path):
    environment = {k: v for k, v in os.environ.items() if k != "TRITON_INTERPRET"}
    environment["TRITON_CACHE_DIR"] = str(tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(capability)],
        env=environment,
        capture_output=True,
        text=True,
    )
    if "called otherwise" in done.stderr:
        pytest.skip("this version's compiler is called otherwise")
    assert done.stdout == "compiled\n", done.stderr
