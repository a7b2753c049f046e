"""A training step of a network of the paper's size beside the same network in plain torch.

    python tests/benchmarks/training_step.py [--json] [--threads 2] [--rounds 5]
        [--device cuda]

The network space at the paper's widths; strides 1, 2, 2, 2, 1, 2, 1 for the stem and the six
calibration layers. A step is forward, backward and Adam on one batch. In plain torch every
convolution is `nn.Conv3d` and every activation `nn.ReLU6`, in torch's own memory order, and where
that is the faster of the two, all in channels last. All start from the same weights and take steps
by turns in one process; a round is one step of each. With `THP_MEM_ALLOC_ENABLE=1` in the
environment all of them use huge pages, as `medpipe-run` does. Peak memory is each one's own, in a
process of its own (Linux); on a GPU it is that of torch's tensors.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import statistics
import subprocess
import sys

import torch
from clock import add_device, named, now
from torch import nn

import medpipe_core as mp
from medpipe_plugins.blocks3d import BatchNormReLU6, Conv3DBlock, DepthwiseConv3d

STRIDES = (1, 2, 2, 2, 1, 2, 1)
LAYERS = ("mbconv_k3_e3", "mbconv_k5_e3", "mbconv_k7_e3", "sampled")
loss = nn.functional.cross_entropy


def network(layers: str) -> nn.Sequential:
    """Build the network with one candidate in all layers, or with candidates sampled by a seed."""
    space = mp.load_plugins().space("medpipe-mbconv3d")
    choices = dict(space.sample(seed=0).choices)
    strides = iter(STRIDES)
    for path in space.choices:
        if path.endswith("stride"):
            choices[path] = str(next(strides))
        elif layers != "sampled":
            choices[path] = layers
    return mp.build_network(
        space, space.genotype(choices), in_channels=1, num_classes=2, seed=0
    ).train()


def in_plain_torch(module: nn.Module) -> nn.Module:
    """Replace what is medpipe's by what torch has."""
    if isinstance(module, Conv3DBlock):
        return nn.Sequential(module.convolution, in_plain_torch(module.normalisation))
    if isinstance(module, BatchNormReLU6):
        return nn.Sequential(*module)
    if isinstance(module, DepthwiseConv3d):
        channels, kernel = module.in_channels, module.kernel_size[0]
        plain = nn.Conv3d(channels, channels, kernel, module.stride, module.padding,
                          groups=channels, bias=False)  # fmt: skip
        plain.load_state_dict(module.state_dict())
        return plain
    for name, child in module.named_children():
        setattr(module, name, in_plain_torch(child))
    return module


class Training:
    """A network and what it takes to make steps."""

    def __init__(self, way: str, words: argparse.Namespace) -> None:
        network_ = network(words.layers)
        generator = torch.Generator().manual_seed(0)
        shape = (words.batch, 1, *[words.size] * 3)
        self.volumes = torch.rand(shape, generator=generator).to(words.device)
        if way != "medpipe":
            network_ = in_plain_torch(copy.deepcopy(network_))
        if way == "channels last":
            network_ = network_.to(memory_format=torch.channels_last_3d)
            self.volumes = self.volumes.contiguous(memory_format=torch.channels_last_3d)
        self.network = network_ = network_.to(words.device)
        self.labels = torch.arange(words.batch, device=words.device) % 2
        self.optimiser = torch.optim.Adam(network_.parameters(), lr=3e-4, fused=True)

    def step(self) -> float:
        self.optimiser.zero_grad(set_to_none=True)
        found = loss(self.network(self.volumes), self.labels)
        found.backward()
        self.optimiser.step()
        return found.item()


WAYS = ("medpipe", "torch", "channels last")


def compare(words: argparse.Namespace) -> dict[str, object]:
    """Time all by turns; quartiles are over the rounds."""
    trainings = {way: Training(way, words) for way in WAYS}
    seconds: dict[str, list[float]] = {way: [] for way in WAYS}
    losses: dict[str, list[float]] = {way: [] for way in WAYS}
    for turn in range(words.rounds + 1):
        for way, training in trainings.items():
            began = now(words.device)
            losses[way].append(training.step())
            if turn:
                seconds[way].append(now(words.device) - began)
    quartiles = {way: statistics.quantiles(values) for way, values in seconds.items()}
    return {
        "layers": words.layers,
        "seconds": quartiles,
        "ratios": {way: quartiles[way][1] / quartiles["medpipe"][1] for way in WAYS},
        "first_losses": {way: values[0] for way, values in losses.items()},
        "peak_mib": {way: memory(way, words) for way in WAYS},
    }


def peak(way: str, words: argparse.Namespace) -> float:
    """Return by how many MiB a step of this process raises its memory, the network included."""
    if words.device.type == "cuda":
        training = Training(way, words)
        training.step()
        torch.cuda.reset_peak_memory_stats(words.device)
        training.step()
        return torch.cuda.max_memory_allocated(words.device) / 2**20
    before = _status("VmRSS")
    training = Training(way, words)
    training.step()  # compiles, allocates Adam's moments
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")  # forget the peak so far
    training.step()
    return _status("VmHWM") - before


def _status(name: str) -> float:
    with open("/proc/self/status") as file:
        lines = dict(line.split(":", 1) for line in file)
    return int(lines[name].split()[0]) / 1024


def memory(way: str, words: argparse.Namespace) -> float:
    command = [sys.executable, __file__, "--peak", way, "--layers", words.layers]
    command += ["--batch", str(words.batch), "--size", str(words.size)]
    command += ["--threads", str(words.threads), "--device", str(words.device)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(done.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--size", type=int, default=28)
    parser.add_argument("--layers", help="a candidate for all layers, or `sampled`")
    parser.add_argument("--peak", help=argparse.SUPPRESS)
    add_device(parser)
    words = parser.parse_args()
    torch.set_num_threads(words.threads)
    if words.peak:
        print(peak(words.peak, words))
        return
    told = {"device": named(words.device), "cores": os.cpu_count(), "threads": words.threads,
            "torch": torch.__version__, "batch": words.batch, "size": words.size,
            "rows": []}  # fmt: skip
    if not words.json:
        print(f"{told['device']}, {told['cores']} cores, {words.threads} threads, "
              f"torch {told['torch']}, batch {words.batch}, {words.size}³")  # fmt: skip
        print(
            "layers        way            step (quartiles)            ratio  peak      first loss"
        )
    for layers in (words.layers,) if words.layers else LAYERS:
        words.layers = layers
        row = compare(words)
        told["rows"].append(row)
        for way in () if words.json else WAYS:
            low, middle, high = row["seconds"][way]
            print(f"{layers:13} {way:14} {f'{middle:.3f} s ({low:.3f}–{high:.3f})':26}  "
                  f"{row['ratios'][way]:5.2f}  {row['peak_mib'][way]:4.0f} MiB  "
                  f"{row['first_losses'][way]:.6f}", flush=True)  # fmt: skip
    if words.json:
        print(json.dumps(told, indent=2))


if __name__ == "__main__":
    main()
