"""The dataset of a run: made with what it takes of the keys `data.*`, and checked as it is read."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from typing import TYPE_CHECKING, Any

from medpipe_core.data import (
    CrossValidatedDataset,
    DataError,
    KnownAnswer,
    PreparedByChain,
    ReadsScans,
    SealedTest,
    check_card,
    check_development,
    check_sealed,
    check_volumes,
)
from medpipe_core.data.volumes import as_notes
from medpipe_core.errors import MedpipeError, place_of
from medpipe_core.plugins import REGISTRY

if TYPE_CHECKING:
    from collections.abc import Iterator

    from medpipe_core.config.configuration import Configuration
    from medpipe_core.data import Chain, Dataset, DatasetCard, Development, LabelledVolumes
    from medpipe_core.plugins import Registry
    from medpipe_core.space import Genotype


class CheckedDataset:
    """A dataset that is checked as it is read, so that a wrong one is told before any training.

    Args:
        dataset: The dataset.
        who: How messages call it.

    Attributes:
        dataset: The dataset itself.
        card: Its card.
        seconds: How long reading its development data has taken; 0 while they are not read.

    Raises:
        DataError: Its card cannot be had or used; reading does the same of what is read.
    """

    def __init__(self, dataset: Dataset, who: str) -> None:
        self.dataset = dataset
        self._who = who
        self._development: Development | None = None
        self.seconds = 0.0
        with self._told("card"):
            self.card: DatasetCard = dataset.card
            check_card(self.card)

    def development(self) -> Development:
        """Return training and validation data; what is odd about them is added to their notes.

        They are read once and held.
        """
        if self._development is None:
            began = time.monotonic()
            self._development = self._read()
            self.seconds = time.monotonic() - began
        return self._development

    def sealed_test(self) -> SealedTest:
        """Return the test set, which is checked when it is opened."""
        with self._told("sealed_test()"):
            sealed = self.dataset.sealed_test()
            check_sealed(sealed, self.card)

        def read() -> LabelledVolumes:
            with self._told("sealed_test()"):
                test = sealed.open(after="everything was chosen")
                check_volumes(test, self.card, "test")
            checked.notes = as_notes(sealed.notes)
            return test

        checked = SealedTest(read, outline=sealed.outline)
        return checked

    def preparation(self) -> Chain | None:
        """Return the chain that its scans are prepared by; None where there is none."""
        if not isinstance(self.dataset, PreparedByChain):
            return None
        with self._told("preparation()"):
            return self.dataset.preparation()

    def scan_facts(self) -> dict[str, Any] | None:
        """Return what its training scans were like; None where it does not tell."""
        if not isinstance(self.dataset, ReadsScans):
            return None
        with self._told("scan_facts()"):
            return dict(self.dataset.scan_facts())

    def regret(self, genotype: Genotype) -> float | None:
        """Return how far a genotype is from the best answer; None where that is not known."""
        if not isinstance(self.dataset, KnownAnswer):
            return None
        return self.dataset.regret(genotype)

    def _read(self) -> Development:
        with self._told("development()"):
            development = self.dataset.development()
            odd = check_development(development, self.card)
            check_sealed(self.dataset.sealed_test(), self.card)
        return dataclasses.replace(development, notes=(*development.notes, *odd))

    @contextlib.contextmanager
    def _told(self, what: str) -> Iterator[None]:
        """Say whose fault it is that something cannot be read or used."""
        try:
            yield
        except DataError as error:
            raise DataError(f"{self._who}: {error}") from error
        except MedpipeError:
            raise
        except Exception as error:
            raise DataError(
                f"{self._who}: {what} raised {type(error).__name__}: {error}{place_of(error)}"
            ) from error


def make_dataset(configuration: Configuration, registry: Registry) -> CheckedDataset:
    """Make the dataset that a configuration names, and read its card.

    With `data.fold` a dataset that does not take it has its folds made of what it hands out.

    Raises:
        ParameterError: Its parameters do not fit.
        PluginError: It cannot be imported, or its factory raised an error of its own.
        DataError: Its card cannot be had or used.
    """
    entry = registry.entry("dataset", configuration.dataset)
    made, data = made_dataset(configuration, registry), configuration.keys.data
    if data.fold is not None and "fold" not in entry.takes(("fold",)):
        made = CrossValidatedDataset(made, fold=data.fold, folds=data.folds)
    return CheckedDataset(made, entry.who)


def made_dataset(configuration: Configuration, registry: Registry) -> Dataset:
    """Make the dataset that a configuration names, and ask nothing of it.

    Of the keys `data.*` it is handed those that its settings or the signature of its factory name.
    One that has registered settings and `registry` in its signature is handed the registry, to
    make what its settings name.

    Raises:
        ParameterError: Its parameters do not fit.
        PluginError: It cannot be imported, or its factory raised an error of its own.
    """
    entry = registry.entry("dataset", configuration.dataset)
    data = configuration.keys.data.model_dump()
    shared = {key: data[key] for key in entry.takes(data) if data[key] is not None}
    model = entry.parameters().model_fields
    known = {key: value for key, value in shared.items() if key in model}
    parameters = {**configuration.parameters["dataset"], **known}
    if REGISTRY not in model and entry.takes((REGISTRY,)):
        shared[REGISTRY] = registry
    made: Dataset = entry.make(**{**shared, **entry.arguments(parameters, {REGISTRY: registry})})
    return made
