"""Reading and preparing scans, beside MONAI's and TorchIO's loaders on the same files.

    python tests/benchmarks/reading_scans.py [PATH ...] [--json] [--rounds 5] [--size 64]

Each PATH is a NIfTI file or a folder of one DICOM series; without any, four are made: NIfTI
(gzip) and DICOM of 64 × 256 × 256 voxels and of 20 × 64 × 64. Every way ends in the same: axes of a
fixed orientation, Hounsfield units -1350 to 150 scaled to [0, 1], and `size` cubed voxels by linear
interpolation; medpipe averages besides where voxels become larger, which the others do not. By
turns in one process and thread, in seconds of the processor; the first round is not counted.
`from a cache` is medpipe's own, prepared scans as `data.cache` keeps them, found by the digest of
the files. Needs the extras `scans` and `peers`; MONAI reads DICOM by pydicom, TorchIO by SimpleITK.
Why a loader fails is told.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import runpy
import statistics
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import torch

import medpipe_core as mp
from medpipe_core.data import VolumeCache, check_chain
from medpipe_plugins.datasets.folder_cache import CachedDoor
from medpipe_plugins.datasets.folder_manifest import Case
from medpipe_plugins.datasets.folder_scans import ScanDoor

LOW, HIGH = -1350, 150
MAKE = Path(__file__).parents[1] / "plugins" / "datasets" / "generate_scans.py"


def medpipe(size, registry):
    steps = [
        {"name": "orient"},
        {"name": "window", "parameters": {"low": LOW, "high": HIGH}},
        {"name": "resize", "parameters": {"size": size}},
    ]
    chain, door = check_chain(steps, registry), ScanDoor(registry)
    return lambda path: door.prepared(Case(str(path), (path,), ""), chain).volume


def medpipe_cache(size, registry, folder):
    steps = [
        {"name": "orient"},
        {"name": "window", "parameters": {"low": LOW, "high": HIGH}},
        {"name": "resize", "parameters": {"size": size}},
    ]
    door = CachedDoor(ScanDoor(registry), check_chain(steps, registry), VolumeCache(folder, 2**40))
    return lambda path: door.prepared(Case(str(path), (path,), ""), training=False)[1].volume


def monai(size):
    from monai import transforms as t

    def chain(reader):
        return t.Compose(
            [
                t.LoadImage(reader=reader, image_only=True, ensure_channel_first=True),
                t.Orientation(axcodes="RAS"),
                t.ScaleIntensityRange(LOW, HIGH, 0, 1, clip=True),
                t.Resize((size,) * 3, mode="trilinear"),
            ]
        )

    of_file, of_series = chain("NibabelReader"), chain("PydicomReader")
    return lambda path: np.asarray((of_series if path.is_dir() else of_file)(path))


def torchio(size):
    import torchio as tio

    chain = tio.Compose(
        [
            tio.ToCanonical(),
            tio.Clamp(LOW, HIGH),
            tio.RescaleIntensity((0, 1), in_min_max=(LOW, HIGH)),
            tio.Resize(size),
        ]
    )
    return lambda path: chain(tio.ScalarImage(path)).data.numpy()


def timed(ways, paths, rounds):
    told = []
    for path in paths:
        seconds = {name: [] for name in ways}
        failed, shapes = {}, {}
        for turn in range(rounds + 1):
            for name, way in ways.items():
                if name in failed:
                    continue
                began = time.process_time()
                try:
                    shapes[name] = tuple(way(path).shape)
                except Exception as error:
                    failed[name] = f"{type(error).__name__}: {' '.join(str(error).split())[:120]}"
                    continue
                if turn:
                    seconds[name].append(time.process_time() - began)
        assert len(set(shapes.values())) == 1, shapes
        rows = {
            name: failed.get(name) or statistics.quantiles(seconds[name], method="inclusive")
            for name in ways
        }
        told.append({"path": str(path), "seconds": rows})
    return told


def made(folder):
    """Write four scans: a large and a small one in each format."""
    make, paths = runpy.run_path(str(MAKE)), []
    for name, shape, spacing in (
        ("large", (256, 256, 64), (1.4, 1.4, 4.0)),
        ("small", (64, 64, 20), (5.0, 5.0, 8.0)),
    ):
        rng = np.random.default_rng(0)
        values = rng.normal(-400, 400, shape).clip(-1024, 3000).astype(np.int16)
        make["write_nifti"](folder / f"{name}.nii.gz", values, spacing, "LPS")
        make["write_dicom"](folder / name, values, spacing, f"1.2.{len(name)}", "P")
        paths += [folder / f"{name}.nii.gz", folder / name]
    return paths


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("paths", metavar="PATH", nargs="*", type=Path)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--size", type=int, default=64)
    words = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    registry = mp.load_plugins()
    with tempfile.TemporaryDirectory() as folder:
        paths = words.paths or made(Path(folder))
        makers = {
            "medpipe": functools.partial(medpipe, words.size, registry),
            "MONAI": functools.partial(monai, words.size),
            "TorchIO": functools.partial(torchio, words.size),
            "medpipe, from a cache": functools.partial(
                medpipe_cache, words.size, registry, Path(folder, "cache")
            ),
        }
        ways = {}
        for name, make in makers.items():
            try:
                ways[name] = make()
            except ImportError as error:
                print(f"{name} is left out: {error}")
        told = timed(ways, paths, words.rounds)
    if words.json:
        print(json.dumps({"cores": os.cpu_count(), "size": words.size, "scans": told}, indent=2))
        return
    for scan in told:
        print(scan["path"])
        for name, found in scan["seconds"].items():
            if isinstance(found, str):
                print(f"  {name:22} {found}")
            else:
                low, middle, high = (1e3 * value for value in found)
                print(f"  {name:22} {middle:8.1f} ms ({low:.1f}–{high:.1f})")


if __name__ == "__main__":
    main()
