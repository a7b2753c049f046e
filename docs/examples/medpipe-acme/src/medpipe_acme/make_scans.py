"""Makes a small file for `acme-scans`: python -m medpipe_acme.make_scans FOLDER."""

import pathlib
import sys

import numpy as np


def make_scans(folder, *, patients=24, size=10):
    """Write scans.npz: two or three volumes of each patient, a small or a large ball in each."""
    rng = np.random.default_rng(0)
    names = np.repeat([f"patient{n:03d}" for n in range(patients)], 2 + np.arange(patients) % 2)
    labels = np.array([int(name[-3:]) % 2 for name in names])
    axis = np.linspace(-1, 1, size)
    grid = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"))
    centres = rng.uniform(-0.3, 0.3, (len(names), 3, 1, 1, 1))
    radius = np.where(labels, 0.6, 0.35)[:, None, None, None]
    balls = np.exp(-(((grid - centres) ** 2).sum(1)) / radius**2)
    noisy = 0.2 + 0.6 * balls + rng.normal(0, 0.05, balls.shape)
    images = (noisy.clip(0, 1) * 255).astype(np.uint8)
    path = pathlib.Path(folder) / "scans.npz"
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, images=images, labels=labels, patients=names)
    return path


if __name__ == "__main__":
    print(make_scans(sys.argv[1] if len(sys.argv) > 1 else "data"))
