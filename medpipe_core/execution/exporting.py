"""The network of a finished run as files that need no medpipe."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from medpipe_core.data import DataError
from medpipe_core.execution.exported_files import (
    DESCRIPTION,
    INPUT,
    OUTPUT,
    ExportError,
    FileCheck,
    check_onnx_file,
    check_torch_file,
    exported_program,
    onnx_file,
    require_packages,
    torch_file,
)
from medpipe_core.execution.new_inputs import asked
from medpipe_core.execution.trained_model import load_model
from medpipe_core.record.atomic_files import check_place, make_folder, write_atomically, write_json
from medpipe_core.record.run_folder import open_folder
from medpipe_core.space import Genotype

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from medpipe_core.execution.new_inputs import Inputs
    from medpipe_core.execution.trained_model import TrainedModel
    from medpipe_core.plugins import Registry
    from medpipe_core.record.run_folder import RunFolder

TORCH_FILE, ONNX_FILE = "model.pt2", "model.onnx"
_DRAWN = 4


@dataclass(frozen=True)
class Export:
    """What an export wrote.

    Attributes:
        folder: Where `model.pt2`, `model.onnx` and `model.json` are.
        description: What `model.json` holds.
        checks: Name of a file → what came of running it.
    """

    folder: Path
    description: Mapping[str, Any]
    checks: Mapping[str, FileCheck]


@dataclass(frozen=True)
class _Made:
    description: Mapping[str, Any]
    files: Mapping[str, bytes]
    checks: Mapping[str, FileCheck]

    @property
    def agrees(self) -> bool:
        return all(check.agrees is not False for check in self.checks.values())


def export_model(
    folder: str | Path,
    out: str | Path | None = None,
    *,
    volumes: Inputs | None = None,
    registry: Registry | None = None,
    trust_plugins: bool = False,
) -> Export:
    """Write the network of a finished run as `model.pt2` (torch.export) and `model.onnx`.

    Both take `volumes`, `(batch, channel, *space)` float32 in [0, 1], and return `probabilities`,
    `(batch, classes)` float32, calibrated by the run's temperature. The batch axis is open if the
    network can be exported so, and one volume otherwise. `model.json` beside them says what
    they are; both hold the same text, but for checksums and checks. Before they are written, both
    are run on some volumes and compared with the network.

    Args:
        folder: The run's folder.
        out: Where the files go; `export` in the run's folder by default.
        volumes: What to check on, volumes or files as `TrainedModel.predict` takes them; by default
            a few volumes are drawn, of brightness and contrast as in training.
        registry: Loaded plugins; by default those that the run's configuration wants.
        trust_plugins: Whether files that the configuration names in `plugins.load` may be run.

    Raises:
        MissingExtraError: A package of the extra `export` is not installed.
        RunFolderError: As `load_model`.
        DataError: There are no volumes, or one cannot be read or is none that the network takes.
        ExportError: The network cannot be exported.
        StorageError: A file cannot be written.
    """
    require_packages()
    run = open_folder(folder)
    place = run.path / "export" if out is None else Path(out)
    check_place(place, folder=True)
    model = load_model(folder, registry=registry, trust_plugins=trust_plugins)
    known = _known(run, model)
    checked_on = _prepared(model, _drawn(model) if volumes is None else volumes)
    expected = model.probabilities(checked_on)
    made = _made(model, known, checked_on, expected)
    return Export(place, _written(made, place), made.checks)


def _prepared(model: TrainedModel, inputs: Inputs) -> NDArray[np.float32]:
    """Return what is asked about as the network takes it, `(count, channel, *space)`.

    Raises:
        DataError: There is nothing, or something cannot be used.
    """
    found = []
    for case in asked(inputs, model.shape, model.scans):
        if case.volumes is None:
            raise DataError(f"an export cannot be checked on this: {case.failed}")
        scale = np.float32(255) if case.volumes.dtype == np.uint8 else np.float32(1)
        found.append(case.volumes.astype(np.float32) / scale)
    if not sum(map(len, found)):
        raise DataError("an export is checked on one volume at least, but there is none")
    return np.concatenate(found)


def _made(
    model: TrainedModel,
    known: Mapping[str, Any],
    volumes: NDArray[np.float32],
    expected: NDArray[np.float64],
) -> _Made:
    """Make both files with an open batch axis, or for one volume where that does not work."""
    try:
        made = _attempt(model, known, volumes, expected, any_batch=True)
        if made.agrees:
            return made
    except ExportError:
        pass  # for one volume it may work; if not, that error is told
    return _attempt(model, known, volumes, expected, any_batch=False)


def _attempt(
    model: TrainedModel,
    known: Mapping[str, Any],
    volumes: NDArray[np.float32],
    expected: NDArray[np.float64],
    *,
    any_batch: bool,
) -> _Made:
    batch = "any" if any_batch else 1
    description = {**known, "batch": batch}
    text = json.dumps(description, ensure_ascii=False)
    program = exported_program(model, any_batch=any_batch)
    files = {TORCH_FILE: torch_file(program, text), ONNX_FILE: onnx_file(program, text)}
    # A batch of one and one of the rest: a length that was taken for granted would show.
    batches = [volumes[:1], volumes[1:]] if any_batch else [one[None] for one in volumes]
    batches = [one for one in batches if len(one)]
    checks = {
        TORCH_FILE: check_torch_file(files[TORCH_FILE], batches, expected),
        ONNX_FILE: check_onnx_file(files[ONNX_FILE], batches, expected),
    }
    return _Made(description, files, checks)


def _known(run: RunFolder, model: TrainedModel) -> dict[str, Any]:
    genotype = Genotype.from_dict(run.result()["genotype"])
    return {
        "format": 1,
        "input": INPUT,
        "output": OUTPUT,
        "shape": list(model.shape),
        "range": [0, 1],
        "classes": list(model.classes),
        **model.rule.to_dict(),
        "symmetries": [symmetry.to_plain() for symmetry in model.symmetries],
        "genotype": genotype.digest,
        "space": {"name": genotype.space, "digest": genotype.space_digest},
        "preparation": run.preparation(),
        "versions": {
            name: importlib.metadata.version(name)
            for name in ("medpipe", "torch", "onnx", "onnxscript")
        },
    }


def _written(made: _Made, place: Path) -> dict[str, Any]:
    make_folder(place)
    for name, data in made.files.items():
        write_atomically(place / name, data)
    description = {
        **made.description,
        "sha256": {name: hashlib.sha256(data).hexdigest() for name, data in made.files.items()},
        "checks": {name: check.to_dict() for name, check in made.checks.items()},
    }
    write_json(place / DESCRIPTION, description)
    return description


def _drawn(model: TrainedModel) -> NDArray[np.float32]:
    """Draw noise of the means and deviations that the training volumes have, in [0, 1]."""
    rng = np.random.default_rng(0)

    def between(name: str, low: float, high: float) -> NDArray[np.float64]:
        ends = model.appearance.get(name, {"low": low, "high": high})
        found = np.linspace(ends["low"], ends["high"], _DRAWN)
        return found.reshape(-1, *[1] * len(model.shape))

    noise = rng.standard_normal((_DRAWN, *model.shape))
    drawn = between("mean", 0.2, 0.8) + between("deviation", 0.1, 0.3) * noise
    return np.asarray(np.clip(drawn, 0, 1), np.float32)
