"""The base of augmentation operations, and what neighbours fuse in."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from medpipe_core.errors import OperationError
from medpipe_core.space import declared_choices

if TYPE_CHECKING:
    from collections.abc import Sequence
    from collections.abc import Set as AbstractSet

    from medpipe_core.space import ValueChoice
    from medpipe_core.supernet.symmetry import Symmetry

Draw = Tensor | tuple[Tensor, ...]
Arrays = NDArray[Any] | tuple[NDArray[Any], ...]


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
        uniforms: How many uniform numbers its draw for one volume is made of, for one that writes
            `from_uniforms` instead of `draw`.
    """

    voxel_spacing: tuple[float, ...] | None = None
    fusion: ClassVar[type[Fusion] | None] = None
    changes: ClassVar[frozenset[str] | None] = None
    uniforms: ClassVar[int | None] = None
    _by_uniforms: ClassVar[bool] = False
    _joins_arrays: ClassVar[bool] = False
    # What hands the draw on in a fusion: one that is written over that of the class that draws
    # arrays may count on tensors.
    _joining: ClassVar[frozenset[str]] = frozenset({"join"})

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "apply" in vars(cls) and not {"join", "fusion"} & vars(cls).keys():
            cls.fusion = None  # what is inherited would do something else than this `apply`
        cls._by_uniforms = _overrides(cls, "from_uniforms", {"draw", "draw_for"})
        cls._joins_arrays = _overrides(cls, "from_uniforms", cls._joining)

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

        An operation that has `from_uniforms` need not write it.

        Returns:
            A tensor or a tuple of tensors, each with first dimension `count`; the empty tuple for
            an operation without randomness.
        """
        if self.uniforms is None:
            raise AugmentationError(
                f"{type(self).__name__} defines neither draw nor draw_for; write draw(self, count, "
                "generator, *, <its magnitudes>) and return one row per volume"
            )
        numbers = uniform_table(self.uniforms, count, generator).T
        drawn = self.from_uniforms(numbers, **magnitudes)
        if isinstance(drawn, np.ndarray):
            return as_tensor(drawn)
        return tuple(as_tensor(part) for part in drawn)

    def from_uniforms(self, numbers: NDArray[np.float32], *_: Any, **magnitudes: Any) -> Arrays:
        """Turn uniform numbers into what is drawn for as many volumes.

        A policy draws the numbers of all its operations in one go and hands each its own, which
        takes a fraction of the time of as many calls of `draw`. So nothing but the numbers and
        the magnitudes may decide what comes out, row by row.

        Args:
            numbers: In [0, 1), float32, `(count, uniforms)`, on the CPU; not to be written into.
            magnitudes: Its magnitudes.

        Returns:
            What `draw` returns, as arrays.
        """
        raise AugmentationError(
            f"{type(self).__name__} names uniforms, but does not define from_uniforms(self, "
            "numbers, *, <its magnitudes>)"
        )

    def check(self, volumes: Tensor) -> None:
        """Refuse volumes that it has no meaning for; by default it takes all.

        It is called before something is drawn by `from_uniforms`; other operations call it in their
        `draw_for`.
        """

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
                the fusion says `on_cpu`. There an operation that is drawn by `from_uniforms` gets
                what that returned, and the rows, as arrays, unless a subclass writes `join` anew.
        """
        raise AugmentationError(
            f"{type(self).__name__} names a fusion, but does not define join(self, fusion, rows, "
            "*draw)"
        )


def uniforms_of(operation: Augmentation) -> int | None:
    """Return how many uniform numbers make its draw for a volume; None if `draw` makes it."""
    return operation.uniforms if operation._by_uniforms else None


def joins_arrays(operation: Augmentation, fusion: Fusion) -> bool:
    """Say whether its `join` takes what `from_uniforms` returned as it is."""
    return fusion.on_cpu and operation._by_uniforms and operation._joins_arrays


def uniform_table(rows: int, count: int, generator: torch.Generator) -> NDArray[np.float32]:
    """Draw rows of numbers in [0, 1) for so many volumes, `(rows, count)`, onto the CPU."""
    single = torch.float32  # a draw does not depend on torch's default type
    drawn = torch.rand((rows, count), generator=generator, device=generator.device, dtype=single)
    table: NDArray[np.float32] = drawn.cpu().numpy()
    return table


def as_tensor(array: NDArray[Any]) -> Tensor:
    """Return a tensor on the CPU, on the same memory where torch can use it."""
    return torch.from_numpy(array if array.flags.carray else array.copy())


def _overrides(kind: type, name: str, others: AbstractSet[str]) -> bool:
    """Say whether a class or a base of it has a method that no subclass of that writes around."""
    for base in kind.__mro__:
        if name in vars(base):
            return base is not Augmentation
        if others & vars(base).keys():
            return False
    return False
