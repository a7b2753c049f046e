"""A good space of candidates, and others of which one cannot run or cannot be chosen."""

from __future__ import annotations

import planted_augmentations
import planted_module_modes
import planted_modules
import torch
from torch import nn

from medpipe_core import (
    Augmentation,
    Budget,
    Group,
    Limit,
    Operation,
    OperationChoice,
    SearchSpace,
    ValueChoice,
)
from medpipe_core.testing import SpaceContract


class Shelf:
    """A catalogue of what is planted."""

    made = {
        "conv": planted_modules.Conv,
        "residual": planted_module_modes.Residual,
        "gamma": planted_augmentations.Gamma,
    }

    def __init__(self, **more):
        self.made = {**self.made, **more}

    def factory(self, kind, name):
        return self.made[name]

    def origin(self, kind, name):
        return "planted", "0"

    def versions(self):
        return {"planted": "0"}

    def settings_problems(self, kind, name, settings):
        return []


class Shrinking(nn.Module):
    """Takes away four voxels, so that two of them leave none."""

    def __init__(self, in_channels):
        super().__init__()
        self.out_channels = in_channels
        self.conv = nn.Conv3d(in_channels, in_channels, 5)

    def forward(self, volumes):
        return self.conv(volumes)


class Brighten(Augmentation):
    by = ValueChoice(0, 0.1, "much")

    def draw(self, count, generator, *, by):
        return torch.rand(count, generator=generator)

    def draw_for(self, volumes, generator, *, by):
        return self.draw(len(volumes), generator, by=by) * float(by)

    def apply(self, volumes, amount):
        return volumes + amount.view(-1, 1, 1, 1, 1).to(volumes)


def gamma(neutral, **parameters):
    choices = {"low": ValueChoice(0.7, 1.0), "high": ValueChoice(1.0, 1.3), **parameters}
    return Operation("augmentation", "gamma", choices, neutral=neutral)


def layers(candidates, count=2):
    return {f"layer{n}": OperationChoice(candidates) for n in range(1, count + 1)}


RESIDUAL = Operation("block", "residual", {"kernel": ValueChoice(1, 3)})
STEM = Operation("block", "conv", {"channels": 4})
CANDIDATES = {"residual": RESIDUAL, "conv": STEM}
ROOT = Group(
    {
        "gamma": gamma({"p": 0}, p=ValueChoice(0.0, 0.1)),
        "stem": STEM,
        **layers(CANDIDATES),
    }
)


def candidates():
    limit = Limit({"layer*": ["conv"]}, at_most=1)
    budget = Budget(parameters=10_000)
    return SearchSpace("planted", ROOT, constraints=[limit], budget=budget, catalogue=Shelf())


def never_chosen():
    needed = Limit({"layer1": ["residual"]}, at_least=1)
    return SearchSpace("planted", ROOT, constraints=[needed], catalogue=Shelf())


def dear():
    wide = {**CANDIDATES, "wide": Group({"in": Operation("block", "conv", {"channels": 64}),
                                         "out": STEM})}  # fmt: skip
    root = Group({"stem": STEM, **layers(wide)})
    return SearchSpace("planted", root, budget=Budget(parameters=10_000), catalogue=Shelf())


def cannot_run():
    rare = {f"conv{n}": Operation("block", "conv", {"channels": 4, "n": n}) for n in range(8)}
    root = Group({"stem": STEM, **layers({**rare, "shrinking": Operation("block", "shrinking")})})
    shelf = Shelf(
        shrinking=Shrinking,
        conv=lambda i, channels, n=0: planted_modules.Conv(i, channels=channels),
    )
    return SearchSpace("planted", root, catalogue=shelf)


def augmentation_cannot_run():
    parameters = {"p": ValueChoice(0.0, 0.05), "by": ValueChoice(0, 0.1, "much")}
    brighten = Operation("augmentation", "brighten", parameters)
    root = Group({"brighten": brighten, "stem": STEM})
    return SearchSpace("planted", root, catalogue=Shelf(brighten=Brighten))


def wrong_neutral():
    root = Group({"gamma": gamma({"low": 1.0}, p=1.0), "stem": STEM})
    return SearchSpace("planted", root, catalogue=Shelf())


def the_same_twice():
    root = Group({"stem": STEM, **layers({**CANDIDATES, "other": STEM})})
    return SearchSpace("planted", root, catalogue=Shelf())


class TestCandidates(SpaceContract):
    space = candidates


class TestNeverChosen(SpaceContract):
    space = never_chosen


class TestDear(SpaceContract):
    space = dear


class TestCannotRun(SpaceContract):
    space = cannot_run


class TestAugmentationCannotRun(SpaceContract):
    space = augmentation_cannot_run


class TestWrongNeutral(SpaceContract):
    space = wrong_neutral


class TestTheSameTwice(SpaceContract):
    space = the_same_twice
