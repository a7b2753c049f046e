"""One operation on the volumes of a batch that it touches, and nothing on the others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from medpipe_core.computing import without_autocast
from medpipe_core.errors import MedpipeError, counted
from medpipe_core.supernet.augmentation import (
    Augmentation,
    AugmentationError,
    Fusion,
    as_tensor,
    joins_arrays,
)
from medpipe_core.supernet.drawing import Drawing
from medpipe_core.supernet.failing import in_words, is_the_operations

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from medpipe_core.supernet.drawing import Touched

    Numbers = NDArray[np.float32]

_CPU = torch.device("cpu")
_DRAW = "draw(self, count, generator"
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
    (touched,) = Drawing([(operation, p)])(len(volumes), generator)
    if touched.rows.size == 0:
        return volumes
    with without_autocast(volumes.device):
        return apply_to_rows(operation, volumes, touched, generator, magnitudes, kept=volumes)


def apply_to_rows(
    operation: Augmentation,
    volumes: Tensor,
    touched: Touched,
    generator: torch.Generator,
    magnitudes: Mapping[str, Any],
    *,
    kept: Tensor,
) -> Tensor:
    """Draw for some volumes, one at least, and apply; others are neither computed nor changed.

    Args:
        operation: The operation.
        volumes: `(batch, channel, *space)`.
        touched: Which of them it touches, and what is drawn for them already.
        generator: Where other randomness comes from.
        magnitudes: Values of the operation's magnitudes.
        kept: What must not be written into. Where `volumes` lie in other memory, they are written
            into: a copy of the whole batch for each layer costs more than most layers.

    Raises:
        AugmentationError: The operation changed shape, dtype or device.
    """
    numbers = touched.numbers
    if touched.rows.size == len(volumes):
        return _applied(operation, volumes, numbers, generator, magnitudes)
    rows = torch.from_numpy(touched.rows)
    rows = rows.to(volumes.device, non_blocking=True)  # from ordinary memory: waits for nothing
    part = volumes.index_select(0, rows)
    changed = _applied(operation, part, numbers, generator, magnitudes)
    if _is_ours(volumes, kept) and not changed.requires_grad:
        return volumes.index_copy_(0, rows, changed)
    return volumes.index_copy(0, rows, changed)


def join_with_rows(
    operation: Augmentation,
    fusion: Fusion,
    touched: Touched,
    generator: torch.Generator,
    magnitudes: Mapping[str, Any],
) -> None:
    """Draw for some volumes, one at least, and let the operation join a fusion with that."""
    volumes, count = fusion.volumes, touched.rows.size
    rows: Any
    draw: tuple[Any, ...]
    if touched.numbers is not None and joins_arrays(operation, fusion):
        rows, draw = touched.rows, _made(operation, volumes, touched.numbers, magnitudes)
    else:
        rows = torch.from_numpy(touched.rows)
        alike = volumes if count == volumes.size(0) else volumes[:count]
        alike = alike.detach() if alike.requires_grad else alike
        device = _CPU if fusion.on_cpu else volumes.device
        draw = _drawn(operation, alike, touched.numbers, generator, magnitudes, device)
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
    if (before.shape, before.dtype, before.device) == (after.shape, after.dtype, after.device):
        return
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
    numbers: Numbers | None,
    generator: torch.Generator,
    magnitudes: Mapping[str, Any],
) -> Tensor:
    draw = _drawn(operation, volumes, numbers, generator, magnitudes, volumes.device)
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
    numbers: Numbers | None,
    generator: torch.Generator,
    magnitudes: Mapping[str, Any],
    device: torch.device,
) -> tuple[Tensor, ...]:
    """Draw for these volumes, or make the draw of numbers, and return it on a device."""
    if numbers is not None:
        arrays = _made(operation, volumes, numbers, magnitudes)
        return tuple(_on(as_tensor(array), device) for array in arrays)
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
    return tuple(_on(row, device) for row in rows)


def _made(
    operation: Augmentation, volumes: Tensor, numbers: Numbers, magnitudes: Mapping[str, Any]
) -> tuple[NDArray[Any], ...]:
    """Make the draw for some of these volumes of uniform numbers."""
    try:
        operation.check(volumes)
        draw: object = operation.from_uniforms(numbers, **magnitudes)
    except (Exception, SystemExit) as error:
        if not _is_its_own(error):
            raise
        raise _told(error, operation, "from_uniforms", len(numbers), magnitudes) from error
    rows = draw if isinstance(draw, tuple | list) else (draw,)
    for row in rows:
        if not isinstance(row, np.ndarray):
            raise AugmentationError(
                f"{_name(operation)}.from_uniforms returned {_shown(draw)}, not an array or a "
                f"tuple of arrays with a row for each volume; () if it draws nothing; {_HELD}"
            )
    return tuple(rows)


def _on(row: Tensor, device: torch.device) -> Tensor:
    return row if row.device == device else row.to(device, non_blocking=device.type != "cpu")


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
    drawing = "from_uniforms(self, numbers" if doing == "from_uniforms" else _DRAW
    return AugmentationError(
        f"{_name(operation)}.{doing} failed for {counted(count, 'volume')} and "
        f"{dict(magnitudes)}: {in_words(error, type(operation).__module__)}. Write "
        f"{drawing}{', *' if named else ''}{named}) and "
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
