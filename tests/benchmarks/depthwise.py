"""Depthwise 3D convolution, forward and backward, beside `nn.Conv3d` as it comes.

    python tests/benchmarks/depthwise.py [--json] [--threads 2] [--rounds 5] [--stride 1]
        [--layout first|last] [--device cuda]

Both run by turns in one process on the same float32 input; medians and quartiles are of the seconds
of one forward and backward pass, and the two are told apart too. Volumes and gradients lie channels
first, as `nn.Conv3d` likes them, or channels last, as a network of blocks hands them over.
Agreement is with `nn.Conv3d` in float64 on a few channels. What compiling takes is the processor
time of the first pass of each kernel on a small volume.
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
from clock import add_device, named, now
from torch import nn

from medpipe_plugins.blocks3d import DepthwiseConv3d
from medpipe_plugins.numba_extra import has_numba

SHAPES = ((8, 96, 28), (8, 192, 14))
KERNELS = (3, 5, 7)
CHECKED = 4
LAYOUTS = {"first": torch.contiguous_format, "last": torch.channels_last_3d}


def step(
    layer: nn.Module, volumes: torch.Tensor, gradient: torch.Tensor, taken: list[tuple[float, ...]]
) -> list[torch.Tensor]:
    """Return output, input gradient and weight gradient; note the seconds of both passes."""
    volumes = volumes.detach().requires_grad_()
    began = now(volumes.device)
    output = layer(volumes)
    turned = now(volumes.device)
    weight = next(layer.parameters())
    found = torch.autograd.grad(output, (volumes, weight), gradient)
    taken.append((turned - began, now(volumes.device) - turned))
    return [output.detach(), *found]


def few(layer: nn.Conv3d) -> nn.Conv3d:
    """Return the first channels alone: in float64 torch lays out all offsets at once."""
    part = nn.Conv3d(
        CHECKED,
        CHECKED,
        layer.kernel_size,
        layer.stride,
        padding=layer.padding,
        groups=CHECKED,
        bias=False,
        dtype=torch.float64,
        device=layer.weight.device,
    )
    part.weight.data = layer.weight.data[:CHECKED].clone()
    return part


def compare(
    batch: int, channels: int, size: int, kernel: int, words: argparse.Namespace
) -> dict[str, object]:
    """Time both on one shape, and say how far ours is from double precision."""
    generator = torch.Generator().manual_seed(0)
    shape = (batch, channels, size, size, size)
    laid_out = {"memory_format": LAYOUTS[words.layout]}
    volumes = torch.randn(shape, generator=generator).to(words.device).contiguous(**laid_out)
    ours = DepthwiseConv3d(channels, kernel, words.stride).to(words.device)
    plain = nn.Conv3d(channels, channels, kernel, words.stride, padding=kernel // 2,
                      groups=channels, bias=False, device=words.device)  # fmt: skip
    plain.load_state_dict(ours.state_dict())
    with torch.no_grad():
        gradient = torch.randn(plain(volumes).shape, generator=generator)
    gradient = gradient.to(words.device).contiguous(**laid_out)
    taken: dict[str, list[tuple[float, ...]]] = {"ours": [], "plain": []}
    for _ in range(words.rounds + 1):
        for name, layer in (("ours", ours), ("plain", plain)):
            step(layer, volumes, gradient, taken[name])
    output, to_volumes, to_weight = step(ours, volumes, gradient, [])
    mine = (output[:, :CHECKED], to_volumes[:, :CHECKED], to_weight[:CHECKED])
    exact = step(
        few(plain.double()), volumes[:, :CHECKED].double(), gradient[:, :CHECKED].double(), []
    )
    errors = [
        float((found.detach().double() - true).abs().max() / true.abs().max())
        for found, true in zip(mine, exact, strict=True)
    ]
    rounds = {name: values[1:] for name, values in taken.items()}
    quartiles = {name: statistics.quantiles(map(sum, values)) for name, values in rounds.items()}
    return {
        "shape": shape,
        "kernel": kernel,
        "seconds": quartiles,
        "forward_and_backward": {
            name: [statistics.median(part) for part in zip(*values, strict=True)]
            for name, values in rounds.items()
        },
        "ratio": quartiles["plain"][1] / quartiles["ours"][1],
        "largest_relative_error": max(errors),
    }


def compiling(stride: int) -> list[float]:
    """Return the seconds of processor that the first pass of each kernel takes."""
    seconds = []
    for kernel in KERNELS:
        began = time.process_time()
        DepthwiseConv3d(16, kernel, stride)(torch.rand(1, 16, 14, 14, 14)).sum().backward()
        seconds.append(time.process_time() - began)
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--stride", type=int, choices=(1, 2), default=1)
    parser.add_argument("--layout", choices=tuple(LAYOUTS), default="first")
    add_device(parser)
    words = parser.parse_args()
    torch.set_num_threads(words.threads)
    versions = {"torch": torch.__version__}
    if has_numba():
        versions["numba"] = importlib.metadata.version("numba")
    told = {"machine": platform.machine(), "cores": os.cpu_count(), "threads": words.threads,
            "device": named(words.device), "versions": versions, "stride": words.stride,
            "layout": words.layout, "compiling_s": compiling(words.stride), "rows": []}  # fmt: skip
    if not words.json:
        print(f"{told['device']}, {told['cores']} cores, {words.threads} threads, {versions}, "
              f"stride {words.stride}, channels {words.layout}; compiling kernels {KERNELS}: "
              f"{', '.join(f'{each:.2f} s' for each in told['compiling_s'])}")  # fmt: skip
        print("shape                  k  ours (quartiles)          nn.Conv3d (quartiles)     ratio")
    for shape in SHAPES:
        for kernel in KERNELS:
            row = compare(*shape, kernel, words)
            told["rows"].append(row)
            if not words.json:
                times = [
                    f"{middle:.3f} s ({low:.3f}–{high:.3f})".ljust(26)
                    for low, middle, high in row["seconds"].values()
                ]
                parts = [
                    "+".join(f"{part:.3f}" for part in parts)
                    for parts in row["forward_and_backward"].values()
                ]
                print(f"{row['shape']!s:22} {kernel}  {''.join(times)}{row['ratio']:4.1f}   "
                      f"error {row['largest_relative_error']:.0e}   "
                      f"forward+backward {' '.join(parts)}", flush=True)  # fmt: skip
    if words.json:
        print(json.dumps(told, indent=2))


if __name__ == "__main__":
    main()
