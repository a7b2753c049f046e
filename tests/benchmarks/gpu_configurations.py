"""Tilings of the depthwise convolution's kernels on a GPU: checked, timed, and the best of each.

    python tests/benchmarks/gpu_configurations.py [--out found.json] [--seconds 70] [--workers 12]

Then batch normalisation with ReLU6, the point-wise product and a whole MBConv3D, ours beside the
plain modules. Each candidate is compiled in a process of its own (they share Triton's folder of
what is compiled), compared with float64 on a few channels, and timed with CUDA events beside
torch's operator with channels last (tl) and channels first (tf). One line for each case:
milliseconds, the best first; a tiling reads planes/places/lanes/warps[/slices], `*` marks the
table's. A candidate that fails is told and left out; what does not fit the time is left out too,
the last cases first.
"""

from __future__ import annotations

import argparse
import copy
import functools
import itertools
import json
import multiprocessing
import statistics
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.grad import conv3d_input, conv3d_weight

from medpipe_plugins.blocks3d import BatchNormReLU6, DepthwiseConv3d, MBConv3D
from medpipe_plugins.blocks3d import depthwise_triton as kernels
from medpipe_plugins.blocks3d.depthwise_triton import Tiling, laid_out
from medpipe_plugins.blocks3d.pointwise import PointwiseConv3d

SHAPES = ((8, 96, 28), (8, 192, 14))
TYPES = {"f32": torch.float32, "bf16": torch.bfloat16}
TOLERANCE = {"f32": 1e-4, "bf16": 2e-2}
CHECKED = 4
FORWARD = (
    (4, 32, 32, 4), (7, 16, 32, 4), (7, 32, 32, 4), (7, 16, 32, 2), (4, 16, 32, 2), (4, 64, 32, 4),
    (14, 16, 32, 4), (7, 32, 16, 2),
)  # fmt: skip
STRIDED = ((4, 32, 32, 4), (2, 32, 32, 4), (4, 16, 32, 4))
WEIGHT = {
    3: (
        (7, 4, 32, 2, 256), (7, 4, 32, 1, 448), (14, 4, 32, 2, 256), (7, 16, 32, 4, 256),
        (7, 4, 32, 1, 128), (4, 4, 32, 1, 256),
    ),
    5: (
        (7, 8, 32, 4, 64), (7, 8, 32, 2, 128), (14, 8, 32, 4, 64), (7, 16, 32, 4, 64),
        (7, 16, 32, 4, 128), (4, 8, 32, 2, 64),
    ),
    7: (
        (7, 8, 32, 4, 64), (7, 8, 32, 2, 128), (14, 8, 32, 4, 64), (7, 16, 32, 4, 64),
        (4, 8, 32, 2, 64), (4, 8, 32, 4, 64),
    ),
}  # fmt: skip
WEIGHT_STRIDED = ((4, 8, 32, 4, 64), (4, 16, 32, 4, 64))


def candidates(part: str, kernel: int, stride: int, dtype: torch.dtype) -> list[Tiling]:
    """Return the table's tiling, then the others."""
    if part == "weight":
        sizes = WEIGHT[kernel] if stride == 1 else WEIGHT_STRIDED
    else:
        sizes = FORWARD if stride == 1 else STRIDED
    table = kernels.tiling_of(part, kernel, stride, dtype)
    return list(dict.fromkeys([table, *(Tiling(*size) for size in sizes)]))


def cases() -> list[tuple[str, int, int, str]]:
    """Return pass, kernel, stride and type: the most important first.

    At stride 1 the gradient with respect to the input is the forward pass with another flag.
    """
    first = [(p, k, 1, t) for k in (7, 5, 3) for p in ("forward", "weight") for t in TYPES]
    strided = [(p, k, 2, "f32") for k in (7, 5, 3) for p in ("forward", "input", "weight")]
    return first + strided


@functools.cache
def tensors(shape: tuple[int, int, int], kernel: int, stride: int, name: str) -> list[torch.Tensor]:
    """Return input, weight and the gradient with respect to the output, channels last."""
    batch, channels, edge = shape
    generator = torch.Generator().manual_seed(0)
    out = (edge - 1) // stride + 1
    shapes = ((batch, channels, *[edge] * 3), (channels, 1, *[kernel] * 3),
              (batch, channels, *[out] * 3))  # fmt: skip
    found = [torch.randn(s, generator=generator).to(DEVICE, TYPES[name]) for s in shapes]
    return [one.contiguous(memory_format=torch.channels_last_3d) if one.shape[1] > 1 else one
            for one in found]  # fmt: skip


def ours(part: str, kernel: int, stride: int, tiling: Tiling, x, weight, gradient):
    if part == "forward":
        return kernels.convolve(x, laid_out(weight, x.dtype), kernel, stride, tiling=tiling)
    if part == "input":
        numbers = laid_out(weight, x.dtype)
        return kernels.input_gradient(gradient, numbers, kernel, stride, x.shape, tiling=tiling)
    return kernels.weight_gradient(x, gradient, kernel, stride, tiling=tiling)


