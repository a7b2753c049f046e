"""A plugin in one file: a small space, and a dataset of bright and dark volumes."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from medpipe_core import (
    Group,
    Operation,
    OperationChoice,
    SearchSpace,
    ValueChoice,
    hookimpl,
    widths,
)
from medpipe_core.data import DatasetCard, Development, LabelledVolumes, SealedTest


class ToySettings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    width: int = Field(4, ge=1, description="channels of every block")
    shifts: tuple[float, ...] = Field((0.1, 0.2), description="how far brightness moves")

    presets: ClassVar[dict[str, dict[str, Any]]] = {"quick": {"width": 3}}


def toy_space(**settings):
    chosen = ToySettings(**settings)
    conv = {"channels": chosen.width, "stride": ValueChoice(1, 2)}
    return SearchSpace(
        "toy",
        Group(
            {
                "augment": Group(
                    {
                        "shift": Operation(
                            "augmentation",
                            "toy_shift",
                            {"p": ValueChoice(0.0, 0.5), "high": ValueChoice(*chosen.shifts)},
                            neutral={"p": 0.0},
                        )
                    }
                ),
                "network": Group(
                    {
                        "stem": Operation("block", "toy_conv", conv),
                        "layer": OperationChoice(
                            {
                                "conv": Operation("block", "toy_conv", conv),
                                "skip": Operation("block", "toy_skip"),
                            }
                        ),
                    }
                ),
            }
        ),
    )


@widths("channels")
def toy_conv(in_channels, *, channels: int, stride: int = 1):
    from torch import nn

    block = nn.Sequential(
        nn.Conv3d(in_channels, channels, 3, stride, 1), nn.BatchNorm3d(channels), nn.ReLU()
    )
    block.out_channels = channels
    return block


@widths()
def toy_skip(in_channels):
    from torch import nn

    block = nn.Identity()
    block.out_channels = in_channels
    return block


def toy_net(*, in_channels: int, num_classes: int, width: int = 2):
    from torch import nn

    return nn.Sequential(
        nn.Conv3d(in_channels, width, 6), nn.ReLU(), nn.Flatten(), nn.Linear(width, num_classes)
    )


def toy_shift(**_):
    import torch

    from medpipe_core import Augmentation

    class Shift(Augmentation):
        high = ValueChoice(0.1, 0.2)

        def draw(self, count, generator, *, high):
            return torch.rand(count, generator=generator) * high

        def apply(self, volumes, amount):
            return volumes + amount.view(-1, 1, 1, 1, 1)

    return Shift()


class ToyDataset:
    card = DatasetCard(
        name="toy",
        title="Bright and dark volumes",
        classes=("dark", "bright"),
        channels=1,
        size=(6, 6, 6),
        source="made here",
        licence="none",
    )

    def __init__(self, *, count: int = 24):
        self._count = count

    def development(self):
        return Development(train=_volumes(self._count, 1), validation=_volumes(12, 2))

    def sealed_test(self):
        return SealedTest(lambda: _volumes(20, 3))


class KnownToy(ToyDataset):
    """One whose best answers are known: those with the layer that convolves."""

    def regret(self, genotype):
        if genotype.space != "toy":
            return None
        return 0.0 if genotype["network/layer"] == "conv" else 0.5


def _volumes(count, seed):
    rng = np.random.default_rng(seed)
    labels = np.arange(count, dtype=np.int64) % 2
    noise = rng.integers(0, 80, (count, 1, 6, 6, 6))
    return LabelledVolumes((noise + 120 * labels[:, None, None, None, None]).astype("u1"), labels)


def toy_dataset(*, count: int = 24):
    return ToyDataset(count=count)


def known_dataset():
    return KnownToy()


def broken_dataset():
    raise RuntimeError("this dataset always fails")


@hookimpl
def medpipe_register(registry):
    registry.register("augmentation", "toy_shift", toy_shift)
    registry.register("block", "toy_conv", toy_conv)
    registry.register("block", "toy_skip", toy_skip)
    registry.register("model", "toy-net", toy_net)
    registry.register("space", "toy", toy_space, parameters=ToySettings, summary="a toy")
    registry.register("dataset", "toy", toy_dataset)
    registry.register("dataset", "toy-known", known_dataset)
    registry.register("dataset", "toy-broken", broken_dataset)
