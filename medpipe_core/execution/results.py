"""What stages hand on to each other, and what a run gives back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from medpipe_core.space import Genotype
    from medpipe_core.supernet import Symmetry


@dataclass(frozen=True)
class Candidate:
    """A genotype with what is known of it; figures come from the development data only.

    Attributes:
        genotype: The genotype.
        validation: Figures on the validation volumes, by name.
        parameters: Trainable numbers of its network.
        multiply_adds: Multiply-adds of its network for one volume.
        epoch: Epoch of the search that proposed it.
        failed: Why it could not be trained, or the empty text.
        epochs: Epochs that it was trained for to be compared; 0 before that.
        schedule: Genotypes whose policies a training of it goes through in equal stretches, its own
            at the end; none where its own holds throughout.
    """

    genotype: Genotype
    validation: Mapping[str, Any]
    parameters: int
    multiply_adds: int
    epoch: int
    failed: str = ""
    epochs: int = 0
    schedule: tuple[Genotype, ...] = ()


@dataclass(frozen=True)
class Trained:
    """The network that a run ends with, or several that answer as one.

    Attributes:
        network: It, in evaluation mode.
        validation: Its figures on the validation volumes.
        notes: What is worth telling of its training.
        symmetries: What its predictions are to be averaged over, beside the volumes as they are.
    """

    network: Any
    validation: Mapping[str, Any]
    notes: tuple[str, ...] = ()
    symmetries: tuple[Symmetry, ...] = ()


@dataclass(frozen=True)
class Tested:
    """What came of the one test.

    Attributes:
        content: What `result.json` says of it: `test`, `majority` and more.
        decision: How answers follow from probabilities, as plain data.
        predictions: The text of `predictions.csv`.
        split: The text of `split.csv`, test volumes among it.
        data_card: What `data_card.json` holds, the test set among it.
    """

    __test__ = False  # not a test, whatever pytest makes of the name

    content: Mapping[str, Any]
    decision: Mapping[str, Any]
    predictions: str
    split: str
    data_card: Mapping[str, Any]


@dataclass(frozen=True)
class Planned:
    """What a stage is going to do, for the estimate of the time left.

    Attributes:
        event: The event that ends each of its parts.
        count: How many parts.
        work: All of them, in steps of training one network.
    """

    event: str
    count: int
    work: float


@dataclass(frozen=True)
class RunResult:
    """What a run gives back.

    Attributes:
        folder: Its folder.
        genotype: The genotype that was chosen, retrained and tested.
        content: All that `result.json` holds.
    """

    folder: Path
    genotype: Genotype
    content: Mapping[str, Any]

    @property
    def test(self) -> Mapping[str, Any]:
        """The figures on the test set, each with an interval."""
        figures: Mapping[str, Any] = self.content["test"]
        return figures

    @property
    def validation(self) -> Mapping[str, Any]:
        """The figures on the validation set."""
        figures: Mapping[str, Any] = self.content["validation"]
        return figures
