"""Parameters of the dataset `folder`, and of other sets of scans; free of numpy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

from annotated_types import Ge, Gt, Le, Lt
from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from medpipe_core.data import DataError

if TYPE_CHECKING:
    from collections.abc import Mapping

Voxels = Annotated[int, Ge(1), Le(1024)]
Share = Annotated[float, Gt(0), Lt(1)]


class ScanSetSettings(BaseModel):
    """What sets of scans have in common: how scans are held, and how they are split."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    voxels: Literal["float32", "uint8"] = Field(
        "float32", description="how they are held; uint8 takes a quarter, in 256 values"
    )
    validation: Share = Field(0.1, description="share of the scans for validation, if none is told")
    test: Share = Field(0.2, description="share of the scans for the test, if none is told")
    seed: Annotated[int, Ge(0)] = Field(0, description="seed of the split, not of the run")
    root: str | None = Field(
        None, description="folder that paths are relative to, or with a folder for each class"
    )
    strict: bool = Field(False, description="refuse a set with unusable scans, not leave them out")
    fold: Annotated[int, Ge(0)] | None = Field(None, description="which fold is tested, from 0")
    folds: Annotated[int, Ge(2)] = Field(5, description="how many folds there are")

    cache: str | None = Field(None, description="folder that keeps prepared scans, read on demand")
    cache_gib: Annotated[float, Gt(0)] = Field(100.0, description="what that folder may take, GiB")

    @field_validator("prepare", check_fields=False)
    @classmethod
    def _known_steps(cls, prepare: Any, info: ValidationInfo) -> Any:
        registry = (info.context or {}).get("registry")
        if registry is not None and not isinstance(prepare, str):
            from medpipe_core.data import check_chain  # it needs numpy

            try:
                check_chain(prepare, registry)
            except DataError as error:
                raise ValueError(str(error)) from None
        return prepare

    @model_validator(mode="after")
    def _something_to_train(self) -> Self:
        if self.validation + self.test >= 1:
            raise ValueError(
                f"validation={self.validation:g} and test={self.test:g} leave nothing to train on"
            )
        return self

    @model_validator(mode="after")
    def _fold_there(self) -> Self:
        if self.fold is not None and self.fold >= self.folds:
            raise ValueError(
                f"fold={self.fold}: {self.folds} folds are counted from 0 to {self.folds - 1}"
            )
        return self


class FolderSettings(ScanSetSettings):
    """Parameters of `folder`."""

    # So large that networks within the presets' budgets see them whole; `paper` has the default.
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "quick": {"size": 28},
        "laptop": {"size": 40},
    }

    prepare: Literal["none", "ct-lung", "ct-soft", "mr-brain"] | list[dict[str, Any]] = Field(
        "none", description="how scans become volumes: a preset by modality, or a list of steps"
    )
    size: Voxels | tuple[Voxels, Voxels, Voxels] = Field(
        64, description="voxels that a preset ends in, one number or depth, height, width"
    )
    classes: tuple[str, ...] | None = Field(
        None,
        min_length=2,
        description="their order; of two, the second is the one that sensitivity is of",
    )
    series: str | int | None = Field(
        None, description="which series of a DICOM folder, such as largest; as of read_scan"
    )
    volume: Annotated[int, Ge(0)] | None = Field(
        None, description="which of several volumes of one file; as of read_scan"
    )
    manifest: str | None = Field(None, description="table of the scans, CSV or JSON")
