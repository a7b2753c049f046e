"""Trainings whose figures are recorded on the way, for `horizon.py`."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from horizon_policies import joint_space, policies
from scipy.optimize import minimize_scalar

import medpipe_core as mp
from medpipe_core.data import LabelledVolumes, halves, split
from medpipe_core.supernet import build_network, build_policy
from medpipe_core.train import ClassificationTask, FitSettings, FitState, auc, fit

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray
    from torch import nn

CPU = torch.device("cpu")
EDGE = 28
RECORDS = 6
SMOOTHING = 0.05
_HOTTEST = 20.0


@dataclass(frozen=True)
class Training:
    """How a policy's training departs from the full one.

    Attributes:
        epochs: Passes over its volumes.
        share: Share of the training volumes that it has.
        edge: Edge length of its volumes, by average pooling.
        width: Factor of the network's channels.
        after: Epochs without augmentation that were trained before, once for all policies.
    """

    epochs: int = 60
    share: float = 1.0
    edge: int = EDGE
    width: float = 1.0
    after: int = 0


FULL = "full"
TRAININGS: Mapping[str, Training] = {
    FULL: Training(),
    "epochs-10": Training(epochs=10),
    "epochs-20": Training(epochs=20),
    "half": Training(share=0.5),
    "quarter": Training(share=0.25),
    "half-long": Training(share=0.5, epochs=120),
    "quarter-long": Training(share=0.25, epochs=240),
    "edge-14": Training(edge=14),
    "narrow": Training(width=0.5),
    "10-after-20": Training(epochs=10, after=20),
    "10-after-60": Training(epochs=10, after=60),
    "half-edge-14": Training(share=0.5, edge=14),
    "half-edge-14-long": Training(share=0.5, edge=14, epochs=120),
    "quarter-edge-14": Training(share=0.25, edge=14),
    "quarter-edge-14-long": Training(share=0.25, edge=14, epochs=240),
    "quarter-edge-14-narrow": Training(share=0.25, edge=14, width=0.5),
    "quarter-edge-14-narrow-long": Training(share=0.25, edge=14, width=0.5, epochs=240),
}


@dataclass(frozen=True)
class Judging(ClassificationTask):
    """A task whose figures are told for parts of the volumes that it is scored on.

    Attributes:
        parts: Name → positions.
    """

    parts: Mapping[str, NDArray[np.int64]] = field(default_factory=dict)

    @property
    def shown(self) -> tuple[str, ...]:
        return tuple(f"{figure}_{part}" for part in self.parts for figure in ("auc", "loss"))

    def figures(
        self, probabilities: NDArray[np.float64], labels: NDArray[np.int64]
    ) -> dict[str, float]:
        return {
            name: value
            for part, rows in self.parts.items()
            for name, value in judged(probabilities[rows], labels[rows], part).items()
        }


def judged(
    probabilities: NDArray[np.float64], labels: NDArray[np.int64], part: str
) -> dict[str, float]:
    """Return area under the ROC curve, and log loss at the temperature that is best for it."""
    return {
        f"auc_{part}": auc(probabilities, labels),
        f"loss_{part}": calibrated_loss(probabilities, labels),
    }


def calibrated_loss(probabilities: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
    """Return the log loss at the temperature in [0.05, 20] that makes it least."""
    logits = torch.from_numpy(np.log(np.maximum(probabilities, np.finfo(float).tiny)))
    targets = torch.from_numpy(labels)

    def loss(log_temperature: float) -> float:
        return float(F.cross_entropy(logits / np.exp(log_temperature), targets))

    bound = np.log(_HOTTEST)
    return float(minimize_scalar(loss, bounds=(-bound, bound), method="bounded").fun)


class Problem:
    """A dataset's development part, of which half of the training set is for training.

    The other half and the validation set are for judging, in two halves `a` and `b`; the test set
    stays sealed.

    Attributes:
        train: For training.
        judged: For judging, `a` before `b`.
        parts: `a`, `b` and `all`: positions in `judged`.
    """

    def __init__(self, dataset: str, root: str | None) -> None:
        registry = mp.load_plugins()
        source = registry.create("dataset", dataset, **({"root": root} if root else {}))
        development, card = source.development(), source.card
        self.classes, self._channels = card.classes, card.channels
        mine, others = halves(development.train.labels, development.train.groups, seed=0)
        self.train = development.train.take(mine)
        held_out = development.train.take(others).join(development.validation)
        a, b = halves(held_out.labels, held_out.groups, seed=0)
        self.judged = held_out.take(np.concatenate((a, b)))
        rows = np.arange(len(self.judged))
        self.parts = {"a": rows[: len(a)], "b": rows[len(a) :], "all": rows}
        self._plain: dict[tuple[int, int], tuple[nn.Module, float]] = {}

    def plainly_trained(self, epochs: int, *, seed: int) -> tuple[nn.Module, float]:
        """Return the network trained without augmentation, and its processor seconds."""
        if (epochs, seed) not in self._plain:
            nothing = policies(joint_space(), 1)["nothing"]
            row, network = trained(self, nothing, Training(epochs=epochs), seed=seed)
            self._plain[epochs, seed] = network, row["cpu_s"]
        return self._plain[epochs, seed]

    def network(self, genotype: mp.Genotype, *, width: float = 1.0, seed: int) -> nn.Module:
        """Build the network of a genotype with fresh weights, in a width of its own."""
        space = joint_space(width)
        return build_network(
            space,
            space.genotype(genotype.choices),
            in_channels=self._channels,
            num_classes=len(self.classes),
            seed=seed,
        )


def trained(
    problem: Problem, genotype: mp.Genotype, training: Training, *, seed: int, told: str = ""
) -> tuple[dict[str, Any], nn.Module]:
    """Train a network with a genotype's policy.

    Returns:
        A row of figures at six epochs on the way, each a list: the mean `loss` of the epoch, and
        `auc_…` and `loss_…` of the parts that are judged. Where only a share of the volumes was
        trained on, `a+` and `b+` are these parts and all that was left. `cpu_s` and `wall_s`
        are seconds of processor and clock, with scoring; `shared_cpu_s` those of what is trained
        once for all policies. And the network.
    """
    shared = problem.plainly_trained(training.after, seed=seed) if training.after else None
    began, began_cpu = time.perf_counter(), time.process_time()
    train, judged_volumes, parts = problem.train, problem.judged, dict(problem.parts)
    if training.share < 1:
        mine, left = split(train.labels, train.groups, share=training.share, seed=seed)
        first = len(judged_volumes)
        judged_volumes = judged_volumes.join(train.take(left))
        rest = np.arange(first, len(judged_volumes))
        parts |= {f"{part}+": np.concatenate((parts[part], rest)) for part in ("a", "b")}
        train = train.take(mine)
    settings = FitSettings(
        epochs=training.epochs,
        batch_size=32,
        lr=3e-3,
        weight_decay=0.05,
        average=0.99,
        label_smoothing=SMOOTHING,
        validate_every=training.epochs // min(RECORDS, training.epochs),
    )
    task = Judging(problem.classes, label_smoothing=SMOOTHING, parts=parts)
    network = problem.network(genotype, width=training.width, seed=seed)
    if shared:
        network.load_state_dict(shared[0].state_dict())
    state = FitState.start(
        network, pooled(train, training.edge), settings=settings, seed=seed, device=CPU
    )
    result = fit(
        state,
        settings=settings,
        task=task,
        augment=build_policy(joint_space(), genotype),
        validation=pooled(judged_volumes, training.edge),
        name=told,
    )
    recorded = [row for row in state.history if "validation_loss" in row]
    row: dict[str, Any] = {
        "epochs": [int(row["epoch"]) for row in recorded],
        "loss": [round(row["loss"], 4) for row in recorded],
    }
    for name in task.shown:
        row[name] = [round(found[f"validation_{name}"], 4) for found in recorded]
    row |= {"volumes": len(train), "shared_cpu_s": shared[1] if shared else 0.0}
    return row | seconds(began, began_cpu), result


def seconds(began: float, began_cpu: float) -> dict[str, float]:
    """Return what has passed on the clock and on the processor."""
    return {
        "cpu_s": round(time.process_time() - began_cpu, 2),
        "wall_s": round(time.perf_counter() - began, 2),
    }


def pooled(data: LabelledVolumes, edge: int) -> LabelledVolumes:
    """Return volumes of an edge length that divides theirs."""
    factor = data.volumes.shape[-1] // edge
    if factor == 1:
        return data
    volumes = torch.from_numpy(np.asarray(data.volumes)).float() / 255
    return LabelledVolumes(F.avg_pool3d(volumes, factor).numpy(), data.labels, data.groups)
