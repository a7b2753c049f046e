"""A batch through the twelve-layer policy, beside other libraries' ways to do the same.

    pip install "medpipe[fast,peers]"
    python tests/benchmarks/augmentation.py [--json] [--threads 2] [--rounds 9]
        [--device cuda] [--fixed]

Everything runs by turns in one process on the same float32 batch. Figures are medians and quartiles
of the milliseconds a batch takes, and medians of the milliseconds of processor time it takes, which
other programs on the machine disturb less; ratios are of the latter. Magnitudes lie in the middle
of their grids. On a GPU milliseconds are all there is, and what works volume by volume stays on the
CPU. `p` is the probability of each layer for each volume: 1 is every layer active, 1/3 a
typical searched policy.

The fixed cost is what medpipe takes for sixteen volumes of one voxel each: what does not grow with
them; `--fixed` tells nothing else. On a GPU it is followed by what the profiler counts in one call
on 16 × 28³: kernels launched, copies, and times that the program waited for the device.

- medpipe: `Policy`, and layer by layer with the same draws.
- floor: one `grid_sample` with a grid at hand, and one addition. Not a policy: what one resampling
  and one element-wise pass cost in torch.
- kornia: its own 3D classes on the whole batch; it has the geometric layers only.
- MONAI: volume by volume, one transform for each layer; and with flips, turns and scaling in one
  `RandAffine`.
- TorchIO: volume by volume, turns and scaling in one `RandomAffine`; it has nothing that erases.
- batchgeneratorsv2: volume by volume, turns and scaling in one `SpatialTransform`.

Where a library has no such layer it is left out for that library, which is then the faster for it.
"""

from __future__ import annotations

import argparse
import functools
import importlib.metadata
import json
import math
import os
import platform
import statistics
import time
import warnings
from collections.abc import Callable

import torch
import torch.nn.functional as F
from clock import add_device, named, now

from medpipe_core import Policy, load_plugins
from medpipe_core.supernet import PolicyLayer

SHAPES = ((16, 1, 28, 28, 28), (2, 1, 32, 128, 128))
FIXED = (16, 1, 1, 1, 1)
PROBABILITIES = (1.0, 1 / 3)
LAYERS = ("noise", "v_flip", "h_flip", "d_flip", "v_rotation", "h_rotation", "d_rotation", "erase",
          "affine", "blur", "invert", "color_jitter")  # fmt: skip
TURN, SCALE = 15.0, (0.6, 2.2)  # middle magnitudes of the rotations and of affine
ERASED, SIGMA, BRIGHTNESS, CONTRAST = 0.5, (0.1, 2.0), 0.3, 0.5

Augment = Callable[[torch.Tensor], object]