def torchs(part: str, kernel: int, stride: int, x, weight, gradient):
    moves = (stride, kernel // 2, 1, x.shape[1])
    if part == "forward":
        return F.conv3d(x, weight, None, *moves)
    if part == "input":
        return conv3d_input(x.shape, weight, gradient, *moves)
    return conv3d_weight(x, weight.shape, gradient, *moves)


@functools.cache
def exact(part: str, kernel: int, stride: int, shape: tuple[int, int, int], name: str):
    x, weight, gradient = tensors(shape, kernel, stride, name)
    few = (x[:2, :CHECKED], weight[:CHECKED], gradient[:2, :CHECKED])
    return torchs(part, kernel, stride, *(one.double().contiguous() for one in few))


def error(part: str, kernel: int, stride: int, tiling: Tiling, name: str) -> float:
    """Return the largest difference from float64, over the largest value."""
    x, weight, gradient = tensors(SHAPES[0], kernel, stride, name)
    true = exact(part, kernel, stride, SHAPES[0], name)
    found = ours(part, kernel, stride, tiling, x[:2], weight, gradient[:2])
    found = found[:CHECKED] if part == "weight" else found[:, :CHECKED]
    return float((found.double() - true).abs().max() / true.abs().max())


def milliseconds(work, rounds: int = 7) -> float:
    """Return the median of a pass by CUDA events; few rounds where it is slow."""
    work()
    marks = [torch.cuda.Event(enable_timing=True) for _ in range(rounds + 1)]
    marks[0].record()
    for mark in marks[1:]:
        work()
        mark.record()
    torch.cuda.synchronize()
    return statistics.median(a.elapsed_time(b) for a, b in itertools.pairwise(marks))


def compiled(case: tuple[str, int, int, str], tiling: Tiling) -> str:
    """Compile by running once on a small volume; say what went wrong, if anything."""
    part, kernel, stride, name = case
    try:
        small = tensors((1, 96, 7), kernel, stride, name)
        ours(part, kernel, stride, tiling, *small)
        torch.cuda.synchronize()
    except Exception as problem:  # whatever the compiler says
        return f"{type(problem).__name__}: {' '.join(str(problem).split())[:80]}"
    return ""


def compile_all(words: argparse.Namespace, until: float) -> dict[tuple, str]:
    """Compile every candidate; return what each came to, those that were not reached left out."""
    jobs = [(case, tiling) for case in cases() for tiling in candidates(*case[:3], TYPES[case[3]])]
    done: dict[tuple, str] = {}
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(words.workers, mp_context=context)
    futures = {pool.submit(compiled, *job): job for job in jobs}
    try:
        for future in as_completed(futures, timeout=max(until - time.monotonic(), 1)):
            problem = future.exception()
            done[futures[future]] = future.result() if problem is None else repr(problem)[:80]
    except TimeoutError:
        pass
    pool.shutdown(wait=False, cancel_futures=True)
    return done


def measured(case, tiling: Tiling) -> dict:
    part, kernel, stride, name = case
    off = error(part, kernel, stride, tiling, name)
    if not off <= TOLERANCE[name]:
        raise ValueError(f"wrong by {off:.1e}")
    times = [
        milliseconds(lambda at=shape: ours(part, kernel, stride, tiling, *tensors(at, *case[1:])))
        for shape in SHAPES
    ]
    return {"tiling": list(tiling), "error": off, "ms": times}


def rival(case, shape, layout) -> float:
    part, kernel, stride, _ = case
    x, weight, gradient = tensors(shape, *case[1:])
    x, gradient = (one.contiguous(memory_format=layout) for one in (x, gradient))
    return milliseconds(lambda: torchs(part, kernel, stride, x, weight, gradient), rounds=3)


def short(tiling: list[int], part: str) -> str:
    return "/".join(map(str, tiling if part == "weight" else tiling[:4]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--seconds", type=float, default=70)
    parser.add_argument("--workers", type=int, default=12)
    words = parser.parse_args()
    began = time.monotonic()
    state = compile_all(words, began + words.seconds * 0.65)
    name = torch.cuda.get_device_name() if DEVICE == "cuda" else "CPU"
    print(f"{name}, torch {torch.__version__}: {len(state)} compiled in "
          f"{time.monotonic() - began:.0f} s")  # fmt: skip
    rows = []
    for case in cases():
        if time.monotonic() - began > words.seconds:
            print("out of time before", case)
            break
        part, kernel, stride, name = case
        wanted = candidates(part, kernel, stride, TYPES[name])
        table, good, failed = wanted[0], [], {}
        for tiling in wanted:
            why = state.get((case, tiling), "not compiled in time")
            try:
                if why:
                    raise ValueError(why)
                good.append(measured(case, tiling))
            except Exception as problem:  # one that fails must not end the others
                failed[short(list(tiling), part)] = f"{problem}"[:80]
        row = {"case": case, "candidates": good, "failed": failed}
        # torch's times of both types are alike; those at 14³ are not asked for at all.
        if time.monotonic() - began < words.seconds:
            row["torch_ms"] = {
                "tl": rival(case, SHAPES[0], torch.channels_last_3d),
                "tf": rival(case, SHAPES[0], torch.contiguous_format),
            }
        rows.append(row)
        tell(row, table)
    layers()
    launching()
    if words.out:
        words.out.write_text(json.dumps(rows, indent=1))
    print(f"{time.monotonic() - began:.0f} s")


def passes(layer: nn.Module, x: torch.Tensor, gradient: torch.Tensor, name: str) -> list:
    """Return output and gradients, under autocast where the type is not float32."""
    x = x.detach().requires_grad_()
    with torch.autocast(DEVICE, TYPES[name], enabled=name != "f32"):
        output = layer(x)
    return [output.detach(), *torch.autograd.grad(
        output, [x, *layer.parameters()], gradient.to(output.dtype)
    )]  # fmt: skip


def layers() -> None:
    """Print forward and backward passes of whole layers, ours and torch's, and how far apart."""
    last = torch.channels_last_3d
    for name, (batch, channels, edge) in itertools.product(TYPES, SHAPES):
        x, _, gradient = tensors((batch, channels, edge), 3, 1, "f32")
        made = {
            "norm+relu6": (
                BatchNormReLU6(channels), nn.Sequential(nn.BatchNorm3d(channels), nn.ReLU6())
            ),
            "pointwise": (
                PointwiseConv3d(channels, channels), nn.Conv3d(channels, channels, 1, bias=False)
            ),
            "mbconv k3 e3": (MBConv3D(channels, kernel=3, expansion=3), None),
        }  # fmt: skip
        for title, (mine, plain) in made.items():
            try:
                if plain is None:
                    plain = copy.deepcopy(mine)
                    for module in plain.modules():
                        if isinstance(module, nn.Conv3d | nn.Sequential):
                            module.__class__ = (
                                nn.Conv3d if isinstance(module, nn.Conv3d) else nn.Sequential
                            )
                plain.load_state_dict(mine.state_dict())
                mine, plain = (one.to(DEVICE) for one in (mine, plain))
                texts, found = [], []
                for layer, order in ((mine, last), (plain, last), (plain, torch.contiguous_format)):
                    ins = [one.contiguous(memory_format=order) for one in (x, gradient)]
                    found.append(passes(layer, *ins, name))
                    work = functools.partial(passes, layer, *ins, name)
                    texts.append(f"{milliseconds(work, rounds=5):.2f}")
                off = max(
                    float((a.double() - b.double()).abs().max() / b.double().abs().max())
                    for a, b in zip(found[0], found[2], strict=True)
                )
                print(f"{title} {name} {channels}x{edge}: ours {texts[0]}, torch tl {texts[1]} "
                      f"tf {texts[2]}; differ by {off:.0e}")  # fmt: skip
            except Exception as problem:  # one that fails must not end the others
                print(f"{title} {name}: {type(problem).__name__}: {problem}"[:300])


def launching(rounds: int = 50) -> None:
    """Print what one pass forward and backward of tiny volumes takes: launching alone."""
    for title, mine, plain in (
        ("norm+relu6", BatchNormReLU6(32), nn.Sequential(nn.BatchNorm3d(32), nn.ReLU6())),
        ("depthwise k3", DepthwiseConv3d(32, 3), nn.Conv3d(32, 32, 3, padding=1, groups=32)),
        ("mbconv k3 e3", MBConv3D(32, kernel=3, expansion=3), None),
    ):
        texts = []
        for layer in filter(None, (mine, plain)):
            layer.to(DEVICE)
            x = torch.randn(1, 32, 4, 4, 4, device=DEVICE)
            x = x.contiguous(memory_format=torch.channels_last_3d)
            passes(layer, x, x, "f32")
            torch.cuda.synchronize()
            began = time.perf_counter()
            for _ in range(rounds):
                passes(layer, x, x, "f32")
            texts.append(f"{(time.perf_counter() - began) / rounds * 1e6:.0f}")
            torch.cuda.synchronize()
        print(f"{title}: µs of launching, ours and torch's: {', '.join(texts)}")


def tell(row: dict, table: Tiling) -> None:
    part, kernel, stride, name = row["case"]
    best = sorted(row["candidates"], key=lambda one: sum(one["ms"]))
    texts = [
        f"{'*' if one['tiling'] == list(table) else ''}{short(one['tiling'], part)} "
        + "+".join(f"{ms:.3f}" for ms in one["ms"])
        for one in best
    ]
    rivals = " ".join(f"{k} {ms:.2f}" for k, ms in row.get("torch_ms", {}).items())
    worst = max((one["error"] for one in best), default=0)
    print(f"{part} k{kernel} s{stride} {name} ({rivals}; err {worst:.0e}): {'; '.join(texts)}")
    for tiling, why in list(row["failed"].items())[:3]:
        print(f"  failed {tiling}: {why}")


DEVICE = "cuda" if torch.cuda.is_available() else "cpu"

if __name__ == "__main__":
    main()
