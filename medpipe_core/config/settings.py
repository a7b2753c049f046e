"""The keys of a run that are not parameters of a space, searcher or dataset, with their types.

The defaults are the paper's (section IV-B); presets change them. Every number has an upper bound: a
slip of a digit is told at once, not by a machine out of memory. Nothing here waits for torch.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self

from annotated_types import Ge, Le, Lt
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from medpipe_core.config.plain_values import LARGEST, PathText
from medpipe_core.search.settings import Least, SearchSettings
from medpipe_core.train.settings import FitSettings

MOST_MEMBERS = 100
Seed = Annotated[int, Ge(0), Le(LARGEST)]

DEVICES = "give auto, cpu, cuda, cuda:<number> or mps"
DEVICE = re.compile(r"auto|cpu|mps|cuda(:[0-9]{1,3})?")


class Section(BaseModel):
    """A group of keys; a key it does not know is an error, and so is a change after the check."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class FolderKeys(Section):
    """Keys `run.*`."""

    root: PathText = Field(
        "runs", min_length=1, description="folder that the run's folder goes into"
    )


class DataKeys(Section):
    """Keys `data.*`."""

    root: PathText | None = Field(
        None, description="folder with the data files; null for the default"
    )
    manifest: PathText | None = Field(
        None, description="table of scans, CSV or JSON; null for none"
    )
    download: bool = Field(False, description="fetch missing data files of a dataset that can")
    strict: bool = Field(False, description="refuse a dataset with unusable scans, not skip them")
    cache: PathText | None = Field(
        None, description="folder that keeps prepared scans, read on demand; null for none"
    )
    cache_gib: float = Field(
        100.0, gt=0, le=1e6, description="what all prepared scans in that folder may take, in GiB"
    )
    fold: Annotated[int, Ge(0), Lt(1000)] | None = Field(
        None, description="cross-validation: which fold is tested, from 0; null for none"
    )
    folds: Annotated[int, Ge(2), Le(1000)] = Field(5, description="how many folds there are")

    @model_validator(mode="after")
    def _one_of_the_folds(self) -> Self:
        if self.fold is not None and self.fold >= self.folds:
            raise ValueError(
                f"fold={self.fold}: of {self.folds} folds the last one is {self.folds - 1}"
            )
        return self


class PluginKeys(Section):
    """Keys `plugins.*`."""

    disable: tuple[str, ...] = Field((), description="entry points or distributions to leave out")
    load: tuple[PathText, ...] = Field((), description="Python files to load as plugins besides")
    strict: bool = Field(False, description="refuse to run if any plugin failed, needed or not")


class EvaluateKeys(FitSettings):
    """Keys `evaluate.*`."""

    epochs: int = Field(10, ge=0, le=1_000_000, description="epochs that each candidate is trained")
    top_k: int = Field(
        5, ge=1, le=10_000, description="candidates of the search that are trained for comparison"
    )
    rungs: int = Field(
        1, ge=1, le=30, description="rounds of the race; after each the better train for longer"
    )
    reduction: int = Field(
        2,
        ge=2,
        le=1000,
        description="of so many candidates one goes on, with so many times the epochs",
    )
    min_steps: Least = 0
    inherit: bool = Field(False, description="start from the weights of the search")

    @model_validator(mode="after")
    def _something_to_compare(self) -> Self:
        if not self.epochs and not self.inherit:
            raise ValueError("with epochs=0 there is nothing to compare unless inherit=true")
        return self


class RetrainKeys(FitSettings):
    """Keys `retrain.*`."""

    min_steps: Least = 0
    inherit: bool = Field(False, description="start from the weights of the search")
    members: int = Field(
        1,
        ge=1,
        le=MOST_MEMBERS,
        description="networks trained alike, whose predictions are averaged",
    )


class TestKeys(Section):
    """Keys `test.*`."""

    __test__ = False  # not a test, whatever pytest makes of the name

    resamples: int = Field(1000, ge=10, le=100_000, description="resamples of the intervals")
    average: Literal["none", "symmetries"] = Field(
        "none",
        description="predictions averaged over the exact symmetries of the chosen policy, or not",
    )


class TrialKeys(Section):
    """Keys `trial.*`."""

    hours: float | None = Field(
        None,
        gt=0,
        le=1e5,
        description="a candidate's training that takes longer fails; null for no limit",
    )


class CheckpointKeys(Section):
    """Keys `checkpoint.*`."""

    seconds: float | None = Field(
        60.0, gt=0, le=1e6, description="time between two checkpoints, or more where saving is slow"
    )
    steps: int | None = Field(
        None, ge=1, le=10**9, description="steps between two checkpoints, whatever time"
    )


class Keys(Section):
    """Every key of a run beside the groups and their parameters."""

    seed: Seed = Field(0, description="the one seed that all randomness of the run follows from")
    device: str = Field("auto", description="auto, cpu, cuda, cuda:<number> or mps")
    threads: Annotated[int, Ge(1), Le(4096)] | None = Field(
        None, description="threads on the CPU; null leaves them as is"
    )
    hold: Literal["auto", "device", "host"] = Field(
        "auto",
        description="where volumes are held: auto, device, or host (read ahead), where those that "
        "are drawn anew in each epoch always are",
    )
    precision: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        "auto", description="of convolutions in training; auto is bfloat16 on GPUs made for it"
    )
    micro_batch: Annotated[int, Ge(2), Le(1_000_000)] | None = Field(
        None, description="volumes through a network at once; null for as many as memory allows"
    )
    run: FolderKeys = Field(FolderKeys(), description="the run folder")
    data: DataKeys = Field(DataKeys(), description="where data files are")
    plugins: PluginKeys = Field(PluginKeys(), description="which plugins are loaded")
    search: SearchSettings = Field(SearchSettings(), description="the search stage")
    evaluate: EvaluateKeys = Field(EvaluateKeys(), description="the evaluation of candidates")
    retrain: RetrainKeys = Field(RetrainKeys(), description="the training of the chosen one")
    test: TestKeys = Field(TestKeys(), description="the one test")
    trial: TrialKeys = Field(TrialKeys(), description="one training of a candidate")
    checkpoint: CheckpointKeys = Field(CheckpointKeys(), description="for going on after a stop")

    @field_validator("device")
    @classmethod
    def _known_device(cls, device: str) -> str:
        if not DEVICE.fullmatch(device):
            raise ValueError(DEVICES)
        return device
