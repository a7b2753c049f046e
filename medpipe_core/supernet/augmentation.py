"""The base of augmentation operations, and what neighbours fuse in."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor

from medpipe_core.errors import OperationError
from medpipe_core.space import declared_choices

if TYPE_CHECKING:
    from collections.abc import Sequence

    from medpipe_core.space import ValueChoice
    from medpipe_core.supernet.symmetry import Symmetry

Draw = Tensor | tuple[Tensor, ...]


class AugmentationError(OperationError):
    """An augmentation failed or broke its contract: wrong draw, shape, dtype or device."""


class Fusion(ABC):
    """What neighbouring operations of a policy are composed in, for one batch of volumes.

    A policy makes one for each run of layers whose operations name this class as their `fusion`,
    lets each layer `join` it with its draw, in order, and takes the `result`. Where what it does is
    linear in the volumes, the gates of its layers are multiplied after it.

    Attributes:
        linear: Whether it is. Where it is not, layers whose gates are asked for are not fused.
        on_cpu: Whether operations join it with draws on the CPU, whatever device the volumes are
            on: where draws are composed there, and the device is told once what to do.

    Args:
        volumes: `(batch, channel, *space)`, not to be written into.
    """

    linear: ClassVar[bool] = True
    on_cpu: ClassVar[bool] = False

    def __init__(self, volumes: Tensor) -> None:
        self.volumes = volumes

    @abstractmethod
    def result(self) -> Tensor:
        """Return the batch after everything that joined; what nothing was done to keeps its bits.

        Shape, dtype and device are kept.
        """


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

    Attributes:
        voxel_spacing: Millimetres between the volumes' voxels along each axis of space; None where
            that is not known. The framework sets it before anything is drawn.
        fusion: The class in which neighbouring operations are composed, for one that has `join`. A
            subclass with an `apply` of its own and no `join` is not fused.
        changes: What it changes of what a task may be about, words of `space.MEANINGS` or others,
            so that users can forbid it by meaning: `frozenset({"side"})` of a flip. None says
            nothing, and is refused wherever something is forbidden.
    """

    voxel_spacing: tuple[float, ...] | None = None
    fusion: ClassVar[type[Fusion] | None] = None
    changes: ClassVar[frozenset[str] | None] = None

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "apply" in vars(cls) and not {"join", "fusion"} & vars(cls).keys():
            cls.fusion = None  # what is inherited would do something else than this `apply`

    @classmethod
    def magnitudes(cls) -> dict[str, ValueChoice]:
        """Return the searchable magnitudes by name, those of base classes first."""
        return declared_choices(cls)

    def symmetries(self, axes: int, *_: Any, **magnitudes: Any) -> Sequence[Symmetry]:
        """Return the exact symmetries of volumes that it may do; by default none.

        They are what predictions can be averaged over at the test, where the policy has it.

        Args:
            axes: Axes of space.
            magnitudes: Its magnitudes.
        """
        return ()

    def draw(self, count: int, generator: torch.Generator, *_: Any, **magnitudes: Any) -> Draw:
        """Draw the parameters of `count` volumes, on the generator's device or the CPU.

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
        """Draw for these volumes; override it, instead of `draw`, where their shape matters.

        An operation with a `fusion` is handed volumes of the right shape, dtype and device, but not
        those that it will act on.
        """
        return self.draw(volumes.shape[0], generator, **magnitudes)

    def apply(self, volumes: Tensor, *draw: Any, **_: Any) -> Tensor:
        """Return the transformed volumes, shape, dtype and device kept, the input unchanged.

        Args:
            volumes: `(batch, channel, *space)`, intensities in [0, 1].
            draw: What `draw` returned, on the volumes' device.
        """
        raise AugmentationError(
            f"{type(self).__name__} does not define apply(self, volumes, *draw)"
        )

    def join(self, fusion: Any, rows: Tensor, *draw: Any, **_: Any) -> None:
        """Add to a fusion what this operation does to some of its volumes.

        Args:
            fusion: An object of the class `fusion`.
            rows: Which volumes, int64, rising, `(count,)`, on the CPU.
            draw: What `draw` returned for so many, on the volumes' device, or on the CPU where
                the fusion says `on_cpu`.
        """
        raise AugmentationError(
            f"{type(self).__name__} names a fusion, but does not define join(self, fusion, rows, "
            "*draw)"
        )
