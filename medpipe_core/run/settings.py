"""The keys of a run that are not parameters of a space, searcher or dataset, with their types.

The defaults are the paper's (section IV-B); presets change them. Nothing here waits for torch.
"""

from __future__ import annotations

from typing import Annotated

from annotated_types import Ge, Gt, Le
from pydantic import BaseModel, ConfigDict, Field, field_validator

Count = Annotated[int, Ge(1)]
Rate = Annotated[float, Gt(0), Le(1)]
Seed = Annotated[int, Ge(0), Le(2**63 - 1)]

_DEVICES = ("auto", "cpu", "cuda", "mps")


class Section(BaseModel):
    """A group of keys; a key it does not know is an error, and so is a change after the check."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class FolderKeys(Section):
    """Keys `run.*`."""

    root: str = Field("runs", min_length=1, description="folder that the run's folder goes into")


class DataKeys(Section):
    """Keys `data.*`."""

    root: str | None = Field(None, description="folder with the data files; null for the default")
    download: bool = Field(False, description="fetch missing data files of a dataset that can")
    strict: bool = Field(False, description="refuse a dataset with unusable scans, not skip them")


class SearchKeys(Section):
    """Keys `search.*`."""

    epochs: Count = Field(50, description="passes over the half of the training set for weights")
    batch_size: Count = Field(16, description="volumes in one batch")
    weights_lr: Rate = Field(3e-4, description="learning rate of the shared weights (Adam)")
    candidates: Count = Field(1, description="genotypes kept and scored after each epoch")


class EvaluateKeys(Section):
    """Keys `evaluate.*`."""

    top_k: Count = Field(5, description="candidates of the search that are trained for comparison")
    epochs: Annotated[int, Ge(0)] = Field(10, description="epochs that each of them is trained")
    batch_size: Count = Field(16, description="volumes in one batch")
    lr: Rate = Field(1e-3, description="first learning rate (Adam, cosine annealing)")
    inherit: bool = Field(False, description="start from the weights of the search")


class RetrainKeys(Section):
    """Keys `retrain.*`."""

    epochs: Count = Field(200, description="epochs on the whole training set")
    batch_size: Count = Field(16, description="volumes in one batch")
    lr: Rate = Field(1e-3, description="first learning rate (Adam, cosine annealing)")
    inherit: bool = Field(False, description="start from the weights of the search")


class Keys(Section):
    """Every key of a run beside the groups and their parameters."""

    seed: Seed = Field(0, description="the one seed that all randomness of the run follows from")
    device: str = Field("auto", description="auto, cpu, cuda, cuda:<number> or mps")
    threads: Count | None = Field(None, description="threads on the CPU; null leaves them as is")
    run: FolderKeys = Field(FolderKeys(), description="the run folder")
    data: DataKeys = Field(DataKeys(), description="where data files are")
    search: SearchKeys = Field(SearchKeys(), description="the search stage")
    evaluate: EvaluateKeys = Field(EvaluateKeys(), description="the evaluation of candidates")
    retrain: RetrainKeys = Field(RetrainKeys(), description="the training of the chosen one")

    @field_validator("device")
    @classmethod
    def _known_device(cls, device: str) -> str:
        kind, colon, number = device.partition(":")
        if kind not in _DEVICES or (colon and not number.isdecimal()):
            raise ValueError("give auto, cpu, cuda, cuda:<number> or mps")
        return device
