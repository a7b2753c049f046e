"""What a dataset is: development data for everybody, and a sealed test set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np

from medpipe_core.data.volumes import LabelledVolumes, as_notes
from medpipe_core.errors import MedpipeError

if TYPE_CHECKING:
    from collections.abc import Callable

    from medpipe_core.data.preparation import Chain
    from medpipe_core.data.volumes import DatasetCard
    from medpipe_core.space import Genotype


class TestSetError(MedpipeError):
    """A second look at the test set."""

    __test__ = False  # not a test, whatever pytest makes of the name


@dataclass(frozen=True)
class Development:
    """All that search, evaluation and retraining may see.

    Attributes:
        train: The training set.
        validation: The validation set that the dataset comes with.
        notes: What happened while it was read, such as volumes left out.
    """

    train: LabelledVolumes
    validation: LabelledVolumes
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "notes", as_notes(self.notes))


@dataclass(frozen=True)
class Outline:
    """What headers say of a set: enough to know that it can be used, and nothing of its content.

    Attributes:
        shape: `(channel, *space)` of a volume.
        dtype: Type of the voxels.
        labels: Type of the labels.
    """

    shape: tuple[int, ...]
    dtype: Any = np.uint8
    labels: Any = np.int64

    @classmethod
    def of(cls, data: LabelledVolumes) -> Outline:
        """Return the outline of a set that is at hand."""
        return cls(tuple(data.volumes.shape[1:]), data.volumes.dtype, data.labels.dtype)

    def empty(self) -> LabelledVolumes:
        """Return a set like it without volumes: what takes this takes the types of that.

        Raises:
            DataError: Its types or shape do not make a set.
        """
        volumes = np.empty((0, *self.shape), self.dtype)
        return LabelledVolumes(volumes, np.empty(0, self.labels))


class SealedTest:
    """The test set, unread until it is opened; it opens once.

    Args:
        read: Reads the test set.
        outline: What is known of it from headers, or from how it is made. It is checked before
            anything is trained; without it, what is wrong with the test set shows at the end.

    Attributes:
        notes: What happened while it was read, such as volumes left out; `read` may set it.
    """

    def __init__(
        self, read: Callable[[], LabelledVolumes], *, outline: Outline | None = None
    ) -> None:
        self._read = read
        self.outline = outline
        self.notes: tuple[str, ...] = ()
        self._opened_after: str | None = None

    @property
    def opened(self) -> bool:
        """Whether the seal is broken."""
        return self._opened_after is not None

    def open(self, *, after: str) -> LabelledVolumes:
        """Read the test set, once.

        Args:
            after: What was finished before: the digest of what is about to be tested.

        Raises:
            TestSetError: It was opened before.
        """
        if self._opened_after is not None:
            raise TestSetError(
                "the test set was read before, after "
                f"{self._opened_after}; it is read once, when everything is chosen"
            )
        self._opened_after = after
        return self._read()


class Dataset(Protocol):
    """A dataset; a plugin registers a factory of one.

    A factory may take the keywords `root`, `manifest`, `download` and `strict`: the run fills them
    from its keys `data.*`. A dataset whose best answer is known beforehand is a `KnownAnswer`
    besides, and one that prepares its scans by a chain is `PreparedByChain`.
    """

    @property
    def card(self) -> DatasetCard:
        """What it says of itself."""

    def development(self) -> Development:
        """Return training and validation data, without touching the test set."""

    def sealed_test(self) -> SealedTest:
        """Return the sealed test set, without reading it."""


@runtime_checkable
class PreparedByChain(Protocol):
    """What a dataset has besides, if its volumes come from scans by a chain of preparations.

    A run writes the chain down, so that new scans can be prepared in the same way.
    """

    def preparation(self) -> Chain | None:
        """Return the chain as plain data; None where there is none."""


@runtime_checkable
class KnownAnswer(Protocol):
    """What a dataset has besides, if it knows which genotypes are best.

    No stage sees it, so no search learns from it: a run writes it down beside what was found.
    """

    def regret(self, genotype: Genotype) -> float | None:
        """Return by how much a genotype falls short of the best answer.

        Returns:
            At least 0, which the best answers have alone; None for a genotype of a space in which
            the answer is not known.
        """
