"""The kernels of augmentation on a GPU: are they right there, and how fast.

    python tests/benchmarks/gpu_augmentation.py [--repeats 20] [--rehearse]

First the largest difference from torch's operators in float64, then medians over the repeats: on
the device by its events, and on the host until the call returns. Warping is eight geometric layers
composed, which is one matrix, and one box; filtering is noise, blur, inversion and jitter; what
they are compared with is one `grid_sample` whose grid is at hand and one addition. `--rehearse`
runs all of it on tiny volumes in Triton's interpreter, where there is no GPU. What fails is told,
and the rest goes on.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import statistics
import sys
import time
from typing import TYPE_CHECKING, Any

SHAPES = ((16, 1, 28, 28, 28), (2, 1, 32, 128, 128), (5, 4, 128, 128, 128))
REHEARSED = ((2, 1, 3, 4, 5),)
TILES = ((4, 32, 256, 8), (4, 32, 128, 4), (4, 32, 512, 8), (8, 32, 512, 16), (8, 8, 256, 8),
         (1, 256, 256, 8))  # fmt: skip
BLOCKS = ((512, 4), (1024, 8), (1024, 4), (256, 4))
SMOOTH_BLOCKS = ((256, 8), (128, 4), (512, 16), (512, 4))

if "--rehearse" in sys.argv:
    os.environ["TRITON_INTERPRET"] = "1"  # before Triton is imported

import numpy as np  # noqa: E402
import torch  # noqa: E402
import torch.nn.functional as F  # noqa: E402

from medpipe_plugins.augment3d import Clamp, Contrast, Linear, Smooth, on_gpu, resample  # noqa: E402
from medpipe_plugins.augment3d.resampling import inverse  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Steps = list[tuple[str, torch.Tensor, Any]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--rehearse", action="store_true")
    told = parser.parse_args()
    if not told.rehearse and not torch.cuda.is_available():
        sys.exit("there is no GPU; --rehearse runs all of it on a CPU")
    device = torch.device("cpu" if told.rehearse else "cuda")
    shapes, repeats = (REHEARSED, 1) if told.rehearse else (SHAPES, told.repeats)
    import triton

    name = "a rehearsal" if told.rehearse else torch.cuda.get_device_name()
    print(f"{name}, torch {torch.__version__}, triton {triton.__version__}")
    for shape in shapes:
        for dtype in (torch.float32, torch.bfloat16):
            with surviving(f"right {shape} {dtype}"):
                check(shape, dtype, device)
    print("milliseconds on the device, and until the call returns")
    for shape in shapes:
        with surviving(f"times {shape}"):
            compare(shape, device, repeats)
    with surviving("configurations"):
        configure(shapes[-1], device, repeats)


def check(shape: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> None:
    """Print the largest differences from float64."""
    volumes = torch.rand(shape, device=device).to(dtype)
    table = table_of(shape, device)
    out = on_gpu.warp_on_gpu(volumes, table, 1)
    warped = worst(out, warp_in_double(volumes, table))
    chain = steps_of(shape[0], 3)
    without_noise = [step for step in chain if step[0] != "noise"]
    got = on_gpu.filter_on_gpu(volumes, without_noise)
    filtered = worst(got, filter_in_double(volumes, without_noise))
    noise = on_gpu.filter_on_gpu(torch.zeros_like(volumes), chain[:1]).double()
    wanted, weights = volumes.clone().requires_grad_(), torch.rand_like(volumes)
    (gradient,) = torch.autograd.grad(on_gpu.warp_on_gpu(wanted, table, 1), wanted, weights)
    one = float((out.double() * weights.double()).sum())
    other = float((gradient.double() * volumes.double()).sum())
    print(
        f"{shape} {str(dtype)[6:]}: warp off by {warped:.1e}, filter {filtered:.1e}, gradient "
        f"{abs(one - other) / max(abs(one), 1e-30):.1e}; noise {float(noise.mean()):+.5f} "
        f"± {float(noise.std()):.5f}"
    )


def compare(shape: tuple[int, ...], device: torch.device, repeats: int) -> None:
    """Print what takes how long."""
    volumes, table = torch.rand(shape, device=device), table_of(shape, device)
    turn = torch.tensor([[0.97, -0.26, 0, 0], [0.26, 0.97, 0, 0], [0, 0, 1, 0]], device=device)
    grid = F.affine_grid(turn.expand(shape[0], 3, 4), list(shape), align_corners=False)
    wanted, weights = volumes.clone().requires_grad_(), torch.rand_like(volumes)

    def backward() -> object:
        return torch.autograd.grad(on_gpu.warp_on_gpu(wanted, table, 1), wanted, weights)

    calls: dict[str, Callable[[], object]] = {
        "grid_sample": lambda: F.grid_sample(volumes, grid, align_corners=False) + 1,
        "copy": lambda: volumes.clone(),
        "warp": lambda: on_gpu.warp_on_gpu(volumes, table, 1),
        "and back": backward,
    }
    chains = {f"filter k{kernel}": steps_of(shape[0], kernel) for kernel in (2, 3, 4, 5)}
    chains |= {"noise": chains["filter k2"][:1], "jitter": chains["filter k2"][3:]}
    for name, chain in chains.items():
        calls[name] = lambda chain=chain: on_gpu.filter_on_gpu(volumes, chain)  # type: ignore[misc]
    told = [timed(name, call, device, repeats) for name, call in calls.items()]
    print(f"{shape}: {', '.join(told)}")


def configure(shape: tuple[int, ...], device: torch.device, repeats: int) -> None:
    """Print what the kernels take with other blocks and numbers of warps."""
    volumes, table = torch.rand(shape, device=device), table_of(shape, device)
    chain, pointwise = steps_of(shape[0], 3)[1:2], steps_of(shape[0], 3)[:1]
    tries: list[tuple[str, dict[str, Any], Callable[[], object]]] = []
    for *tile, warps in TILES:
        name = f"warp tile {tile} warps {warps}"
        changed = {"_TILE": tuple(tile), "_WARPS": warps}
        tries.append((name, changed, lambda: on_gpu.warp_on_gpu(volumes, table, 1)))
    for block, warps in BLOCKS:
        name = f"noise block {block} warps {warps}"
        changed = {"_BLOCK": block, "_BLOCK_WARPS": warps}
        tries.append((name, changed, lambda: on_gpu.filter_on_gpu(volumes, pointwise)))
    for block, warps in SMOOTH_BLOCKS:
        name = f"smooth block {block} warps {warps}"
        changed = {"_SMOOTH_BLOCK": block, "_SMOOTH_WARPS": warps}
        tries.append((name, changed, lambda: on_gpu.filter_on_gpu(volumes, chain)))
    for name, changed, call in tries:
        before = {key: getattr(on_gpu, key) for key in changed}
        try:
            with surviving(name):
                vars(on_gpu).update(changed)
                print(timed(name, call, device, repeats))
        finally:
            vars(on_gpu).update(before)


def timed(name: str, call: Callable[[], object], device: torch.device, repeats: int) -> str:
    """Return a name with its medians of milliseconds."""
    if device.type != "cuda":
        began = time.perf_counter()
        call()
        return f"{name} {1e3 * (time.perf_counter() - began):.0f}"
    for _ in range(3):
        call()
    host, events = [], []
    for _ in range(repeats):
        first, last = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        torch.cuda.synchronize()
        first.record()
        began = time.perf_counter()
        call()
        host.append(1e3 * (time.perf_counter() - began))
        last.record()
        events.append((first, last))
    torch.cuda.synchronize()
    on_device = statistics.median(first.elapsed_time(last) for first, last in events)
    return f"{name} {on_device:.3f}/{statistics.median(host):.3f}"


def table_of(shape: tuple[int, ...], device: torch.device) -> torch.Tensor:
    """Return a warp's table: turns about all axes, a scaling and a mirror, and a box each."""
    random = np.random.default_rng(0)
    size = np.array(shape[:1:-1])
    rows = []
    for n in range(shape[0]):
        angles, linear = np.radians(random.uniform(-15, 15, 3)), np.diag([-1.0, 1.0, 1.0])
        for axis, angle in enumerate(angles):
            turn, (i, j) = np.eye(3), [a for a in range(3) if a != axis]
            turn[i, i] = turn[j, j] = np.cos(angle)
            turn[i, j], turn[j, i] = -np.sin(angle), np.sin(angle)
            linear = turn @ linear
        linear *= random.uniform(0.8, 1.2)
        centre = (size - 1) / 2
        matrix = np.c_[linear, centre - linear @ centre]
        rows.append([float(n != 1), *matrix.ravel(), *matrix.ravel(), *(size // 4), *(size // 2)])
    return torch.tensor(np.array(rows), dtype=torch.float32, device=device)


def steps_of(count: int, kernel: int) -> Steps:
    """Return noise, blur, inversion and jitter of all volumes."""
    rows, random = torch.arange(count), np.random.default_rng(0)
    weights = random.uniform(0.5, 1, (count, kernel)).astype(np.float32)
    weights /= weights.sum(1, keepdims=True)
    factors = random.uniform(0.6, 1.4, (count, 2)).astype(np.float32)
    none = np.zeros((count, 1), np.float32)
    clamp = ("clamp", rows, none[:, :0])
    return [
        ("noise", rows, (0.05, np.arange(count))),
        ("smooth", rows, weights),
        ("linear", rows, np.concatenate((none - 1, none + 1), 1)),
        ("linear", rows, np.concatenate((factors[:, :1], none), 1)),
        clamp,
        ("contrast", rows, factors[:, 1:]),
        clamp,
    ]


def warp_in_double(volumes: torch.Tensor, table: torch.Tensor) -> torch.Tensor:
    """Return what a warp with one box is to make, in float64."""
    wide, told = volumes.double(), table.double()
    moved = resample(wide, inverse(told[:, 1:13].reshape(-1, 3, 4)))
    wide = torch.where(told[:, 0].view(-1, 1, 1, 1, 1) != 0, moved, wide)
    axes = [torch.arange(n, device=wide.device, dtype=wide.dtype) for n in wide.shape[2:]]
    z, y, x = torch.meshgrid(*axes, indexing="ij")
    places = torch.stack((x, y, z, torch.ones_like(x)))
    places = torch.einsum("nij,jdhw->nidhw", told[:, 13:25].reshape(-1, 3, 4), places)
    start, stop = (t.view(-1, 3, 1, 1, 1) for t in (told[:, 25:28], told[:, 28:31]))
    share = torch.minimum(places - (start - 1), stop - places).clamp(0, 1).prod(1, keepdim=True)
    return wide * (1 - share)


def filter_in_double(volumes: torch.Tensor, steps: Steps) -> torch.Tensor:
    """Return what steps on all volumes are to make, in float64."""
    wide = volumes.double()
    for kind, rows, numbers in steps:
        told = torch.from_numpy(numbers).double().to(wide.device)
        if kind == "clamp":
            wide = Clamp(len(rows))(wide)
        elif kind == "smooth":
            wide = Smooth(told)(wide)
        else:
            wide = (Contrast(told[:, 0]) if kind == "contrast" else Linear(*told.T))(wide)
    return wide


def worst(got: torch.Tensor, expected: torch.Tensor) -> float:
    return float((got.double() - expected).abs().max())


@contextlib.contextmanager
def surviving(what: str) -> Iterator[None]:
    """Tell what goes wrong, and go on."""
    try:
        yield
    except Exception as error:
        print(f"{what}: {type(error).__name__}: {' '.join(str(error).split())[:200]}")


if __name__ == "__main__":
    main()
