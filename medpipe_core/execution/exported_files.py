"""A network as files that other programs run: torch.export and ONNX, made and run again."""

from __future__ import annotations

import importlib
import importlib.metadata
import io
import logging
import warnings
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from medpipe_core.errors import MedpipeError, MissingExtraError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray
    from torch import Tensor
    from torch.export import ExportedProgram

    from medpipe_core.execution.trained_model import TrainedModel

INPUT, OUTPUT, DESCRIPTION = "volumes", "probabilities", "model.json"
TOLERANCE = 1e-5
_PACKAGES = ("onnx", "onnxscript")


class ExportError(MedpipeError):
    """A network cannot be exported; the text says what stands in the way."""


@dataclass(frozen=True)
class FileCheck:
    """What came of running an exported file.

    Attributes:
        ran_with: Name and version of what ran it.
        volumes: How many volumes it answered for.
        largest_difference: Between its probabilities and those of the trained network; None where
            it was not run.
        agrees: Whether that is at most 1e-5; None where it was not run.
        reason: Why it was not run, or the empty text.
    """

    ran_with: str
    volumes: int
    largest_difference: float | None = None
    agrees: bool | None = None
    reason: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        return asdict(self)


def require_packages() -> None:
    """Import what writes ONNX.

    Raises:
        MissingExtraError: One of its packages is not installed.
    """
    for name in _PACKAGES:
        try:
            importlib.import_module(name)
        except ImportError as error:
            raise MissingExtraError(
                f"exporting a network needs the package {name}, which is not installed or cannot "
                f'be imported ({error}); install it with: pip install "medpipe[export]"'
            ) from error


def exported_program(model: TrainedModel, *, any_batch: bool) -> ExportedProgram:
    """Record the network with its temperature: volumes to calibrated probabilities.

    Args:
        model: The trained network, on the CPU.
        any_batch: Whether the batch axis stays open; otherwise a batch is one volume.

    Raises:
        ExportError: Torch cannot record it.
    """
    whole = _Calibrated(model.network, model.rule.temperature).eval()
    # Torch takes an axis of length 1 for one that is always 1.
    volumes = torch.full((2 if any_batch else 1, *model.shape), 0.5)
    axes = ({0: torch.export.Dim("batch", min=1)},) if any_batch else None
    with _problems_told("torch.export"), torch.no_grad():
        program = torch.export.export(whole, (volumes,), dynamic_shapes=axes)
    _forget_origin(program)
    return program


def torch_file(program: ExportedProgram, description: str) -> bytes:
    """Return the file of `torch.export.save`, with the description among its extra files.

    Raises:
        ExportError: Torch cannot write it.
    """
    file = io.BytesIO()
    with _problems_told("torch.export.save"):
        torch.export.save(program, file, extra_files={DESCRIPTION: description})
    return file.getvalue()


def onnx_file(program: ExportedProgram, description: str) -> bytes:
    """Return an ONNX file, with the description among its `metadata_props`.

    Raises:
        ExportError: An operation has no counterpart in ONNX.
    """
    with _problems_told("torch.onnx.export"):
        with _without_note_of_torchvision():
            made = torch.onnx.export(
                program, dynamo=True, verbose=False, input_names=[INPUT], output_names=[OUTPUT]
            )
        if made is None:
            raise ExportError("torch.onnx.export returned no program")
        model = made.model_proto
        for node in model.graph.node:
            del node.metadata_props[:]
        del model.graph.value_info[:]  # the shapes between operations, which any runtime infers
        for value in (*model.graph.input, *model.graph.output):
            del value.metadata_props[:]
            first = value.type.tensor_type.shape.dim[0]
            if first.dim_param:
                first.dim_param = "batch"
        model.metadata_props.add(key=DESCRIPTION, value=description)
        data: bytes = model.SerializeToString()
    return data


