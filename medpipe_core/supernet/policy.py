"""An augmentation policy: the augmentations a genotype describes, applied in their order."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from medpipe_core.computing import without_autocast
from medpipe_core.errors import MedpipeError
from medpipe_core.supernet.applying import (
    apply_to_rows,
    check_kept,
    draw_touched,
    join_with_rows,
)
from medpipe_core.supernet.augmentation import Augmentation, AugmentationError, Fusion
from medpipe_core.supernet.building import (
    AUGMENTATION,
    BindingError,
    build_augmentation,
    catalogue_of,
    check_plugins,
)
from medpipe_core.supernet.failing import in_words, is_the_operations
from medpipe_core.supernet.gate import gated
from medpipe_core.supernet.symmetry import generated

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from medpipe_core.space import Catalogue, Genotype, SearchSpace, Step
    from medpipe_core.supernet.decision import Decision
    from medpipe_core.supernet.symmetry import Symmetry


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
class _Stage:
    """Neighbouring layers that are one pass over the batch."""

    layers: tuple[PolicyLayer, ...]
    fusion: type[Fusion] | None = None

    def run(
        self, volumes: Tensor, touched: Sequence[Tensor], source: torch.Generator, *, kept: Tensor
    ) -> Tensor:
        """Augment the volumes that each layer touches; `kept` is not written into."""
        with without_autocast(volumes.device):
            return self._run(volumes, touched, source, kept)

    def _run(
        self, volumes: Tensor, touched: Sequence[Tensor], source: torch.Generator, kept: Tensor
    ) -> Tensor:
        acting = [pair for pair in zip(self.layers, touched, strict=True) if pair[1].size(0)]
        if not acting:
            return volumes
        everyone = tuple(layer for layer, _ in acting)
        at, author = everyone, ""
        try:
            if self.fusion is None:
                for layer, rows in acting:
                    at = (layer,)
                    volumes = apply_to_rows(
                        layer.operation, volumes, rows, source, layer.magnitudes, kept=kept
                    )
                return volumes
            author = self.fusion.__module__
            fusion = self.fusion(volumes)
            for layer, rows in acting:
                at, author = (layer,), ""
                join_with_rows(layer.operation, fusion, rows, source, layer.magnitudes)
            at, author = everyone, self.fusion.__module__
            fused = fusion.result()
            check_kept(f"{self.fusion.__name__}.result", volumes, fused)
        except (Exception, SystemExit) as error:
            if not (isinstance(error, AugmentationError) or is_the_operations(error)):
                raise
            raise _named(error, at, author) from error
        return fused

    def parts(self, decision: Decision | None) -> Iterable[_Stage]:
        """Return this stage, or its layers apart where gates are to be multiplied between them."""
        if self.fusion is None or self.fusion.linear or decision is None:
            return (self,)
        if decision.gate(self.choices) is None:
            return (self,)
        return [_Stage((layer,), self.fusion) for layer in self.layers]

    @cached_property
    def choices(self) -> tuple[str, ...]:
        """The choices that govern its layers; one that governs two is there twice."""
        return tuple(path for layer in self.layers for path in layer.choices)


def _named(error: BaseException, layers: Sequence[PolicyLayer], author: str) -> AugmentationError:
    """Tell which layers failed, and where they come from."""
    who = ", ".join(f"{one.path}: {one.origin}" if one.origin else one.path for one in layers)
    said = str(error) if isinstance(error, MedpipeError) else in_words(error, author)
    return AugmentationError(f"{who}: {said}")


class Policy(nn.Module):
    """The augmentations of one genotype, for whole batches.

    It has no weights and no state: `policy(volumes, generator)` returns augmented volumes,
    `(batch, channel, *space)` as they came, each volume with its own draws. Neighbouring layers
    with the same `fusion` are one pass over the batch. It computes in the volumes' own precision,
    inside of `torch.autocast` too.
    """

    def __init__(self, layers: Iterable[PolicyLayer] = ()) -> None:
        super().__init__()
        self.layers = tuple(layers)
        self._stages = _stages(self.layers)
        self._active = [layer.p for layer in self.layers if layer.p > 0]

    def forward(
        self, volumes: Tensor, generator: torch.Generator, decision: Decision | None = None
    ) -> Tensor:
        """Augment a batch; with a decision, its gates multiply each layer's output.

        Where what is fused is linear the gates multiply after the last of its layers; other layers
        with gates are not fused.

        Raises:
            AugmentationError: A layer failed; the text has its place and where it comes from.
        """
        return self._run(self._stages, volumes, generator, decision)

    def layer_by_layer(
        self, volumes: Tensor, generator: torch.Generator, decision: Decision | None = None
    ) -> Tensor:
        """Augment a batch with the same draws, but apply each layer by itself: for comparison."""
        return self._run([_Stage((layer,)) for layer in self.layers], volumes, generator, decision)

    def outputs(
        self, volumes: Tensor, generator: torch.Generator
    ) -> Iterator[tuple[PolicyLayer, Tensor]]:
        """Iterate over the layers and the batch after each, with the same draws, layer by layer.

        A batch may be written into as soon as the next one is asked for.
        """
        given = volumes
        touched = self._draw_touched(len(volumes), generator)
        for layer, rows in zip(self.layers, touched, strict=True):
            volumes = _Stage((layer,)).run(volumes, [rows], generator, kept=given)
            yield layer, volumes

    def symmetries(self, size: Sequence[int]) -> tuple[Symmetry, ...]:
        """Return every exact symmetry that its layers make together, the identity left out.

        Each layer that acts says which it may do (`Augmentation.symmetries`).

        Args:
            size: Spatial size of the volumes, which every one keeps.
        """
        makers = [
            symmetry
            for layer in self.layers
            if layer.p > 0
            for symmetry in layer.operation.symmetries(len(size), **layer.magnitudes)
            if symmetry.keeps(size)
        ]
        return generated(makers, len(size))

    @torch.no_grad()
    def not_finite_from(self, volumes: Tensor, drawn: Tensor) -> str:
        """Say which layer made the first values that are not finite, or nothing if none did.

        Args:
            volumes: A batch that was augmented.
            drawn: State of the generator on the CPU before that; all is drawn again from it.
        """
        generator = torch.Generator()
        generator.set_state(drawn)
        for layer, augmented in self.outputs(volumes, generator):
            if not augmented.isfinite().all():
                return f"{layer.origin} ({layer.path}) made values that are not finite"
        return ""

    def _run(
        self,
        stages: Iterable[_Stage],
        volumes: Tensor,
        generator: torch.Generator,
        decision: Decision | None,
    ) -> Tensor:
        touched = iter(self._draw_touched(volumes.shape[0], generator))
        given = volumes
        for stage in chain.from_iterable(stage.parts(decision) for stage in stages):
            rows = list(islice(touched, len(stage.layers)))
            volumes = stage.run(volumes, rows, generator, kept=given)
            if decision is not None:
                volumes = gated(volumes, decision.gate(stage.choices))
        return volumes

    def _draw_touched(self, count: int, generator: torch.Generator) -> list[Tensor]:
        """Draw which volumes each layer touches; for one that touches none nothing is drawn."""
        drawn = draw_touched(self._active, count, generator)
        if len(drawn) == len(self.layers):
            return drawn
        touched = iter(drawn)
        nothing = torch.empty(0, dtype=torch.int64)
        return [next(touched) if layer.p > 0 else nothing for layer in self.layers]

    def extra_repr(self) -> str:
        """Show one layer a line."""
        return "\n".join(
            f"{layer.path}: {dict(layer.magnitudes) or '-'}; p={layer.p}" for layer in self.layers
        )


def build_policy(
    space: SearchSpace,
    genotype: Genotype,
    *,
    catalogue: Catalogue | None = None,
    spacing: tuple[float, ...] | None = None,
) -> Policy:
    """Build the policy that a genotype describes; augmentations without effect are left out.

    Args:
        space: Where the genotype is from.
        genotype: What is built.
        catalogue: Who makes the operations; the space's own by default.
        spacing: Millimetres between the volumes' voxels along each axis; None for cubes.

    Raises:
        InvalidGenotypeError: The genotype is not of this space.
        BindingError: An augmentation could not be built.
    """
    catalogue = catalogue_of(space, catalogue)
    check_plugins(genotype, catalogue)
    steps = [step for step in space.resolve(genotype) if not step.neutral]
    return policy_from_steps(steps, catalogue, spacing)


def policy_from_steps(
    steps: Iterable[Step], catalogue: Catalogue, spacing: tuple[float, ...] | None = None
) -> Policy:
    """Build the policy of resolved steps, in their order; steps of other kinds are passed over."""
    return Policy(_layer(step, catalogue, spacing) for step in steps if step.kind == AUGMENTATION)


def _stages(layers: Iterable[PolicyLayer]) -> tuple[_Stage, ...]:
    """Part layers into passes; one that touches nothing goes with the pass before it."""
    stages: list[_Stage] = []
    for layer in layers:
        fusion = layer.operation.fusion
        last = stages[-1] if stages else _Stage(())
        if stages and (layer.p <= 0 or (fusion is not None and fusion is last.fusion)):
            stages[-1] = replace(last, layers=(*last.layers, layer))
        else:
            stages.append(_Stage((layer,), fusion))
    return tuple(stages)


def _layer(step: Step, catalogue: Catalogue, spacing: tuple[float, ...] | None) -> PolicyLayer:
    operation, magnitudes = build_augmentation(catalogue, step)
    operation.voxel_spacing = spacing
    origin = " ".join(catalogue.origin(AUGMENTATION, step.name))
    return PolicyLayer(
        path=step.path,
        operation=operation,
        p=_probability(step),
        magnitudes=magnitudes,
        choices=tuple(step.choices),
        origin=f"augmentation {step.name!r} of {origin}",
    )


def _probability(step: Step) -> float:
    p = step.parameters.get("p", 1.0)
    if not isinstance(p, int | float) or not 0 <= p <= 1:
        raise BindingError(f"{step.path}: p must be a probability in [0, 1], but is {p!r}")
    return float(p)