def middle_policy(p: float) -> Policy:
    """Return the twelve layers with the magnitudes in the middle of their grids."""
    registry = load_plugins()
    layers = []
    for name in LAYERS:
        operation = registry.factory("augmentation", name)()
        choices = operation.magnitudes().items()
        middle = {key: choice.values[len(choice.values) // 2] for key, choice in choices}
        layers.append(PolicyLayer(name, operation, p, middle, ()))
    return Policy(layers)


def medpipe_fused(shape: tuple[int, ...], p: float, device: torch.device) -> Augment:
    policy, generator = middle_policy(p), torch.Generator().manual_seed(0)
    return lambda volumes: policy(volumes, generator)


def medpipe_layer_by_layer(shape: tuple[int, ...], p: float, device: torch.device) -> Augment:
    policy, generator = middle_policy(p), torch.Generator().manual_seed(0)
    return lambda volumes: policy.layer_by_layer(volumes, generator)


def floor(shape: tuple[int, ...], p: float, device: torch.device) -> Augment:
    turn = math.radians(TURN)
    matrix = torch.eye(3, 4)
    matrix[0, :2] = torch.tensor([math.cos(turn), -math.sin(turn)])
    matrix[1, :2] = torch.tensor([math.sin(turn), math.cos(turn)])
    grid = F.affine_grid(matrix.expand(shape[0], 3, 4), list(shape), align_corners=False).to(device)
    return lambda volumes: F.grid_sample(volumes, grid, align_corners=False) + 1


def kornia_classes(shape: tuple[int, ...], p: float, device: torch.device) -> Augment:
    from kornia import augmentation as k

    turns = [[(-TURN, TURN) if a == axis else (0.0, 0.0) for a in range(3)] for axis in (1, 0, 2)]
    return torch.nn.Sequential(
        k.RandomVerticalFlip3D(p=p),
        k.RandomHorizontalFlip3D(p=p),
        k.RandomDepthicalFlip3D(p=p),
        *(k.RandomRotation3D(tuple(turn), p=p) for turn in turns),
        k.RandomAffine3D(0.0, scale=SCALE, p=p),
    )


def monai_layer_by_layer(shape: tuple[int, ...], p: float, device: torch.device) -> Augment:
    from monai import transforms as m

    turn = math.radians(TURN)
    return monai_volumes(
        p,
        shape,
        [
            *(m.RandFlip(p, spatial_axis=axis) for axis in (1, 2, 0)),
            *(
                m.RandRotate(**{f"range_{axis}": turn}, prob=p, padding_mode="zeros")
                for axis in "yzx"
            ),
            monai_erase(p, shape),
            m.RandAffine(p, scale_range=scales_of_monai(), padding_mode="zeros"),
        ],
    )


def monai_one_affine(shape: tuple[int, ...], p: float, device: torch.device) -> Augment:
    from monai import transforms as m

    affine = m.RandAffine(
        1 - (1 - p) ** 4,  # one of three turns and a scaling
        rotate_range=[math.radians(TURN)] * 3,
        scale_range=scales_of_monai(),
        padding_mode="zeros",
        cache_grid=True,
        spatial_size=shape[2:],
    )
    flips = [m.RandFlip(p, spatial_axis=axis) for axis in (1, 2, 0)]
    return monai_volumes(p, shape, [*flips, affine, monai_erase(p, shape)])


def monai_volumes(p: float, shape: tuple[int, ...], geometric: list[Callable]) -> Augment:
    """Return noise, these, and the rest, for one volume after another."""
    from monai import transforms as m

    chain = m.Compose(
        [
            m.RandGaussianNoise(p, std=0.05, sample_std=False),
            *geometric,
            m.RandGaussianSmooth(SIGMA, SIGMA, SIGMA, prob=p),
            sometimes(p, lambda volume: 0.75 - volume),
            m.RandScaleIntensity(BRIGHTNESS, prob=p),
            m.RandAdjustContrast(p, gamma=(0.5, 1.5)),
        ]
    )
    return lambda volumes: torch.stack([chain(volume).as_tensor() for volume in volumes])


def monai_erase(p: float, shape: tuple[int, ...]) -> Callable:
    from monai import transforms as m

    edge = [round(ERASED * size) for size in shape[2:]]
    return m.RandCoarseDropout(holes=1, spatial_size=edge, fill_value=0.0, prob=p)


def scales_of_monai() -> list[tuple[float, float]]:
    """Return the range of factors as MONAI takes it: what is added to 1."""
    return [(SCALE[0] - 1, SCALE[1] - 1)] * 3


def torchio_volumes(shape: tuple[int, ...], p: float, device: torch.device) -> Augment:
    import torchio as tio

    chain = tio.Compose(
        [
            tio.RandomNoise(std=(0.05, 0.05), p=p),
            tio.RandomFlip((0, 1, 2), flip_probability=p),
            tio.RandomAffine(
                scales=SCALE, degrees=TURN, isotropic=True, default_pad_value=0, p=1 - (1 - p) ** 4
            ),
            tio.RandomBlur(SIGMA, p=p),
            tio.Lambda(lambda volume: 0.75 - volume, p=p),
            tio.Lambda(lambda volume: (1.1 * volume).clamp(0, 1), p=p),
            tio.RandomGamma(p=p),
        ]
    )
    return lambda volumes: torch.stack([chain(volume) for volume in volumes])


def batchgenerators_volumes(shape: tuple[int, ...], p: float, device: torch.device) -> Augment:
    from batchgeneratorsv2.transforms.intensity.brightness import MultiplicativeBrightnessTransform
    from batchgeneratorsv2.transforms.intensity.contrast import ContrastTransform
    from batchgeneratorsv2.transforms.intensity.gaussian_noise import GaussianNoiseTransform
    from batchgeneratorsv2.transforms.intensity.inversion import InvertImageTransform
    from batchgeneratorsv2.transforms.noise.blank_rectangle import BlankRectangleTransform
    from batchgeneratorsv2.transforms.noise.gaussian_blur import GaussianBlurTransform
    from batchgeneratorsv2.transforms.spatial.mirroring import MirrorTransform
    from batchgeneratorsv2.transforms.spatial.spatial import SpatialTransform
    from batchgeneratorsv2.transforms.utils.compose import ComposeTransforms
    from batchgeneratorsv2.transforms.utils.random import RandomTransform

    turn = math.radians(TURN)
    edges = [[round(ERASED * size), round(ERASED * size) + 1] for size in shape[2:]]
    chain = ComposeTransforms(
        [
            RandomTransform(GaussianNoiseTransform((0.0025, 0.0025)), p),
            RandomTransform(MirrorTransform((0, 1, 2)), p),
            SpatialTransform(
                shape[2:],
                [size // 2 for size in shape[2:]],
                random_crop=False,
                p_rotation=1 - (1 - p) ** 3,
                rotation=(-turn, turn),
                p_scaling=p,
                scaling=(1 / SCALE[1], 1 / SCALE[0]),
                p_synchronize_scaling_across_axes=1,
            ),
            RandomTransform(BlankRectangleTransform(edges, 0.0, (1, 2), False), p),
            RandomTransform(GaussianBlurTransform(SIGMA), p),
            InvertImageTransform(p),
            RandomTransform(MultiplicativeBrightnessTransform((0.7, 1.3), False), p),
            RandomTransform(ContrastTransform((0.5, 1.5), True, False), p),
        ]
    )
    return lambda volumes: torch.stack([chain(image=volume.clone())["image"] for volume in volumes])


def sometimes(p: float, change: Callable) -> Callable:
    return lambda volume: change(volume) if torch.rand(()) < p else volume


WAYS = {
    "medpipe": (medpipe_fused, "medpipe"),
    "medpipe, layer by layer": (medpipe_layer_by_layer, "medpipe"),
    "floor: grid_sample and an addition": (floor, "torch"),
    "kornia, geometric layers only": (kornia_classes, "kornia"),
    "MONAI, layer by layer": (monai_layer_by_layer, "monai"),
    "MONAI, one affine": (monai_one_affine, "monai"),
    "TorchIO": (torchio_volumes, "torchio"),
    "batchgeneratorsv2": (batchgenerators_volumes, "batchgeneratorsv2"),
}


# The others work on one volume after another, on the CPU.
ON_A_GPU = ("medpipe", "torch", "kornia")


def has(package: str) -> bool:
    try:
        importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def compare(shape: tuple[int, ...], p: float, words: argparse.Namespace) -> dict[str, dict | None]:
    """Return milliseconds of each way, None for one that is not installed."""
    volumes = torch.rand(shape, generator=torch.Generator().manual_seed(0))
    on = {
        name: words.device if package in ON_A_GPU else torch.device("cpu")
        for name, (_, package) in WAYS.items()
        if has(package)
    }
    ways = {name: WAYS[name][0](shape, p, device) for name, device in on.items()}
    there = {device: volumes.to(device) for device in on.values()}
    passed: dict[str, list[float]] = {name: [] for name in ways}
    processor: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(words.rounds + 2):  # the first two warm up
        for name, augment in ways.items():
            device = on[name]
            began, began_processor = now(device), time.process_time()
            augment(there[device])
            took, took_processor = now(device) - began, time.process_time() - began_processor
            if turn > 1:
                passed[name].append(1000 * took)
                processor[name].append(
                    1000 * (took_processor if words.device.type == "cpu" else took)
                )
    rows = {
        name: {
            "milliseconds": statistics.quantiles(passed[name]),
            "processor": statistics.median(processor[name]),
        }
        for name in ways
    }
    return {name: rows.get(name) for name in WAYS}


def fixed_cost(p: float, words: argparse.Namespace) -> dict:
    """Return milliseconds (quartiles) for volumes of one voxel, and what a GPU is told.

    They are of processor time on a CPU, which other programs disturb less.
    """
    device = words.device
    clock = time.process_time if device.type == "cpu" else functools.partial(now, device)
    augment = medpipe_fused(FIXED, p, device)
    volumes, passed = torch.rand(FIXED).to(device), []
    for _ in range(20 + 40 * words.rounds):
        began = clock()
        augment(volumes)
        passed.append(1000 * (clock() - began))
    found: dict = {"p": p, "milliseconds": statistics.quantiles(passed[20:])}
    if device.type == "cuda":
        found["told"] = told_to_gpu(augment, torch.rand(SHAPES[0]).to(device))
    return found


def told_to_gpu(augment: Augment, volumes: torch.Tensor) -> dict[str, int]:
    """Count the calls of CUDA's runtime and driver in one call."""
    augment(volumes)
    torch.cuda.synchronize()
    kinds = torch.profiler.ProfilerActivity
    with torch.profiler.profile(activities=[kinds.CPU, kinds.CUDA]) as profile:
        augment(volumes)
    names = ("LaunchKernel", "Memcpy", "Memset", "Synchronize")
    calls = {e.key: e.count for e in profile.key_averages() if e.key.startswith("cu")}
    # The profiler itself waits once, at its end.
    return {name: sum(n for key, n in calls.items() if name in key) for name in names}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--fixed", action="store_true", help="tell the fixed cost alone")
    add_device(parser)
    words = parser.parse_args()
    warnings.simplefilter("ignore")  # the libraries' own, of one another
    torch.set_num_threads(words.threads)
    torch.manual_seed(0)
    packages = ["torch", "numba", *dict.fromkeys(package for _, package in WAYS.values())]
    versions = {name: importlib.metadata.version(name) for name in packages if has(name)}
    told = {"machine": platform.machine(), "device": named(words.device),
            "cores": os.cpu_count(), "threads": words.threads, "versions": versions,
            "rows": []}  # fmt: skip
    if not words.json:
        print(f"{told['device']}, {told['cores']} cores, {words.threads} threads, {versions}")
    for shape in () if words.fixed else SHAPES:
        for p in PROBABILITIES:
            found = compare(shape, p, words)
            told["rows"].append({"shape": shape, "p": p, "ways": found})
            if not words.json:
                show(shape, p, found)
    told["fixed"] = [fixed_cost(p, words) for p in PROBABILITIES]
    if words.json:
        print(json.dumps(told, indent=2))
        return
    for row in told["fixed"]:
        low, median, high = row["milliseconds"]
        print(f"\nfixed cost, p = {row['p']:.2f}: {median:.2f} ms ({low:.2f} to {high:.2f}) "
              f"{row.get('told', '')}")  # fmt: skip


def show(shape: tuple[int, ...], p: float, rows: dict[str, dict | None]) -> None:
    print(
        f"\n{f'{shape}, p = {p:.2f}':38}{'ms (quartiles)':26}{'processor':>10}{'over medpipe':>14}"
    )
    ours = rows["medpipe"]["processor"]
    for name, row in rows.items():
        if row is None:
            print(f"{name:38}not installed: pip install 'medpipe[peers]'")
            continue
        low, median, high = row["milliseconds"]
        times = f"{median:.1f} ({low:.1f} to {high:.1f})"
        print(f"{name:38}{times:26}{row['processor']:10.1f}{row['processor'] / ours:14.1f}")


if __name__ == "__main__":
    main()