def check_torch_file(
    data: bytes, batches: list[NDArray[np.float32]], expected: NDArray[np.float64]
) -> FileCheck:
    """Run a file of torch.export on some batches.

    Raises:
        ExportError: It cannot be loaded or run.
    """

    def answer(batch: NDArray[np.float32]) -> NDArray[Any]:
        found: NDArray[Any] = module(torch.from_numpy(batch)).numpy()
        return found

    with _problems_told("the exported file"), torch.no_grad():
        module = torch.export.load(io.BytesIO(data)).module()
        return _compared(f"torch {torch.__version__}", answer, batches, expected)


def check_onnx_file(
    data: bytes, batches: list[NDArray[np.float32]], expected: NDArray[np.float64]
) -> FileCheck:
    """Run an ONNX file on some batches, in onnxruntime or else in ONNX's own evaluator.

    That evaluator lacks operators, and what it cannot run may still be a sound file.

    Raises:
        ExportError: onnxruntime cannot load or run it.
    """
    try:
        runtime: Any = importlib.import_module("onnxruntime")
    except ImportError:
        return _check_by_reference(data, batches, expected)
    with _problems_told("onnxruntime"):
        session = runtime.InferenceSession(data, providers=["CPUExecutionProvider"])
        return _compared(
            f"onnxruntime {runtime.__version__}",
            lambda batch: session.run([OUTPUT], {INPUT: batch})[0],
            batches,
            expected,
        )


def _check_by_reference(
    data: bytes, batches: list[NDArray[np.float32]], expected: NDArray[np.float64]
) -> FileCheck:
    from onnx.reference import ReferenceEvaluator

    who = f"onnx.reference {importlib.metadata.version('onnx')}"
    try:
        evaluator: Any = ReferenceEvaluator(data)
        return _compared(
            who, lambda batch: evaluator.run([OUTPUT], {INPUT: batch})[0], batches, expected
        )
    except Exception as error:  # it says in many ways that it lacks an operator
        return FileCheck(who, 0, reason=_one_line(error))


def _compared(
    who: str,
    answer: Callable[[NDArray[np.float32]], NDArray[Any]],
    batches: list[NDArray[np.float32]],
    expected: NDArray[np.float64],
) -> FileCheck:
    found = np.concatenate([answer(batch) for batch in batches])
    if found.shape != expected.shape:
        raise ExportError(f"{who} answers with {found.shape}, the network with {expected.shape}")
    if not np.isfinite(found).all():
        raise ExportError(f"{who} answers with probabilities that are not finite")
    difference = float(np.abs(found - expected).max())
    return FileCheck(who, len(expected), difference, difference <= TOLERANCE)


class _Calibrated(nn.Module):
    def __init__(self, network: nn.Module, temperature: float) -> None:
        super().__init__()
        self.network = network
        self.temperature = temperature

    def forward(self, volumes: Tensor) -> Tensor:
        return torch.softmax(self.network(volumes) / self.temperature, 1)


def _forget_origin(program: ExportedProgram) -> None:
    """Take from each operation which module and which line of which file it came from.

    `torch.export.load` cannot read the names of modules that have a comma, as those of choices
    have, and the lines name folders of this machine.
    """
    for module in program.graph_module.modules():
        if isinstance(module, torch.fx.GraphModule):
            for node in module.graph.nodes:
                for note in ("nn_module_stack", "stack_trace"):
                    node.meta.pop(note, None)


@contextmanager
def _without_note_of_torchvision() -> Iterator[None]:
    """Keep torch from noting that torchvision, which nothing here needs, is not installed."""

    def needed(record: logging.LogRecord) -> bool:
        return "torchvision is not installed" not in record.getMessage()

    logger = logging.getLogger("torch.onnx._internal.exporter._registration")
    logger.addFilter(needed)
    try:
        yield
    finally:
        logger.removeFilter(needed)


@contextmanager
def _problems_told(who: str) -> Iterator[None]:
    """Turn whatever an exporter or a runtime raises into an `ExportError`."""
    with warnings.catch_warnings():
        # Torch warns of its own use of what it deprecates.
        warnings.simplefilter("ignore", FutureWarning)
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            yield
        except MedpipeError:
            raise
        except Exception as error:
            raise ExportError(f"{who}: {_one_line(error)}") from error


def _one_line(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:400]
