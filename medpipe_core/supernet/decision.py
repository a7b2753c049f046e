"""What a searcher decides for one step: a genotype and, for gradient searchers, its gates."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import torch

from medpipe_core.frozen_mapping import FrozenMapping

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from medpipe_core.space import Genotype


@dataclass(frozen=True)
class Decision:
    """The only truth of one search step.

    Attributes:
        genotype: The path to run.
        gates: Choice path → scalar float32 tensor of value exactly 1.0, part of the searcher's
            graph. The output of the operation that a choice governs is multiplied by its gate, so
            the gate's gradient is what the paper's equations 3 and 4 send to the logits. A choice
            without a gate gets no gradient.
        network: Name of a fixed network that runs in place of the path's; None for the path's.
            The path's augmentations act in either case.
    """

    genotype: Genotype
    gates: Mapping[str, torch.Tensor] = field(default_factory=FrozenMapping)
    network: str | None = None

    def __deepcopy__(self, memo: dict[int, Any]) -> Decision:
        # As pickling does: a copied gate is no part of the searcher's graph.
        gates = {
            path: gate.detach().clone().requires_grad_(gate.requires_grad)
            for path, gate in self.gates.items()
        }
        return replace(self, genotype=copy.deepcopy(self.genotype, memo), gates=gates)

    def detached(self) -> Decision:
        """Return the same path without gates: for the step on the weights."""
        return replace(self, gates={})

    def gate(self, paths: Iterable[str]) -> torch.Tensor | None:
        """Return the product of the gates of some choices, or None where there is none."""
        gates = [self.gates[path] for path in paths if path in self.gates]
        if not gates:
            return None
        return gates[0] if len(gates) == 1 else torch.stack(gates).prod()
