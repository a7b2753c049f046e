"""A planted problem, and batches that can be stopped and continued."""

from __future__ import annotations

import random
from dataclasses import dataclass

import pytest
import torch
from torch import nn

from medpipe_core import (
    Augmentation,
    Group,
    Operation,
    OperationChoice,
    Outcome,
    SearchSpace,
    Supernet,
    ValueChoice,
)
from medpipe_core.search import SearchState
from medpipe_core.search.settings import SearchSettings


class Conv(nn.Module):
    def __init__(self, in_channels, *, channels=3, kernel=1):
        super().__init__()
        self.out_channels = channels
        self.conv = nn.Conv3d(in_channels, channels, kernel, padding=kernel // 2)
        self.norm = nn.BatchNorm3d(channels)

    def forward(self, x):
        return torch.relu(self.norm(self.conv(x)))


class Sees(nn.Module):
    """Hands on what it gets."""

    def __init__(self, in_channels):
        super().__init__()
        self.out_channels = in_channels
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, x):
        return self.scale * x


class Blind(Sees):
    """Hands on nothing."""

    def forward(self, x):
        return 0 * super().forward(x)


class Poison(Sees):
    def forward(self, x):
        return super().forward(x) * float("nan")


class Hungry(Sees):
    def forward(self, x):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 37 GiB")


class Faulty(Sees):
    def forward(self, x):
        raise KeyError("missing")


class Lacking(Sees):
    def forward(self, x):
        raise MemoryError("Unable to allocate 37 GiB for an array")


class Dropping(Sees):
    def forward(self, x):
        return torch.dropout(super().forward(x), 0.5, self.training)


class Noise(Augmentation):
    scale = ValueChoice(0.1, 0.2)

    def draw_for(self, volumes, generator, *, scale):
        return scale * torch.randn(volumes.shape, generator=generator)

    def apply(self, volumes, noise):
        return volumes + noise


class Shelf:
    def factory(self, kind, name):
        return {
            "conv": Conv,
            "sees": Sees,
            "blind": Blind,
            "poison": Poison,
            "hungry": Hungry,
            "faulty": Faulty,
            "lacking": Lacking,
            "dropping": Dropping,
            "noise": Noise,
        }[name]

    def origin(self, kind, name):
        return ("shelf", "1.0")

    def versions(self):
        return {"shelf": "1.0"}


def block(name, **parameters):
    return Operation("block", name, parameters)


def one_of(**candidates):
    return OperationChoice({key.strip("_"): node for key, node in candidates.items()})


@dataclass
class Batch:
    volumes: torch.Tensor
    labels: torch.Tensor


class Batches:
    """Bright and dark volumes; the batch is a function of its number."""

    def __init__(self, seed, count=4, size=6):
        self.seed, self.count, self.size, self.number = seed, count, size, 0

    def __len__(self):
        return self.count

    def next(self):
        generator = torch.Generator().manual_seed(self.seed * 1000 + self.number)
        self.number += 1
        labels = torch.arange(self.size) % 2
        # Centred, so that a larger scale alone makes a right classifier surer.
        volumes = torch.rand(self.size, 1, 3, 3, 3, generator=generator) - 1
        return Batch(volumes + labels.view(-1, 1, 1, 1, 1), labels)

    def state_dict(self):
        return {"number": self.number}

    def load_state_dict(self, state):
        self.number = state["number"]


@pytest.fixture
def make_space():
    def make(**parts):
        return SearchSpace("planted", Group(parts), catalogue=Shelf())

    return make


@pytest.fixture
def space(make_space):
    """A small joint space: an augmentation, a layer, and a layer with a choice inside one key."""
    return make_space(
        augment=Group(
            {
                "noise": Operation(
                    "augmentation",
                    "noise",
                    {"p": ValueChoice(0.0, 0.5), "scale": ValueChoice(0.1, 0.2)},
                    neutral={"p": 0.0},
                )
            }
        ),
        stem=block("conv"),
        layer=one_of(sees=block("sees"), blind=block("blind"), conv=block("conv")),
        deep=one_of(plain=block("sees"), conv=block("conv", kernel=ValueChoice(1, 3))),
    )


@pytest.fixture
def start():
    """Return a function that starts a search: `start(space, Searcher, **settings of both)`."""

    def begin(
        space,
        searcher_class,
        *,
        settings=None,
        seed=0,
        fixed=None,
        computing=None,
        **parameters,
    ):
        settings = settings or SearchSettings(epochs=2)
        training = Batches(1)
        supernet = Supernet(space, in_channels=1, num_classes=2, seed=seed, fixed=fixed)
        searcher = searcher_class(
            space, seed=seed, steps=settings.epochs * len(training), **parameters
        )
        return SearchState.start(
            supernet,
            searcher,
            training,
            Batches(2),
            settings=settings,
            seed=seed,
            computing=computing,
        )

    return begin


@pytest.fixture
def loss():
    return torch.nn.functional.cross_entropy


@pytest.fixture
def journal():
    """A listener that keeps what it is told: `journal.events`, and `journal.of(name)`."""

    class Journal:
        def __init__(self):
            self.events = []

        def __call__(self, event, /, **fields):
            self.events.append((event, fields))

        def of(self, name):
            return [fields for event, fields in self.events if event == name]

    return Journal()


@pytest.fixture
def plain():
    """Return a function that says whether data are plain values and tensors, and nothing else."""

    def check(data):
        if isinstance(data, dict):
            return all(isinstance(key, str) and check(value) for key, value in data.items())
        if isinstance(data, list):
            return all(map(check, data))
        return data is None or type(data) in (bool, int, float, str, torch.Tensor)

    return check


@pytest.fixture
def tower(make_space):
    """A conditional space of 12 288 members, for searchers that learn from scores."""

    def layer():
        return one_of(
            conv=block("conv", kernel=ValueChoice(1, 3, 5)),
            wide=block("conv", channels=ValueChoice(1, 2, 4, 6)),
            sees=block("sees"),
        )

    return make_space(
        width=block("conv", channels=ValueChoice(8, 16, 24)),
        **{f"layer{number}": layer() for number in range(1, 5)},
    )


@pytest.fixture
def planted():
    """Return a function that makes a score: each key of each choice adds what a seed says."""

    def make(space, seed):
        rng = random.Random(seed)
        worth = {
            path: {key: rng.gauss(0, 1) for key in choice.keys}
            for path, choice in space.choices.items()
        }
        return lambda genotype: sum(worth[path][key] for path, key in genotype.choices.items())

    return make


@pytest.fixture
def play():
    """Return a function that lets a searcher propose and be scored; it returns the proposals."""

    def rounds(searcher, score, count, at_once=2):
        proposed = []
        for number in range(count // at_once):
            for genotype in searcher.propose(at_once):
                searcher.observe(Outcome(genotype, number, score=score(genotype)))
                proposed.append(genotype)
        return proposed

    return rounds
