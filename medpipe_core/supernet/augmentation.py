"""The base of augmentation operations, and the stage that applies one to a batch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from medpipe_core.errors import MedpipeError, place_of
from medpipe_core.memory import out_of_memory
from medpipe_core.space import declared_choices

if TYPE_CHECKING:
    from collections.abc import Mapping

    from medpipe_core.space import ValueChoice

Draw = Tensor | tuple[Tensor, ...]


class AugmentationError(MedpipeError):
    """An augmentation failed or broke its contract: wrong draw, shape, dtype or device."""


class Augmentation:
    """One operation on a batch of volumes; searchable magnitudes are `ValueChoice` attributes.

    A subclass writes `draw` and `apply`, and nothing about probability, gates, logits or devices:
    whether a volume is touched at all (`p`) is the framework's business. Fixed parameters are
    keyword arguments of the constructor.

    Example:
        >>> from medpipe_core import ValueChoice
        >>> class Gamma(Augmentation):
        ...     '''Gamma contrast of intensities in [0, 1]: v ** g, g uniform in [low, high].'''
        ...     low = ValueChoice(0.5, 0.7, 0.9, gt=0)
        ...     high = ValueChoice(1.1, 1.3, 1.5, gt=0)
        ...     def draw(self, count, generator, *, low, high):
        ...         return torch.empty(count).uniform_(low, high, generator=generator)
        ...     def apply(self, volumes, gamma):
        ...         return volumes.clamp(0, 1) ** gamma.view(-1, 1, 1, 1, 1)
        >>> sorted(Gamma.magnitudes())
        ['high', 'low']
    """

    @classmethod
    def magnitudes(cls) -> dict[str, ValueChoice]:
        """Return the searchable magnitudes by name, those of base classes first."""
        return declared_choices(cls)

    def draw(self, count: int, generator: torch.Generator, *_: Any, **magnitudes: Any) -> Draw:
        """Draw the parameters of `count` volumes, on the generator's device.

        Returns:
            A tensor or a tuple of tensors, each with first dimension `count`; the empty tuple for
            an operation without randomness.
        """
        raise AugmentationError(
            f"{type(self).__name__} defines neither draw nor draw_for; write draw(self, count, "
            "generator, *, <its magnitudes>) and return one row per volume"
        )

    def draw_for(
        self, volumes: Tensor, generator: torch.Generator, *_: Any, **magnitudes: Any
    ) -> Draw:
        """Draw for these volumes; override it, instead of `draw`, where their shape matters."""
        return self.draw(len(volumes), generator, **magnitudes)

    def apply(self, volumes: Tensor, *draw: Any, **_: Any) -> Tensor:
        """Return the transformed volumes, shape, dtype and device kept, the input unchanged.

        Args:
            volumes: `(batch, channel, *space)`, intensities in [0, 1].
            draw: What `draw` returned, on the volumes' device.
        """
        raise AugmentationError(
            f"{type(self).__name__} does not define apply(self, volumes, *draw)"
        )


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
        AugmentationError: The operation raised an error, which is the cause, drew what is no row
            of tensors, or changed shape, dtype or device.
    """
    if p <= 0:
        return volumes
    touched = torch.rand(len(volumes), generator=generator, device=generator.device) < p
    where = touched.nonzero().squeeze(1).to(volumes.device)
    if len(where) == 0:
        return volumes
    chosen = volumes if len(where) == len(volumes) else volumes.index_select(0, where)
    changed = _changed(operation, chosen, generator, magnitudes)
    _check_kept(operation, chosen, changed)
    if len(where) == len(volumes):
        return changed
    return volumes.index_copy(0, where, changed)


def _changed(
    operation: Augmentation,
    volumes: Tensor,
    generator: torch.Generator,
    magnitudes: Mapping[str, Any],
) -> Tensor:
    """Draw and apply; what the author's code raises is told with its name."""
    doing = "draw"
    try:
        draw = operation.draw_for(volumes, generator, **magnitudes)
        rows = _on(volumes.device, draw, operation)
        doing = "apply"
        return operation.apply(volumes, *rows)
    except MedpipeError:
        raise
    except Exception as error:
        if out_of_memory(error):
            raise
        named = "".join(f", {name}" for name in magnitudes)
        raise AugmentationError(
            f"{_name(operation)}.{doing} failed for {len(volumes)} volumes and "
            f"{dict(magnitudes)}: {type(error).__name__}: {error}{place_of(error)}. Write "
            f"draw(self, count, generator{', *' if named else ''}{named}) and "
            f"apply(self, volumes, *draw), and {_HELD}"
        ) from error


_HELD = "hold it to medpipe_core.testing.AugmentationContract"


def _name(operation: Augmentation) -> str:
    kind = type(operation)
    return f"{kind.__qualname__} ({kind.__module__})"


def _on(device: torch.device, draw: object, operation: Augmentation) -> tuple[Tensor, ...]:
    rows = draw if isinstance(draw, tuple | list) else (draw,)
    for row in rows:
        if not isinstance(row, Tensor):
            raise AugmentationError(
                f"{_name(operation)}.draw returned {_shown(draw)}, not a tensor or a tuple of "
                f"tensors with a row for each volume; () if it draws nothing; {_HELD}"
            )
    return tuple(row.to(device) for row in rows)


def _shown(found: object) -> str:
    return "nothing (None)" if found is None else f"a {type(found).__name__}"


def _check_kept(operation: Augmentation, before: Tensor, after: object) -> None:
    if not isinstance(after, Tensor):
        raise AugmentationError(
            f"{_name(operation)}.apply returned {_shown(after)}, not the transformed volumes; "
            f"return a tensor; {_HELD}"
        )
    for what in ("shape", "dtype", "device"):
        had, has = getattr(before, what), getattr(after, what)
        if had != has:
            raise AugmentationError(
                f"{type(operation).__name__}.apply changed the volumes' {what} from {had} to {has};"
                " an augmentation keeps shape, dtype and device"
            )
