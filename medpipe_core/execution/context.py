"""What everything in a run works with: its configuration bound to a device, a space and a card."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, TypedDict

import torch

from medpipe_core.computing import Computing
from medpipe_core.data import Batches, Development, halves
from medpipe_core.execution.device import device_of
from medpipe_core.execution.micro_batching import MicroBatching
from medpipe_core.execution.results import Candidate
from medpipe_core.execution.training_settings import check_training
from medpipe_core.seeding import child_seed
from medpipe_core.supernet import ResourceMeter, build_network
from medpipe_core.train import ClassificationTask, predict, recalibrate

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import nn

    from medpipe_core.config.configuration import Configuration
    from medpipe_core.config.settings import Keys
    from medpipe_core.data import DatasetCard, LabelledVolumes
    from medpipe_core.plugins import Registry
    from medpipe_core.space import Genotype, SearchSpace

# Paths that the heaviest is sought among, to see whether it fits into memory.
_PATHS = 32


class Shape(TypedDict):
    """What a network has to take and to give."""

    in_channels: int
    num_classes: int


@dataclass(frozen=True)
class RunContext:
    """A configuration, with what follows from it before any data are read.

    Attributes:
        configuration: The run's configuration.
        registry: Who makes space, searcher and operations.
        card: The dataset's card: channels, size and classes.
        space: The configuration's space.
        device: Where networks are trained.
        computing: How they are computed there.
        micro_batching: Splits batches that do not fit into the device's memory.
        meter: Measures the cost of genotypes.
    """

    configuration: Configuration
    registry: Registry
    card: DatasetCard
    space: SearchSpace
    device: torch.device
    computing: Computing
    micro_batching: MicroBatching
    meter: ResourceMeter

    @classmethod
    def of(cls, configuration: Configuration, registry: Registry, card: DatasetCard) -> RunContext:
        """Bind a configuration; torch is given its number of threads.

        Raises:
            ConfigurationError: The device is not there, or the space's part `training` is wrong.
        """
        keys = configuration.keys
        device = device_of(keys.device)
        computing = Computing.on(device, keys.precision).with_micro_batch(keys.micro_batch)
        if keys.threads is not None:
            torch.set_num_threads(keys.threads)
        space = registry.space(configuration.space, **configuration.parameters["space"])
        check_training(space)
        return cls(
            configuration,
            registry,
            card,
            space,
            device,
            computing,
            MicroBatching(computing, (card.channels, *card.size)),
            ResourceMeter(space, size=card.size, **_shape(card)),
        )

    @property
    def keys(self) -> Keys:
        """The keys of the run."""
        return self.configuration.keys

    @property
    def shape(self) -> Shape:
        """What every network takes and gives."""
        return _shape(self.card)

    @cached_property
    def task(self) -> ClassificationTask:
        """How candidates are scored."""
        return ClassificationTask(self.card.classes, rank_by=self.keys.evaluate.rank_by)

    @property
    def device_name(self) -> str:
        """The device, and the model of a GPU."""
        if self.device.type == "cuda":
            return f"{self.device} ({torch.cuda.get_device_name(self.device)})"
        return str(self.device)

    def seed(self, *names: str) -> int:
        """Return the seed of a named part of the run."""
        return child_seed(self.keys.seed, *names)

    def halves(self, development: Development) -> tuple[LabelledVolumes, LabelledVolumes]:
        """Return the half of the training set that search trains on, and the other one."""
        train = development.train
        mine, theirs = halves(train.labels, train.groups, seed=self.seed("halves"))
        return train.take(mine), train.take(theirs)

    def network(self, genotype: Genotype, *, seed: int, width: float = 1.0) -> nn.Module:
        """Build a genotype's network with fresh weights, on the device.

        Raises:
            BindingError: It cannot be made as narrow as `width`, a share of what it is.
        """
        network = build_network(self.space, genotype, seed=seed, width=width, **self.shape)
        return network.to(self.device)

    def heaviest(self) -> nn.Module:
        """Build the network of most multiply-adds among some that are drawn and admitted."""
        drawn = [self.space.sample(seed=seed) for seed in range(_PATHS)]
        admitted = [genotype for genotype in drawn if self.meter.admits(genotype)] or drawn
        return self.network(max(admitted, key=lambda g: self.meter(g).multiply_adds), seed=0)

    def check_memory(self) -> None:
        """Check, before anything is trained, that a training step fits into the device's memory.

        Raises:
            ConfigurationError: It is estimated not to fit, not even with two volumes at once.
        """
        keys = self.keys
        sizes = {
            "search": keys.search.batch_size,
            "evaluate": keys.evaluate.batch_size,
            "retrain": keys.retrain.batch_size,
        }
        self.micro_batching.check(self.heaviest(), sizes)

    def batches(self, data: LabelledVolumes, *names: str) -> Batches:
        """Return batches of the search's size, in the order of a named seed."""
        keys, seed = self.keys, self.seed(*names)
        size = keys.search.batch_size
        return Batches(data, batch_size=size, seed=seed, device=self.device, hold=keys.hold)

    def recalibrate(
        self, network: nn.Module, data: LabelledVolumes, between: Callable[[], None]
    ) -> None:
        """Estimate a network's batch-norm statistics anew; `between` is called before batches."""
        batches = self.batches(data.fixed(), "recalibrate")
        count = min(self.keys.search.recalibration_batches, len(batches))
        recalibrate(network, (batches.next() for _ in range(count)), between)

    def figures(
        self,
        network: nn.Module,
        data: LabelledVolumes,
        between: Callable[[], None] = lambda: None,
    ) -> dict[str, float]:
        """Return a network's figures on volumes, and its `score`; `between` as `recalibrate`."""
        probabilities = predict(network, data, task=self.task, between=between)
        figures = self.task.figures(probabilities, data.labels)
        return {**figures, "score": self.task.score(figures)}

    def candidate(
        self, genotype: Genotype, figures: Mapping[str, float], epoch: int, failed: str = ""
    ) -> Candidate:
        """Return a candidate with its cost."""
        cost = self.meter(genotype)
        return Candidate(
            genotype, dict(figures), cost.parameters, cost.multiply_adds, epoch, failed
        )


def _shape(card: DatasetCard) -> Shape:
    return {"in_channels": card.channels, "num_classes": len(card.classes)}
