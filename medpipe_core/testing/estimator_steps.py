"""Steps of a small search, for an estimator to ask about."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from medpipe_core.search import (
    GATE_GRADIENTS,
    Estimator,
    Outcome,
    RandomSearcher,
    Sample,
    SearchState,
    take_step,
)
from medpipe_core.search.settings import SearchSettings
from medpipe_core.space import Group, Operation, OperationChoice, SearchSpace, ValueChoice
from medpipe_core.supernet import Augmentation, Decision, Supernet
from medpipe_core.testing.checking import generator, require

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from medpipe_core.search import Probe
    from medpipe_core.space import Genotype

_SETTINGS = SearchSettings(epochs=1, weights_lr=0.01)


@dataclass
class TakenStep:
    """One step of the small search.

    Attributes:
        sample: The path, as part of the graph that leads to `theta`.
        theta: Choice path → logits.
        outcome: What the estimator asked.
        surrogate: What it made of that.
    """

    sample: Sample
    theta: Mapping[str, Tensor]
    outcome: Outcome
    surrogate: Tensor | None = None


def take(
    state: SearchState,
    estimator: Estimator,
    step: int,
    ask: Callable[[Probe], Outcome] | None,
) -> TakenStep:
    """Take a step along a path that its number gives; `ask` is None where nobody asks."""
    state.step = step
    genotype = state.searcher.space.sample(seed=step)
    sample, theta = _sample(state.searcher.space, genotype, gates=GATE_GRADIENTS in estimator.needs)
    decision = Decision(genotype, {path: _one() for path in sample.gates})
    outcome, problem = take_step(state, decision, _SETTINGS, nn.functional.cross_entropy, ask)
    require(not problem, f"a step that {type(estimator).__name__} asked about failed: {problem}")
    return TakenStep(sample, theta, outcome)


def _sample(
    space: SearchSpace, genotype: Genotype, *, gates: bool
) -> tuple[Sample, dict[str, Tensor]]:
    theta = {
        path: torch.linspace(-0.5, 0.5, len(space.choices[path].keys)).requires_grad_()
        for path in genotype
    }
    of_keys = {path: torch.log_softmax(logits, 0) for path, logits in theta.items()}
    taken = {path: space.choices[path].keys.index(key) for path, key in genotype.choices.items()}
    log_p = {path: every[taken[path]] for path, every in of_keys.items()}
    opened = {path: 1 + (p.exp() - p.exp().detach()) for path, p in log_p.items()} if gates else {}
    return Sample(genotype, opened, log_p, of_keys), theta


def _one() -> Tensor:
    return torch.ones((), requires_grad=True)


class _Conv(nn.Module):
    def __init__(self, in_channels: int, *, kernel: int = 1) -> None:
        super().__init__()
        self.out_channels = 4
        self.conv = nn.Conv3d(in_channels, 4, kernel, padding=kernel // 2)
        self.norm = nn.BatchNorm3d(4)

    def forward(self, volumes: Tensor) -> Tensor:
        return torch.relu(self.norm(self.conv(volumes)))


class _Shift(Augmentation):
    most = ValueChoice(0.1, 0.4)

    def draw(self, count: int, generator: torch.Generator, *_: Any, most: float) -> Tensor:
        return most * torch.rand(count, generator=generator)

    def apply(self, volumes: Tensor, shift: Tensor) -> Tensor:
        return volumes + shift.view(-1, 1, 1, 1, 1)


class _Catalogue:
    def factory(self, kind: str, name: str, /) -> Callable[..., Any]:
        return {"conv": _Conv, "shift": _Shift}[name]

    def origin(self, kind: str, name: str, /) -> tuple[str, str]:
        return "kit", "1"

    def versions(self) -> Mapping[str, str]:
        return {"kit": "1"}


class _Batches:
    """Dark and bright volumes; a batch is a function of its number."""

    def __init__(self, seed: int) -> None:
        self._seed, self._number = seed, 0

    def __len__(self) -> int:
        return 1000

    def next(self) -> Any:
        drawn = generator(1000 * self._seed + self._number)
        self._number += 1
        labels = torch.arange(8) % 2
        volumes = 0.5 * torch.rand(8, 1, 4, 4, 4, generator=drawn) + 0.3 * labels.view(
            8, 1, 1, 1, 1
        )
        return _Batch(volumes, labels)

    def state_dict(self) -> dict[str, Any]:
        return {"number": self._number}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._number = state["number"]


@dataclass
class _Batch:
    volumes: Tensor
    labels: Tensor


def small_space() -> SearchSpace:
    """Describe an augmentation and a network with one choice."""
    shift = {"p": ValueChoice(0.0, 0.5, 1.0), "most": ValueChoice(0.1, 0.4)}
    layers = {
        "one": Operation("block", "conv"),
        "three": Operation("block", "conv", {"kernel": 3}),
    }
    root = Group(
        {
            "augment": Operation("augmentation", "shift", shift, neutral={"p": 0.0}),
            "stem": Operation("block", "conv"),
            "layer": OperationChoice(layers),
        }
    )
    return SearchSpace("toy-steps", root, catalogue=_Catalogue())


def small_search() -> SearchState:
    """Return a search of the small space before its first step."""
    space = small_space()
    supernet = Supernet(space, in_channels=1, num_classes=2, seed=0)
    searcher = RandomSearcher(space, seed=0, steps=1)
    return SearchState.start(
        supernet, searcher, _Batches(1), _Batches(2), settings=_SETTINGS, seed=0
    )
