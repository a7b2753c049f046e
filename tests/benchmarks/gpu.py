"""Every table of a GPU in one run of at most three minutes.

    pip install "medpipe[peers]"
    python tests/benchmarks/gpu.py [--json FILE] [--only depthwise,policy] [--rehearse]

- depthwise: `DepthwiseConv3d` forward, input gradient and weight gradient, beside `nn.Conv3d` in
  both memory orders.
- training: a step of the paper's network as `fit` takes it, beside a plain loop in torch with
  `nn.Conv3d` and the like in both memory orders.
- search: a step of the joint search at the paper's width along paths that the searcher draws, after
  a hundred others, the seconds of an epoch of AdrenalMNIST3D's size (1,188 volumes of 28³, half of
  them trained on), and what a whole `preset=paper` run would take by these counts.
- policy: the twelve layers at p = 1 beside kornia, MONAI, and one `grid_sample` with one addition.
- quick: `medpipe-run` as it comes, in a process of its own.

Times are medians of milliseconds. `launches` are kernels, `fetches` copies from the device to the
host, both as the profiler counts them in one call. A table that fails is told and left out.
`--rehearse` runs everything on the CPU at small sizes, to see that it works.
"""

from __future__ import annotations

import argparse
import copy
import json
import statistics
import subprocess
import sys
import tempfile
import time
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from augmentation import floor, kornia_classes, middle_policy, monai_one_affine
from clock import named, now
from torch import nn
from training_step import in_plain_torch, network

import medpipe_core as mp
from medpipe_core.computing import Computing
from medpipe_core.data import Batches, LabelledVolumes
from medpipe_core.search import GumbelSearcher, SearchState
from medpipe_core.search.settings import SearchSettings
from medpipe_core.search.step import take_step
from medpipe_core.supernet import build_policy
from medpipe_core.train import ClassificationTask, FitSettings, FitState, fit
from medpipe_plugins.blocks3d import DepthwiseConv3d

if TYPE_CHECKING:
    from collections.abc import Callable

LAYOUTS = {"first": torch.contiguous_format, "last": torch.channels_last_3d}
TYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
ADRENAL = 1188  # training volumes of AdrenalMNIST3D
MEDPIPE_RUN = "from medpipe_core.command.medpipe_run import main; main()"
PAPER_SEARCH, PAPER_RETRAIN, PAPER_CANDIDATES = 50, 200, 5 * 10  # epochs of preset=paper


@dataclass(frozen=True)
class Sizes:
    """How much is measured."""

    device: torch.device
    depthwise: tuple[tuple[int, int, int], ...] = ((8, 96, 28), (8, 192, 14))
    kernels: tuple[int, ...] = (3, 5, 7)
    batch: int = 16
    edge: int = 28
    rounds: int = 20
    paths: int = 100
    policy: tuple[tuple[int, ...], ...] = ((16, 1, 28, 28, 28), (2, 1, 32, 128, 128))
    volumes: int = ADRENAL
    quick: tuple[str, ...] = ()


def rehearsal() -> Sizes:
    """Return small sizes, for a CPU."""
    words = ("search.epochs=1", "evaluate.epochs=1", "retrain.epochs=1", "search.candidates=1",
             "evaluate.top_k=1", "search.trial_epochs=1", "dataset.size=8")  # fmt: skip
    return Sizes(
        torch.device("cpu"), ((2, 16, 6),), (3,), 4, 16, 2, 2, ((2, 1, 8, 8, 8),), 16, words
    )


def milliseconds(call: Callable[[], object], sizes: Sizes) -> float:
    """Return the median time of a call among calls that follow one another."""
    for _ in range(3):
        call()
    times = []
    for _ in range(3):
        began = now(sizes.device)
        for _ in range(sizes.rounds):
            call()
        times.append((now(sizes.device) - began) / sizes.rounds)
    return 1e3 * statistics.median(times)


def counted(call: Callable[[], object], sizes: Sizes) -> dict[str, int]:
    """Return launches and fetches of one call; on a CPU, the operators of torch instead."""
    kinds = torch.profiler.ProfilerActivity
    on_gpu = sizes.device.type == "cuda"
    with torch.profiler.profile(activities=[kinds.CPU, kinds.CUDA] if on_gpu else [kinds.CPU]) as p:
        call()
        now(sizes.device)
    if not on_gpu:
        return {"operators": sum(event.name.startswith("aten::") for event in p.events())}
    device = [e for e in p.events() if e.device_type == torch.autograd.DeviceType.CUDA]
    copies = [e for e in device if "Memcpy" in e.name or "Memset" in e.name]
    fetched = [e for e in copies if "DtoH" in e.name]
    waits = [e for e in p.events() if e.name in ("cudaStreamSynchronize", "cudaEventSynchronize")]
    return {
        "launches": len(device) - len(copies),
        "copies": len(copies) - len(fetched),
        "fetches": len(fetched),
        "waits": len(waits),
    }


