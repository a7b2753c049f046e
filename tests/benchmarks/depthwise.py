"""Depthwise 3D convolution, forward and backward, beside `nn.Conv3d` as it comes.

    python tests/benchmarks/depthwise.py [--json] [--threads 2] [--rounds 5]

Both run by turns in one process on the same float32 input; medians and quartiles are of the seconds
of one forward and backward pass, agreement is with `nn.Conv3d` in float64 on a few channels.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import statistics
import time

import torch
from torch import nn

from medpipe_plugins.blocks3d import DepthwiseConv3d
from medpipe_plugins.numba_extra import has_numba

SHAPES = ((8, 96, 28), (8, 192, 14))
KERNELS = (3, 5, 7)
CHECKED = 4


def step(layer: nn.Module, volumes: torch.Tensor, gradient: torch.Tensor) -> list[torch.Tensor]:
    """Return output, input gradient and weight gradient."""
    volumes = volumes.detach().requires_grad_()
    output = layer(volumes)
    weight = next(layer.parameters())
    found = torch.autograd.grad(output, (volumes, weight), gradient)
    return [output.detach(), *found]


def few(layer: nn.Conv3d) -> nn.Conv3d:
    """Return the first channels alone: in float64 torch lays out all offsets at once."""
    part = nn.Conv3d(
        CHECKED,
        CHECKED,
        layer.kernel_size,
        padding=layer.padding,
        groups=CHECKED,
        bias=False,
        dtype=torch.float64,
    )
    part.weight.data = layer.weight.data[:CHECKED].clone()
    return part


def compare(batch: int, channels: int, size: int, kernel: int, rounds: int) -> dict[str, object]:
    """Time both on one shape, and say how far ours is from double precision."""
    generator = torch.Generator().manual_seed(0)
    shape = (batch, channels, size, size, size)
    volumes = torch.randn(shape, generator=generator)
    gradient = torch.randn(shape, generator=generator)
    ours = DepthwiseConv3d(channels, kernel)
    plain = nn.Conv3d(channels, channels, kernel, padding=kernel // 2, groups=channels, bias=False)
    plain.load_state_dict(ours.state_dict())
    seconds: dict[str, list[float]] = {"ours": [], "plain": []}
    for turn in range(rounds + 1):
        for name, layer in (("ours", ours), ("plain", plain)):
            began = time.perf_counter()
            step(layer, volumes, gradient)
            if turn:
                seconds[name].append(time.perf_counter() - began)
    output, to_volumes, to_weight = step(ours, volumes, gradient)
    mine = (output[:, :CHECKED], to_volumes[:, :CHECKED], to_weight[:CHECKED])
    exact = step(few(plain.double()), volumes[:, :CHECKED].double(), gradient[:, :CHECKED].double())
    errors = [
        float((found.double() - true).abs().max() / true.abs().max())
        for found, true in zip(mine, exact, strict=True)
    ]
    quartiles = {name: statistics.quantiles(values) for name, values in seconds.items()}
    return {
        "shape": shape,
        "kernel": kernel,
        "seconds": quartiles,
        "ratio": quartiles["plain"][1] / quartiles["ours"][1],
        "largest_relative_error": max(errors),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--rounds", type=int, default=5)
    words = parser.parse_args()
    torch.set_num_threads(words.threads)
    versions = {"torch": torch.__version__}
    if has_numba():
        versions["numba"] = importlib.metadata.version("numba")
    told = {"machine": platform.machine(), "cores": os.cpu_count(), "threads": words.threads,
            "versions": versions, "rows": []}  # fmt: skip
    if not words.json:
        print(f"{told['cores']} cores, {words.threads} threads, {versions}")
        print("shape                  k  ours (quartiles)          nn.Conv3d (quartiles)     ratio")
    for shape in SHAPES:
        for kernel in KERNELS:
            row = compare(*shape, kernel, words.rounds)
            told["rows"].append(row)
            if not words.json:
                times = [
                    f"{middle:.3f} s ({low:.3f}–{high:.3f})".ljust(26)
                    for low, middle, high in row["seconds"].values()
                ]
                print(f"{row['shape']!s:22} {kernel}  {''.join(times)}{row['ratio']:.1f}   "
                      f"error {row['largest_relative_error']:.0e}")  # fmt: skip
    if words.json:
        print(json.dumps(told, indent=2))


if __name__ == "__main__":
    main()
