"""Everything a search is between two steps, and what it is handed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import torch

from medpipe_core.computing import Computing
from medpipe_core.errors import MedpipeError
from medpipe_core.search.checked_searcher import CheckedSearcher
from medpipe_core.search.optimiser_state import optimiser_state, restore_optimiser_state
from medpipe_core.search.step_state import StepState
from medpipe_core.seeding import TorchStream, child_seed
from medpipe_core.space import Genotype

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from torch import nn

    from medpipe_core.search.batch_source import BatchSource
    from medpipe_core.search.searcher import Searcher
    from medpipe_core.search.settings import SearchSettings
    from medpipe_core.supernet import Supernet


class ScoreError(MedpipeError):
    """A candidate cannot be scored; it fails alone, and the search goes on."""


class Score(Protocol):
    """Scores a genotype as it would be exported."""

    def __call__(self, genotype: Genotype, network: nn.Module, /) -> Mapping[str, float]:
        """Return figures, among them `score`: larger is better.

        Raises:
            ScoreError: This one cannot be scored; the text says why.
        """


@dataclass(frozen=True)
class Scored:
    """What came of scoring one proposal.

    Attributes:
        genotype: The proposal.
        figures: Figures, among them `score`: larger is better. Empty if it failed.
        failed: Why it failed, or the empty text.
        seconds: What it took.
        rung: How far up a race it came, from 0.
        dropped: Whether others of its race went on from there.
    """

    genotype: Genotype
    figures: Mapping[str, float]
    failed: str = ""
    seconds: float = 0.0
    rung: int = 0
    dropped: bool = False


class Scoring(ABC):
    """Scores the proposals of an epoch together, where a `Score` has them one by one."""

    @abstractmethod
    def scored(self, proposed: Sequence[Genotype]) -> Iterator[Scored]:
        """Yield what came of each, in their order."""


@dataclass(frozen=True)
class Candidate:
    """A genotype that was scored during the search.

    Attributes:
        genotype: What was scored.
        epoch: After which epoch, from 1.
        figures: What the scoring found; `score` ranks.
        rung: How far up a race it came; a higher one goes before every score below.
    """

    genotype: Genotype
    epoch: int
    figures: Mapping[str, float]
    rung: int = 0

    @property
    def score(self) -> float:
        """The figure of merit, larger is better."""
        return self.figures["score"]


@dataclass(kw_only=True)
class SearchState(StepState):
    """Everything a search is, between two steps: what a step works with, and the rest.

    Attributes:
        searcher: The searcher.
        admit: Says whether a genotype keeps the budget; None to ask the searcher itself.
        who: The searcher's name for messages, or the empty text.
        epoch: Epochs done, the scoring of their candidates included.
        failures: Steps that failed in a row.
        seconds: What steps and scoring took so far.
        candidates: What was scored so far.
    """

    searcher: Searcher
    admit: Callable[[Genotype], bool] | None = None
    who: str = ""
    epoch: int = 0
    failures: int = 0
    seconds: float = 0.0
    candidates: list[Candidate] = field(default_factory=list)

    @classmethod
    def start(
        cls,
        supernet: Supernet,
        searcher: Searcher,
        training: BatchSource,
        validation: BatchSource,
        *,
        settings: SearchSettings,
        seed: int,
        admit: Callable[[Genotype], bool] | None = None,
        who: str = "",
        computing: Computing | None = None,
    ) -> SearchState:
        """Return the state before the first step; in float32 and whole batches by default."""
        device = next(supernet.parameters()).device
        optimiser = torch.optim.Adam(
            supernet.parameters(),
            lr=settings.weights_lr,
            weight_decay=settings.weight_decay,
            fused=True,
        )
        generator = torch.Generator()  # on the CPU, whatever the device: nothing waits for a draw
        generator.manual_seed(child_seed(seed, "search", "augmentation"))
        computing = computing or Computing(device)
        return cls(
            supernet=supernet,
            searcher=searcher,
            optimiser=optimiser,
            training=training,
            validation=validation,
            generator=generator,
            stream=TorchStream(child_seed(seed, "search", "torch"), device),
            computing=computing,
            scaler=computing.scaler(),
            admit=admit,
            who=who,
        )

    @property
    def asked(self) -> CheckedSearcher:
        """The searcher, its answers checked."""
        return CheckedSearcher(self.searcher, self.supernet.space, admit=self.admit, who=self.who)

    def state_dict(self) -> dict[str, Any]:
        """Return the state as plain values and tensors, by names.

        The tensors of weights and optimiser are those in use: write or copy them before the next
        step.
        """
        return {
            "supernet": self.supernet.state_dict(),
            "searcher": self.searcher.state_dict(),
            "optimiser": optimiser_state(self.optimiser, self._weights()),
            "training": self.training.state_dict(),
            "validation": self.validation.state_dict(),
            "generator": self.generator.get_state(),
            "stream": self.stream.state_dict(),
            "scaler": self.scaler.state_dict(),
            "step": self.step,
            "epoch": self.epoch,
            "failures": self.failures,
            "seconds": self.seconds,
            "candidates": [
                {
                    "genotype": c.genotype.to_dict(),
                    "epoch": c.epoch,
                    "figures": dict(c.figures),
                    "rung": c.rung,
                }
                for c in self.candidates
            ],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a saved state."""
        self.supernet.load_state_dict(state["supernet"])
        self.searcher.load_state_dict(state["searcher"])
        restore_optimiser_state(self.optimiser, self._weights(), state["optimiser"])
        self.training.load_state_dict(state["training"])
        self.validation.load_state_dict(state["validation"])
        self.generator.set_state(state["generator"])
        self.stream.load_state_dict(state["stream"])
        self.scaler.load_state_dict(state["scaler"])
        self.step, self.epoch = state["step"], state["epoch"]
        self.failures, self.seconds = state["failures"], state["seconds"]
        self.candidates = [
            Candidate(Genotype.from_dict(c["genotype"]), c["epoch"], c["figures"], c["rung"])
            for c in state["candidates"]
        ]

    def _weights(self) -> list[str]:
        return [name for name, _ in self.supernet.named_parameters()]
