"""An augmentation policy: the augmentations a genotype describes, applied in their order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from medpipe_core.supernet.augmentation import Augmentation, AugmentationError, augment_batch
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
        name: Its registered name, or the empty text.
    """

    path: str
    operation: Augmentation
    p: float
    magnitudes: Mapping[str, Any]
    choices: tuple[str, ...]
    name: str = ""


class Policy(nn.Module):
    """The augmentations of one genotype, for whole batches.

    It has no weights and no state: `policy(volumes, generator)` returns augmented volumes,
    `(batch, channel, *space)` as they came, each volume with its own draws.

    Args:
        layers: What is applied, in this order.
        catalogue: Who made the operations, to be named where one fails; None if that is unknown.
    """

    def __init__(
        self, layers: Iterable[PolicyLayer] = (), *, catalogue: Catalogue | None = None
    ) -> None:
        super().__init__()
        self.layers = tuple(layers)
        self._catalogue = catalogue

    def forward(
        self, volumes: Tensor, generator: torch.Generator, decision: Decision | None = None
    ) -> Tensor:
        """Augment a batch; with a decision, its gates multiply each layer's output.

        Raises:
            AugmentationError: A layer failed; the text has its place and where it comes from.
        """
        for layer in self.layers:
            try:
                volumes = augment_batch(
                    layer.operation, volumes, generator, p=layer.p, magnitudes=layer.magnitudes
                )
            except AugmentationError as error:
                raise AugmentationError(f"{self._who(layer)}: {error}") from error
            if decision is not None:
                volumes = gated(volumes, decision.gate(layer.choices))
        return volumes

    def _who(self, layer: PolicyLayer) -> str:
        if self._catalogue is None or not layer.name:
            return layer.path
        origin = " ".join(self._catalogue.origin(AUGMENTATION, layer.name))
        return f"{layer.path}: augmentation {layer.name!r} of {origin}"

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
    layers = (_layer(step, catalogue) for step in steps if step.kind == AUGMENTATION)
    return Policy(layers, catalogue=catalogue)


def _layer(step: Step, catalogue: Catalogue) -> PolicyLayer:
    operation, magnitudes = build_augmentation(catalogue, step)
    return PolicyLayer(
        path=step.path,
        operation=operation,
        p=_probability(step),
        magnitudes=magnitudes,
        choices=tuple(step.choices),
        name=step.name,
    )


def _probability(step: Step) -> float:
    p = step.parameters.get("p", 1.0)
    if not isinstance(p, int | float) or not 0 <= p <= 1:
        raise BindingError(f"{step.path}: p must be a probability in [0, 1], but is {p!r}")
    return float(p)
