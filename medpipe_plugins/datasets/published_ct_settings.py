"""Parameters of the published CT sets; free of numpy, for help and checking."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from medpipe_plugins.datasets.folder_settings import ScanSetSettings, Voxels

Size = tuple[Voxels, Voxels, Voxels]


class PublishedCTSettings(ScanSetSettings):
    """What the published CT sets have in common; sizes are those of the paper, section IV-C3."""

    size: Size = Field(description="slices, height and width of a volume")
    prepare: Literal["published"] | list[dict[str, Any]] = Field(
        "published", description="slices sampled and a resize to dataset.size, or a list of steps"
    )
    voxels: Literal["float32", "uint8"] = Field(
        "uint8", description="how they are held; uint8 takes a quarter, in 256 values"
    )
    split: Literal["lists", "own"] = Field(
        "lists", description="the lists of the set's authors, or one of all scans in the folder"
    )
    train_list: str = Field(min_length=1, description="list of the training scans, in data.root")
    validation_list: str | None = Field(
        None, description="list of the validation scans; null to split them off from training"
    )
    test_list: str = Field(min_length=1, description="list of the test scans, in data.root")
    root: str | None = Field(None, description="folder of the set, as it was unpacked")


class CCCCIISettings(PublishedCTSettings):
    """Parameters of `cc-ccii`."""

    size: Size = Field((32, 128, 128), description="slices, height and width of a volume")
    train_list: str = Field("ct_train.json", description="list of the training scans")
    test_list: str = Field("ct_test.json", description="list of the test scans")


class MosMedSettings(PublishedCTSettings):
    """Parameters of `mosmed`."""

    size: Size = Field((40, 256, 256), description="slices, height and width of a volume")
    train_list: str = Field("nii_train.json", description="list of the training scans")
    test_list: str = Field("nii_test.json", description="list of the test scans")


class COVIDCTsetSettings(PublishedCTSettings):
    """Parameters of `covid-ctset`."""

    size: Size = Field((32, 512, 512), description="slices, height and width of a volume")
    train_list: str = Field("train_balance.json", description="list of the training scans")
    test_list: str = Field("test_balance.json", description="list of the test scans")
