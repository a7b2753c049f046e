"""One pass over a batch: neighbouring layers of a policy that are fused, or one alone."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from medpipe_core.errors import MedpipeError
from medpipe_core.supernet.applying import apply_to_rows, check_kept, join_with_rows
from medpipe_core.supernet.augmentation import Augmentation, AugmentationError, Fusion
from medpipe_core.supernet.failing import in_words, is_the_operations

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import torch
    from torch import Tensor

    from medpipe_core.supernet.decision import Decision
    from medpipe_core.supernet.drawing import Touched


@dataclass(frozen=True)
class PolicyLayer:
    """One augmentation with its chosen values.

    Attributes:
        path: Where the operation stands in the space.
        operation: What is applied.
        p: Probability in [0, 1] that a volume is touched.
        magnitudes: Chosen values of the operation's magnitudes.
        choices: The paths of the choices that govern it.
        origin: Who made the operation, to be named where it fails.
    """

    path: str
    operation: Augmentation
    p: float
    magnitudes: Mapping[str, Any]
    choices: tuple[str, ...]
    origin: str = ""


@dataclass(frozen=True)
class Stage:
    """Neighbouring layers that are one pass over the batch."""

    layers: tuple[PolicyLayer, ...]
    fusion: type[Fusion] | None = None

    def run(
        self, volumes: Tensor, touched: Sequence[Touched], source: torch.Generator, *, kept: Tensor
    ) -> Tensor:
        """Augment the volumes that each layer touches, where autocast is off.

        Args:
            volumes: `(batch, channel, *space)`.
            touched: What is drawn for each layer.
            source: Where other randomness comes from.
            kept: What is not written into.
        """
        acting = [pair for pair in zip(self.layers, touched, strict=True) if pair[1].rows.size]
        if not acting:
            return volumes
        everyone = [layer for layer, _ in acting]
        at, author = everyone, ""
        try:
            if self.fusion is None:
                for layer, rows in acting:
                    at = [layer]
                    volumes = apply_to_rows(
                        layer.operation, volumes, rows, source, layer.magnitudes, kept=kept
                    )
                return volumes
            author = self.fusion.__module__
            fusion = self.fusion(volumes)
            for layer, rows in acting:
                at, author = [layer], ""
                join_with_rows(layer.operation, fusion, rows, source, layer.magnitudes)
            at, author = everyone, self.fusion.__module__
            fused = fusion.result()
            check_kept(f"{self.fusion.__name__}.result", volumes, fused)
        except (Exception, SystemExit) as error:
            if not (isinstance(error, AugmentationError) or is_the_operations(error)):
                raise
            raise _named(error, at, author) from error
        return fused

    def parts(self, decision: Decision | None) -> Iterable[Stage]:
        """Return this stage, or its layers apart where gates are to be multiplied between them."""
        if self.fusion is None or self.fusion.linear or decision is None:
            return (self,)
        if decision.gate(self.choices) is None:
            return (self,)
        return [Stage((layer,), self.fusion) for layer in self.layers]

    @cached_property
    def choices(self) -> tuple[str, ...]:
        """The choices that govern its layers; one that governs two is there twice."""
        return tuple(path for layer in self.layers for path in layer.choices)


def stages_of(layers: Iterable[PolicyLayer]) -> tuple[Stage, ...]:
    """Part layers into passes; one that touches nothing goes with the pass before it."""
    stages: list[Stage] = []
    for layer in layers:
        fusion = layer.operation.fusion
        last = stages[-1] if stages else Stage(())
        if stages and (layer.p <= 0 or (fusion is not None and fusion is last.fusion)):
            stages[-1] = replace(last, layers=(*last.layers, layer))
        else:
            stages.append(Stage((layer,), fusion))
    return tuple(stages)


def _named(error: BaseException, layers: Sequence[PolicyLayer], author: str) -> AugmentationError:
    """Tell which layers failed, and where they come from."""
    who = ", ".join(f"{one.path}: {one.origin}" if one.origin else one.path for one in layers)
    said = str(error) if isinstance(error, MedpipeError) else in_words(error, author)
    return AugmentationError(f"{who}: {said}")
