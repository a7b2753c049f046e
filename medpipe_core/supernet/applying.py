"""One operation on the volumes of a batch that it touches, and nothing on the others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from medpipe_core.computing import without_autocast
from medpipe_core.errors import MedpipeError, counted
from medpipe_core.supernet.augmentation import Augmentation, AugmentationError, Fusion
from medpipe_core.supernet.failing import in_words, is_the_operations

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_CPU = torch.device("cpu")
_HELD = "hold it to medpipe_core.testing.AugmentationContract"


def augment_batch(
    operation: Augmentation,
    volumes: Tensor,
    generator: torch.Generator,
    *,
    p: float,
    magnitudes: Mapping[str, Any],
) -> Tensor:
    """Apply an operation to each volume with probability `p`, every volume with its own draw.

    x̂ = b · o(x; μ) + (1 − b) · x with b ~ Bernoulli(p) for each volume (paper, section III-A).
    Only the volumes with b = 1 are computed; at p = 0 nothing is drawn and `volumes` comes back.

    Args:
        operation: The operation.
        volumes: `(batch, channel, *space)`.
        generator: Where all randomness comes from; its device is where draws are made.
        p: Probability in [0, 1] that a volume is touched.
        magnitudes: Values of the operation's magnitudes.

    Raises:
        AugmentationError: The operation changed shape, dtype or device.
    """
    if p <= 0:
        return volumes
    (rows,) = draw_touched((p,), len(volumes), generator)
    if len(rows) == 0:
        return volumes
    with without_autocast(volumes.device):
        return apply_to_rows(operation, volumes, rows, generator, magnitudes, kept=volumes)


def draw_touched(
    probabilities: Sequence[float], count: int, generator: torch.Generator
) -> list[Tensor]:
    """Draw, in one go, which of `count` volumes each of some operations touches.

    Returns:
        For each probability the touched rows, int64, rising, on the CPU.
    """
    shape = (len(probabilities), count)
    single = torch.float32  # a draw does not depend on torch's default type
    drawn = torch.rand(shape, generator=generator, device=generator.device, dtype=single)
    touched = drawn.cpu().numpy() < np.array(probabilities, np.float32)[:, None]
    rows = torch.from_numpy(touched.nonzero()[1])
    return list(torch.split(rows, touched.sum(1).tolist()))


def apply_to_rows(
    operation: Augmentation,
    volumes: Tensor,
    rows: Tensor,
    generator: torch.Generator,
    magnitudes: Mapping[str, Any],
    *,
    kept: Tensor,
) -> Tensor:
    """Draw for some volumes, one at least, and apply; others are neither computed nor changed.

    Args:
        operation: The operation.
        volumes: `(batch, channel, *space)`.
        rows: Which of them it touches, int64, rising, on the CPU.
        generator: Where all randomness comes from.
        magnitudes: Values of the operation's magnitudes.
        kept: What must not be written into. Where `volumes` lie in other memory, they are written
            into: a copy of the whole batch for each layer costs more than most layers.

    Raises:
        AugmentationError: The operation changed shape, dtype or device.
    """
    if len(rows) == len(volumes):
        return _applied(operation, volumes, generator, magnitudes)
    rows = rows.to(volumes.device, non_blocking=True)  # from ordinary memory: waits for nothing
    changed = _applied(operation, volumes.index_select(0, rows), generator, magnitudes)
    if _is_ours(volumes, kept) and not changed.requires_grad:
        return volumes.index_copy_(0, rows, changed)
    return volumes.index_copy(0, rows, changed)


def join_with_rows(
    operation: Augmentation,
    fusion: Fusion,
    rows: Tensor,
    generator: torch.Generator,
    magnitudes: Mapping[str, Any],
) -> None:
    """Draw for some volumes, one at least, and let the operation join a fusion with that."""
    volumes = fusion.volumes
    count = rows.size(0)
    alike = volumes if count == volumes.size(0) else volumes[:count]
    alike = alike.detach() if alike.requires_grad else alike
    device = _CPU if fusion.on_cpu else volumes.device
    draw = _drawn(operation, alike, generator, magnitudes, device)
    try:
        operation.join(fusion, rows, *draw)
    except (Exception, SystemExit) as error:
        if not _is_its_own(error):
            raise
        raise _told(error, operation, "join", count, magnitudes) from error


def check_kept(what: str, before: Tensor, after: Tensor) -> None:
    """Refuse a result of another shape, dtype or device than the volumes had.

    Raises:
        AugmentationError: It says what changed.
    """
    for kept in ("shape", "dtype", "device"):
        had, has = getattr(before, kept), getattr(after, kept)
        if had != has:
            raise AugmentationError(
                f"{what} changed the volumes' {kept} from {had} to {has}; an augmentation keeps "
                "shape, dtype and device"
            )


def _applied(
    operation: Augmentation,
    volumes: Tensor,
    generator: torch.Generator,
    magnitudes: Mapping[str, Any],
) -> Tensor:
    draw = _drawn(operation, volumes, generator, magnitudes, volumes.device)
    try:
        changed: object = operation.apply(volumes, *draw)
    except (Exception, SystemExit) as error:
        if not _is_its_own(error):
            raise
        raise _told(error, operation, "apply", len(volumes), magnitudes) from error
    if not isinstance(changed, Tensor):
        raise AugmentationError(
            f"{_name(operation)}.apply returned {_shown(changed)}, not the transformed volumes; "
            f"return a tensor; {_HELD}"
        )
    check_kept(f"{type(operation).__name__}.apply", volumes, changed)
    return changed


def _drawn(
    operation: Augmentation,
    volumes: Tensor,
    generator: torch.Generator,
    magnitudes: Mapping[str, Any],
    device: torch.device,
) -> tuple[Tensor, ...]:
    """Draw for these volumes, and return it on a device."""
    try:
        draw: object = operation.draw_for(volumes, generator, **magnitudes)
    except (Exception, SystemExit) as error:
        if not _is_its_own(error):
            raise
        raise _told(error, operation, "draw", len(volumes), magnitudes) from error
    rows = draw if isinstance(draw, tuple | list) else (draw,)
    for row in rows:
        if not isinstance(row, Tensor):
            raise AugmentationError(
                f"{_name(operation)}.draw returned {_shown(draw)}, not a tensor or a tuple of "
                f"tensors with a row for each volume; () if it draws nothing; {_HELD}"
            )
    return tuple(
        row if row.device == device else row.to(device, non_blocking=device.type != "cpu")
        for row in rows
    )


def _is_its_own(error: BaseException) -> bool:
    """Say whether it came out of the author's code, and is not yet told in words."""
    return not isinstance(error, MedpipeError) and is_the_operations(error)


def _told(
    error: BaseException,
    operation: Augmentation,
    doing: str,
    count: int,
    magnitudes: Mapping[str, Any],
) -> AugmentationError:
    """Tell what the author's code raised with its name."""
    named = "".join(f", {name}" for name in magnitudes)
    return AugmentationError(
        f"{_name(operation)}.{doing} failed for {counted(count, 'volume')} and "
        f"{dict(magnitudes)}: {in_words(error, type(operation).__module__)}. Write "
        f"draw(self, count, generator{', *' if named else ''}{named}) and "
        f"apply(self, volumes, *draw), and {_HELD}"
    )


def _name(operation: Augmentation) -> str:
    kind = type(operation)
    return f"{kind.__qualname__} ({kind.__module__})"


def _shown(found: object) -> str:
    return "nothing (None)" if found is None else f"a {type(found).__name__}"


def _is_ours(volumes: Tensor, kept: Tensor) -> bool:
    """Say whether volumes may be written into: no graph needs them, and they are not `kept`."""
    return (
        not volumes.requires_grad
        and volumes.is_contiguous()  # what is expanded is not
        and volumes.untyped_storage().data_ptr() != kept.untyped_storage().data_ptr()
    )