def depthwise(sizes: Sizes) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for batch, channels, edge in sizes.depthwise:
        for kernel in sizes.kernels:
            for name, dtype in TYPES.items():
                if dtype != torch.float32 and sizes.device.type == "cpu":
                    continue
                row = {"medpipe": passes(DepthwiseConv3d(channels, kernel), "last", dtype, sizes,
                                         (batch, channels, *[edge] * 3))}  # fmt: skip
                for layout in LAYOUTS:
                    plain = nn.Conv3d(channels, channels, kernel, padding=kernel // 2,
                                      groups=channels, bias=False)  # fmt: skip
                    row[layout] = passes(plain, layout, dtype, sizes,
                                         (batch, channels, *[edge] * 3))  # fmt: skip
                best = min(sum(row[layout]) for layout in LAYOUTS)
                row["times faster"] = [best / sum(row["medpipe"])]
                found[f"{batch}x{channels}x{edge}³ k={kernel} {name}"] = row
                tell(f"  {batch}×{channels}×{edge}³ k={kernel} {name:8}", row)
    return found


def passes(
    layer: nn.Module, layout: str, dtype: torch.dtype, sizes: Sizes, shape: tuple[int, ...]
) -> list[float]:
    """Return milliseconds of the forward pass and of either gradient."""
    few = Sizes(sizes.device, rounds=max(sizes.rounds // 4, 1))
    layer = layer.to(sizes.device, dtype)
    volumes = torch.randn(shape, device=sizes.device, dtype=dtype).to(memory_format=LAYOUTS[layout])
    weight = next(layer.parameters())
    asking = volumes.detach().clone(memory_format=torch.preserve_format).requires_grad_()
    output = layer(asking)
    gradient = torch.randn_like(output)
    to_input, to_weight = (
        milliseconds(
            lambda of=of: torch.autograd.grad(output, of, gradient, retain_graph=True), few
        )
        for of in (asking, weight)
    )
    with torch.no_grad():
        forward = milliseconds(lambda: layer(volumes), few)
    return [forward, to_input, to_weight]


def training(sizes: Sizes) -> dict[str, Any]:
    found: dict[str, Any] = {}
    kinds = ("mbconv_k3_e3", "mbconv_k7_e3") if sizes.device.type == "cuda" else ("mbconv_k3_e3",)
    for layers in kinds:
        for name, dtype in TYPES.items():
            if dtype != torch.float32 and sizes.device.type == "cpu":
                continue
            computing = Computing(sizes.device, dtype)
            row = {"medpipe": [fitted(layers, computing, sizes)]}
            for layout in LAYOUTS:
                row[layout] = [plain_step(layers, layout, computing, sizes)]
            row["times faster"] = [min(row[one][0] for one in LAYOUTS) / row["medpipe"][0]]
            found[f"{layers} {name}"] = row
            tell(f"  {layers} {name:8}", row)
    return found


def fitted(layers: str, computing: Computing, sizes: Sizes) -> float:
    """Return milliseconds of a step as `fit` takes it, without augmentation."""
    data = labelled(8 * sizes.batch, sizes.edge)
    epochs = 4 if sizes.device.type == "cuda" else 1
    settings = FitSettings(epochs=epochs, batch_size=sizes.batch, lr=3e-4)
    state = FitState.start(
        network(layers), data, settings=settings, seed=0, device=sizes.device, computing=computing
    )
    return timed_fit(state, settings, None)


def timed_fit(state: FitState, settings: FitSettings, augment: Any) -> float:
    """Return milliseconds of a step of a training: the median over its epochs but the first."""
    times = []

    def emit(event: str, **fields: Any) -> None:
        if event == "fit-warning":
            print("   ", fields["message"])
        if event == "fit-epoch":
            times.append(fields["seconds"] / fields["steps"])

    task = ClassificationTask(("a", "b"))
    fit(state, settings=settings, task=task, augment=augment, emit=emit)
    return 1e3 * statistics.median(times[1:] or times)


def plain_step(layers: str, layout: str, computing: Computing, sizes: Sizes) -> float:
    """Return milliseconds of a step of the same network in plain torch."""
    plain = in_plain_torch(copy.deepcopy(network(layers))).to(sizes.device)
    plain = plain.to(memory_format=LAYOUTS[layout])
    volumes = torch.rand(sizes.batch, 1, *[sizes.edge] * 3, device=sizes.device)
    volumes = volumes.to(memory_format=LAYOUTS[layout])
    labels = torch.arange(sizes.batch, device=sizes.device) % 2
    optimiser = torch.optim.Adam(plain.parameters(), lr=3e-4, fused=True)

    def step() -> None:
        optimiser.zero_grad(set_to_none=True)
        with computing.autocast():
            logits = plain(volumes)
        nn.functional.cross_entropy(logits.float(), labels).backward()
        optimiser.step()

    return milliseconds(step, Sizes(sizes.device, rounds=max(sizes.rounds // 4, 1)))


def search(sizes: Sizes) -> dict[str, Any]:
    space = mp.load_plugins().space("medpipe-joint")
    supernet = mp.Supernet(space, in_channels=1, num_classes=2).to(sizes.device)
    data = labelled(sizes.volumes // 2, sizes.edge)
    sources = [
        Batches(data, batch_size=sizes.batch, seed=seed, device=sizes.device) for seed in (0, 1)
    ]
    steps = len(sources[0])
    searcher = GumbelSearcher(space, seed=0, steps=steps)
    settings = SearchSettings(epochs=1)
    computing = Computing.on(sizes.device)
    state = SearchState.start(
        supernet, searcher, *sources, settings=settings, seed=0, computing=computing
    )

    def step(number: int) -> None:
        outcome, problem = take_step(
            state, searcher.decide(number), settings, nn.functional.cross_entropy, searcher.ask
        )
        assert not problem, problem
        searcher.observe(outcome)

    # The first steps take twice as long and more: cuDNN makes a plan for every shape that is new.
    began = now(sizes.device)
    for number in range(sizes.paths):
        step(number)
    first = (now(sizes.device) - began) / sizes.paths
    times = []
    for number in range(steps):
        began = now(sizes.device)
        step(number)
        times.append(1e3 * (now(sizes.device) - began))
    counts = counted(lambda: step(0), sizes)
    median, epoch = statistics.median(times), sum(times) / 1e3
    told = {"median": [median], "longest": [max(times)], "epoch": [epoch]}
    tell("  step, epoch in s", {**told, f"each of the first {sizes.paths}": [1e3 * first]})
    print("   ", counts, computing.dtype)
    return {"step": times, "epoch_seconds": epoch, "first": first, "counts": counts}


def policy(sizes: Sizes) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for shape in sizes.policy:
        volumes = torch.rand(shape, device=sizes.device)
        generator = torch.Generator().manual_seed(0)
        ways: dict[str, Callable[[], object]] = {
            "medpipe": calling(middle_policy(1.0), volumes, generator),
            "medpipe p=1/3": calling(middle_policy(1 / 3), volumes, generator),
        }
        for name, make in (("floor", floor), ("kornia", kornia_classes)):
            ways[name] = calling(make(shape, 1.0, sizes.device), volumes)
        on_cpu = volumes.cpu()
        try:
            monai = monai_one_affine(shape, 1.0, torch.device("cpu"))
            ways["MONAI, CPU"] = calling(monai, on_cpu)
        except ImportError:
            print("    MONAI is not installed")
        row = {}
        for name, call in ways.items():
            few = sizes if name.startswith(("medpipe", "floor")) else Sizes(sizes.device, rounds=2)
            row[name] = [milliseconds(call, few)]
        counts = counted(ways["medpipe"], sizes)
        found["x".join(map(str, shape))] = {**row, "counts": counts}
        tell(f"  {'×'.join(map(str, shape))}", row)
        print("   ", counts)
    return found


def calling(call: Callable[..., object], *arguments: object) -> Callable[[], object]:
    return lambda: call(*arguments)


def trained_path(sizes: Sizes) -> dict[str, Any]:
    """Return a training step of a path drawn from the joint space, its augmentations with it."""
    space = mp.load_plugins().space("medpipe-joint")
    times = []
    for seed in range(3 if sizes.device.type == "cuda" else 1):
        genotype = space.sample(seed=seed)
        net = mp.build_network(space, genotype, in_channels=1, num_classes=2, seed=0)
        data = labelled(8 * sizes.batch, sizes.edge)
        settings = FitSettings(epochs=3, batch_size=sizes.batch, lr=1e-3)
        state = FitState.start(net, data, settings=settings, seed=0, device=sizes.device,
                               computing=Computing.on(sizes.device))  # fmt: skip
        times.append(timed_fit(state, settings, build_policy(space, genotype)))
    tell("  three drawn paths, policy included", {"step": times})
    return {"step": times}


def quick(sizes: Sizes) -> dict[str, Any]:
    """Time the default run twice: the second finds compiled what the first has compiled."""
    found: dict[str, Any] = {}
    for name in ("first", "second"):
        with tempfile.TemporaryDirectory() as root:
            command = [sys.executable, "-c", MEDPIPE_RUN,
                       f"run.root={root}", f"device={sizes.device}", *sizes.quick]  # fmt: skip
            began = time.perf_counter()
            run = subprocess.run(command, capture_output=True, text=True, check=False)
            seconds = time.perf_counter() - began
            results = [json.loads(path.read_text()) for path in Path(root).glob("*/result.json")]
        print(f"  {name}: {seconds:.1f} s, exit code {run.returncode}", flush=True)
        for result in results:
            print("   ", result["seconds"], "accuracy", result["test"]["accuracy"]["value"])
        if not results:
            print("\n".join((run.stdout + run.stderr).strip().splitlines()[-12:]))
        found[name] = {"seconds": seconds, "stages": [r["seconds"] for r in results]}
    return found


def labelled(count: int, edge: int) -> LabelledVolumes:
    rng = np.random.default_rng(0)
    volumes = rng.integers(0, 256, (count, 1, edge, edge, edge), dtype=np.uint8)
    return LabelledVolumes(volumes, np.arange(count) % 2)


def tell(what: str, row: dict[str, Any]) -> None:
    """Print one line of a table."""
    cells = (f"{name} {' / '.join(f'{ms:.3g}' for ms in values)}" for name, values in row.items())
    print(f"{what}: {', '.join(cells)}", flush=True)


def paper(found: dict[str, Any]) -> dict[str, float]:
    """Return the seconds that a `preset=paper` run on AdrenalMNIST3D would take by the counts."""
    per_epoch = ADRENAL // 16
    step = max(found["paths"]["step"]) / 1e3
    plan = {
        "search": PAPER_SEARCH * found["search"]["epoch_seconds"],
        "candidates": PAPER_CANDIDATES * (per_epoch // 2) * step,
        "retraining": PAPER_RETRAIN * per_epoch * step,
    }
    plan["together"] = sum(plan.values())
    print("  " + ", ".join(f"{name} {seconds:.0f} s" for name, seconds in plan.items()))
    return plan


TABLES: dict[str, Callable[[Sizes], dict[str, Any]]] = {
    "depthwise": depthwise,
    "training": training,
    "search": search,
    "paths": trained_path,
    "policy": policy,
    "quick": quick,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", default="", help="file to write everything to")
    parser.add_argument("--only", default=",".join(TABLES), help="tables, parted by commas")
    parser.add_argument("--rehearse", action="store_true", help="small, on the CPU")
    words = parser.parse_args()
    if not words.rehearse and not torch.cuda.is_available():
        parser.error("there is no GPU here; --rehearse runs everything on the CPU at small sizes")
    sizes = rehearsal() if words.rehearse else Sizes(torch.device("cuda"))
    print(f"{named(sizes.device)}, torch {torch.__version__}")
    found: dict[str, Any] = {"device": named(sizes.device), "torch": torch.__version__}
    for name in words.only.split(","):
        began = time.perf_counter()
        print(name, flush=True)
        try:
            found[name] = TABLES[name](sizes)
        except Exception:
            print(traceback.format_exc(limit=-4))
            found[name] = {"failed": traceback.format_exc()}
        print(f"  ({time.perf_counter() - began:.0f} s)", flush=True)
    if all("failed" not in found.get(name, {"failed": 1}) for name in ("search", "paths")):
        print("preset=paper on AdrenalMNIST3D, by these counts")
        found["paper"] = paper(found)
    if words.json:
        with open(words.json, "w") as file:
            json.dump(found, file, indent=1)


if __name__ == "__main__":
    main()
