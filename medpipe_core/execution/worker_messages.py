"""What a run and its worker processes say to each other: JSON, and tensors as safetensors."""

from __future__ import annotations

import json
import struct
from typing import TYPE_CHECKING, Any

from safetensors.torch import load, save

from medpipe_core.execution.trial import Fidelity, Trial, TrialRecord
from medpipe_core.space import Genotype

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import BinaryIO

    from torch import Tensor

_HEAD = struct.Struct(">QQ")  # bytes of JSON, bytes of tensors


def send(
    stream: BinaryIO, message: Mapping[str, Any], tensors: Mapping[str, Tensor] | None = None
) -> None:
    """Write one message."""
    text = json.dumps(message).encode()
    blob = b""
    if tensors is not None:
        blob = save({name: tensor.cpu().contiguous() for name, tensor in tensors.items()})
    stream.write(_HEAD.pack(len(text), len(blob)) + text + blob)
    stream.flush()


def receive(stream: BinaryIO) -> tuple[dict[str, Any], dict[str, Tensor] | None] | None:
    """Read one message; None where the other side is gone."""
    head = _read(stream, _HEAD.size)
    if head is None:
        return None
    of_text, of_blob = _HEAD.unpack(head)
    text, blob = _read(stream, of_text), _read(stream, of_blob)
    if text is None or blob is None:
        return None
    return json.loads(text), load(blob) if of_blob else None


def trial_message(trial: Trial) -> dict[str, Any]:
    """Return a trial as plain data, but for the weights to begin with."""
    return {
        "genotype": trial.genotype.to_dict(),
        "fidelity": trial.fidelity.to_dict(),
        "seed": trial.seed,
        "purpose": trial.purpose,
        "keep_weights": trial.keep_weights,
        "schedule": [genotype.to_dict() for genotype in trial.schedule],
    }


def read_trial(message: Mapping[str, Any], initial: Mapping[str, Tensor] | None) -> Trial:
    """Return the trial that a message describes."""
    return Trial(
        Genotype.from_dict(message["genotype"]),
        Fidelity(**message["fidelity"]),
        message["seed"],
        message["purpose"],
        initial,
        message["keep_weights"],
        tuple(map(Genotype.from_dict, message["schedule"])),
    )


def record_message(record: TrialRecord) -> dict[str, Any]:
    """Return a record as plain data, but for its trial and weights."""
    return {
        "figures": dict(record.figures),
        "failed": record.failed,
        "seconds": record.seconds,
        "notes": list(record.notes),
    }


def read_record(
    trial: Trial, message: Mapping[str, Any], weights: Mapping[str, Tensor] | None
) -> TrialRecord:
    """Return the record that a message describes."""
    notes = tuple(message["notes"])
    return TrialRecord(trial, weights=weights, **{**message, "notes": notes})


def _read(stream: BinaryIO, count: int) -> bytes | None:
    """Read so many bytes from a raw stream; None if it ends before."""
    parts = []
    while count:
        part = stream.read(count)
        if not part:
            return None
        parts.append(part)
        count -= len(part)
    return b"".join(parts)
