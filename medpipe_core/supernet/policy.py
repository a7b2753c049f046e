"""An augmentation policy: the augmentations a genotype describes, applied in their order."""

from __future__ import annotations

from itertools import chain, islice
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from medpipe_core.computing import without_autocast
from medpipe_core.supernet.building import (
    AUGMENTATION,
    BindingError,
    build_augmentation,
    catalogue_of,
    check_plugins,
)
from medpipe_core.supernet.drawing import Drawing
from medpipe_core.supernet.gate import gated
from medpipe_core.supernet.stages import PolicyLayer, Stage, stages_of
from medpipe_core.supernet.symmetry import generated

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from medpipe_core.space import Catalogue, Genotype, SearchSpace, Step
    from medpipe_core.supernet.decision import Decision
    from medpipe_core.supernet.symmetry import Symmetry


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
        self._stages = stages_of(self.layers)
        self._drawing = Drawing((layer.operation, layer.p) for layer in self.layers)

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
        return self._run([Stage((layer,)) for layer in self.layers], volumes, generator, decision)

    def outputs(
        self, volumes: Tensor, generator: torch.Generator
    ) -> Iterator[tuple[PolicyLayer, Tensor]]:
        """Iterate over the layers and the batch after each, with the same draws, layer by layer.

        A batch may be written into as soon as the next one is asked for.
        """
        given = volumes
        touched = self._drawing(len(volumes), generator)
        for layer, rows in zip(self.layers, touched, strict=True):
            with without_autocast(volumes.device):
                volumes = Stage((layer,)).run(volumes, [rows], generator, kept=given)
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
        stages: Iterable[Stage],
        volumes: Tensor,
        generator: torch.Generator,
        decision: Decision | None,
    ) -> Tensor:
        touched = iter(self._drawing(volumes.shape[0], generator))
        given = volumes
        with without_autocast(volumes.device):
            for stage in chain.from_iterable(stage.parts(decision) for stage in stages):
                rows = list(islice(touched, len(stage.layers)))
                volumes = stage.run(volumes, rows, generator, kept=given)
                if decision is not None:
                    volumes = gated(volumes, decision.gate(stage.choices))
        return volumes

    def extra_repr(self) -> str:
        """Show one layer a line."""
        return "\n".join(
            f"{layer.path}: {dict(layer.magnitudes) or '-'}; p={layer.p}" for layer in self.layers
        )


class ScheduledPolicy:
    """Policies that a training goes through one after another, each for an equal stretch.

    Args:
        policies: One at least, in the order of the training.
    """

    def __init__(self, policies: Sequence[Policy]) -> None:
        self._policies = tuple(policies)

    def at(self, step: int, steps: int) -> Policy:
        """Return the policy of a step, from 0, of a training of so many."""
        return self._policies[step * len(self._policies) // steps]


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
