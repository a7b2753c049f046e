"""Signals of policies that train no network for each, for `horizon.py`."""

from __future__ import annotations

import copy
import itertools
import random
import time
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from horizon_policies import joint_space
from horizon_trainings import CPU, SMOOTHING, Judging, seconds

from medpipe_core.data import Batches
from medpipe_core.seeding import child_seed
from medpipe_core.supernet import build_policy
from medpipe_core.train import predict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from horizon_trainings import Problem
    from torch import Tensor, nn

    import medpipe_core as mp
    from medpipe_core.data import Batch

    Probe = Callable[..., Iterator[tuple[str, dict[str, Any]]]]

COPIES = 8
LR = 3e-3
PROBE_LR = 1e-3
PROBES_OF_A_TRAINING = 60
JUDGED_BATCH = 64


def orbit(
    problem: Problem, found: Mapping[str, mp.Genotype], *, seed: int, epochs: int
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Score one network, trained without augmentation, on averages over transformed copies.

    Of each volume that is judged there are the prediction of itself and of eight copies that the
    policy has transformed; their mean is scored as trainings are, with the best temperature. This
    is the predictor of Benton et al., "Learning invariances in neural networks" (NeurIPS 2020).

    Yields:
        A policy's name, and `auc_…` and `loss_…` of the parts, each a list of one.
    """
    network, shared = problem.plainly_trained(epochs, seed=seed)
    task = Judging(problem.classes, parts=problem.parts)
    for name, genotype in found.items():
        began, began_cpu = time.perf_counter(), time.process_time()
        generator = torch.Generator().manual_seed(child_seed(seed, "orbit"))
        view = partial(build_policy(joint_space(), genotype), generator=generator)
        averaged = predict(network, problem.judged, task=task, views=[view] * COPIES)
        figures = task.figures(averaged, problem.judged.labels)
        row: dict[str, Any] = {figure: [round(value, 4)] for figure, value in figures.items()}
        yield name, {"epochs": [epochs], **row, "shared_cpu_s": shared, **seconds(began, began_cpu)}


def look_ahead(
    problem: Problem, found: Mapping[str, mp.Genotype], *, seed: int, epochs: int, plain: bool
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Tell by how much a step on a policy's batch lowers the loss of clean volumes that are judged.

    One network is trained, on batches augmented by policies drawn from those compared or, `plain`,
    without augmentation. At sixty places on the way each policy takes one step of Adam from there,
    all on the same batch and judged on the same volumes, in training mode as a search does.

    Yields:
        A policy's name, and the mean `gain_a`, `gain_b` and `gain_all` of each sixth of the way.
    """
    policies = {name: build_policy(joint_space(), one) for name, one in found.items()}
    began, began_cpu, own_cpu = time.perf_counter(), time.process_time(), dict.fromkeys(found, 0.0)
    network = problem.network(next(iter(found.values())), seed=seed)
    optimiser = torch.optim.AdamW(network.parameters(), lr=LR, weight_decay=0.05, fused=True)
    batches = Batches(problem.train, batch_size=32, seed=child_seed(seed, "order"), device=CPU)
    judged = {
        part: Batches(problem.judged.take(problem.parts[part]), batch_size=JUDGED_BATCH,
                      seed=child_seed(seed, part), device=CPU)
        for part in ("a", "b")
    }  # fmt: skip
    generator = torch.Generator().manual_seed(child_seed(seed, "augmentation"))
    rng = random.Random(seed)
    gains: dict[str, list[dict[str, float]]] = {name: [] for name in policies}
    total = epochs * len(batches)
    for step, batch in enumerate(itertools.islice(_endless(batches), total)):
        if step % (total // PROBES_OF_A_TRAINING) == 0:
            clean = {part: source.next() for part, source in judged.items()}
            before = {part: _loss(network, one) for part, one in clean.items()}
            for name, policy in policies.items():
                own_began = time.process_time()
                ahead, stepping = _copied(network, optimiser)
                _step(ahead, stepping, policy(batch.volumes, generator), batch.labels)
                gain = {part: before[part] - _loss(ahead, one) for part, one in clean.items()}
                gains[name].append(gain)
                own_cpu[name] += time.process_time() - own_began
        volumes = batch.volumes
        if not plain:
            volumes = policies[rng.choice(list(policies))](volumes, generator)
        _step(network, optimiser, volumes, batch.labels)
    shared = time.process_time() - began_cpu - sum(own_cpu.values())
    sixth = PROBES_OF_A_TRAINING // 6
    for name, of_policy in gains.items():
        windows = [of_policy[i : i + sixth] for i in range(0, 6 * sixth, sixth)]
        row: dict[str, Any] = {
            f"gain_{part}": [round(sum(one[part] for one in w) / sixth, 6) for w in windows]
            for part in ("a", "b")
        }
        row["gain_all"] = [round((a + b) / 2, 6) for a, b in zip(*row.values(), strict=True)]
        yield (
            name,
            {
                "epochs": [epochs * (i + 1) // 6 for i in range(6)],
                **row,
                "shared_cpu_s": round(shared, 2),
                "cpu_s": round(own_cpu[name], 2),
                "wall_s": round((time.perf_counter() - began) / len(found), 2),
            },
        )


PROBES: Mapping[str, Probe] = {
    "orbit-60": partial(orbit, epochs=60),
    "orbit-20": partial(orbit, epochs=20),
    "look-ahead": partial(look_ahead, epochs=20, plain=False),
    "look-ahead-plain": partial(look_ahead, epochs=60, plain=True),
}


def _endless(batches: Batches) -> Iterator[Batch]:
    while True:
        yield batches.next()


def _step(
    network: nn.Module, optimiser: torch.optim.Optimizer, volumes: Tensor, labels: Tensor
) -> None:
    network.train()
    optimiser.zero_grad(set_to_none=True)
    F.cross_entropy(network(volumes), labels, label_smoothing=SMOOTHING).backward()
    optimiser.step()


def _copied(
    network: nn.Module, optimiser: torch.optim.Optimizer
) -> tuple[nn.Module, torch.optim.Optimizer]:
    network = copy.deepcopy(network)
    copied = torch.optim.AdamW(network.parameters(), weight_decay=0.05, fused=True)
    copied.load_state_dict(copy.deepcopy(optimiser.state_dict()))
    for group in copied.param_groups:
        group["lr"] = PROBE_LR
    return network, copied


@torch.no_grad()
def _loss(network: nn.Module, batch: Batch) -> float:
    """Return the loss of a batch in training mode; the network stays as it is."""
    network = copy.deepcopy(network).train()
    return float(F.cross_entropy(network(batch.volumes), batch.labels))
