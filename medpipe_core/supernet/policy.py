"""An augmentation policy: the augmentations a genotype describes, applied in their order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from medpipe_core.supernet.augmentation import Augmentation, augment_batch
from medpipe_core.supernet.binding import (
    AUGMENTATION,
    BindingError,
    build_augmentation,
    catalogue_of,
    check_plugins,
)
from medpipe_core.supernet.gate import gated

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from medpipe_core.space import Catalogue, Genotype, SearchSpace, Step
    from medpipe_core.supernet.decision import Decision


@dataclass(frozen=True)
class PolicyLayer:
    """One augmentation with its chosen values.

    Attributes:
        path: Where the operation stands in the space.
        operation: What is applied.
        p: Probability in [0, 1] that a volume is touched.
        magnitudes: Chosen values of the operation's magnitudes.
        choices: The paths of the choices that govern it.
    """

    path: str
    operation: Augmentation
    p: float
    magnitudes: Mapping[str, Any]
    choices: tuple[str, ...]


class Policy(nn.Module):
    """The augmentations of one genotype, for whole batches.

    It has no weights and no state: `policy(volumes, generator)` returns augmented volumes,
    `(batch, channel, *space)` as they came, each volume with its own draws.
    """

    def __init__(self, layers: Iterable[PolicyLayer] = ()) -> None:
        super().__init__()
        self.layers = tuple(layers)

    def forward(
        self, volumes: Tensor, generator: torch.Generator, decision: Decision | None = None
    ) -> Tensor:
        """Augment a batch; with a decision, its gates multiply each layer's output."""
        for layer in self.layers:
            volumes = augment_batch(
                layer.operation, volumes, generator, p=layer.p, magnitudes=layer.magnitudes
            )
            if decision is not None:
                volumes = gated(volumes, decision.gate(layer.choices))
        return volumes

    def extra_repr(self) -> str:
        """Show one layer a line."""
        return "\n".join(
            f"{layer.path}: {dict(layer.magnitudes) or '-'}; p={layer.p}" for layer in self.layers
        )


def build_policy(
    space: SearchSpace, genotype: Genotype, *, catalogue: Catalogue | None = None
) -> Policy:
    """Build the policy that a genotype describes; augmentations without effect are left out.

    Raises:
        InvalidGenotypeError: The genotype is not of this space.
        BindingError: An augmentation could not be built.
    """
    catalogue = catalogue_of(space, catalogue)
    check_plugins(genotype, catalogue)
    steps = [step for step in space.resolve(genotype) if not step.neutral]
    return policy_from_steps(steps, catalogue)


def policy_from_steps(steps: Iterable[Step], catalogue: Catalogue) -> Policy:
    """Build the policy of resolved steps, in their order; steps of other kinds are passed over."""
    return Policy(_layer(step, catalogue) for step in steps if step.kind == AUGMENTATION)


def _layer(step: Step, catalogue: Catalogue) -> PolicyLayer:
    operation, magnitudes = build_augmentation(catalogue, step)
    return PolicyLayer(
        path=step.path,
        operation=operation,
        p=_probability(step),
        magnitudes=magnitudes,
        choices=tuple(step.choices),
    )


def _probability(step: Step) -> float:
    p = step.parameters.get("p", 1.0)
    if not isinstance(p, int | float) or not 0 <= p <= 1:
        raise BindingError(f"{step.path}: p must be a probability in [0, 1], but is {p!r}")
    return float(p)
