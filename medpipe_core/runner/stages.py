"""The stages of a run: they are handed development data and never see the dataset itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypedDict

import torch

from medpipe_core.computing import Computing
from medpipe_core.data import Batches, Development, halves
from medpipe_core.runner.device import device_of
from medpipe_core.runner.errors import ConfigurationError
from medpipe_core.runner.fitting_in import FittingIn
from medpipe_core.runner.pipeline import Candidate, Planned, Trained
from medpipe_core.runner.training import as_trial, check_training, trained_as
from medpipe_core.search import NoBatches, ScoreError, SearchState, StagesError, search
from medpipe_core.seeding import child_seed, seeded_init
from medpipe_core.supernet import ResourceMeter, Supernet, build_network, build_policy
from medpipe_core.train import (
    ClassificationTask,
    FitState,
    TrainingDivergedError,
    contest,
    fit,
    predict,
    recalibrate,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import nn

    from medpipe_core.data import DatasetCard, LabelledVolumes
    from medpipe_core.events import Emit
    from medpipe_core.plugins import Registry
    from medpipe_core.runner.config import Configuration
    from medpipe_core.runner.settings import EvaluateKeys, RetrainKeys
    from medpipe_core.search import BatchSource, Score, Searcher
    from medpipe_core.space import Genotype

# A step of the search trains a path and shows it a validation batch; measured beside training.
_SEARCH_STEP = 3.0
# Paths that the heaviest is sought among, to see whether it fits into memory.
_PATHS = 32


class _Shape(TypedDict):
    in_channels: int
    num_classes: int


class TorchStages:
    """Search, evaluation and retraining of one run.

    Each is a function of the configuration, the development data and what came before it.

    Args:
        configuration: The run's configuration.
        registry: Who makes space, searcher and operations.
        card: The dataset's card: channels, size and classes.

    Raises:
        ConfigurationError: The device is not there.
    """

    def __init__(self, configuration: Configuration, registry: Registry, card: DatasetCard) -> None:
        self._configuration = configuration
        self._keys = configuration.keys
        self._registry = registry
        self._card = card
        self._shape: _Shape = {"in_channels": card.channels, "num_classes": len(card.classes)}
        self._task = ClassificationTask(card.classes, rank_by=self._keys.evaluate.rank_by)
        self._device = device_of(self._keys.device)
        computing = Computing.on(self._device, self._keys.precision)
        computing = computing.with_micro_batch(self._keys.micro_batch)
        self._fitting_in = FittingIn(computing, (card.channels, *card.size))
        if self._keys.threads is not None:
            torch.set_num_threads(self._keys.threads)
        self.space = registry.space(configuration.space, **configuration.parameters["space"])
        check_training(self.space)
        self._meter = ResourceMeter(self.space, size=card.size, **self._shape)
        self._inherited: Supernet | None = None

    @property
    def device_name(self) -> str:
        """The device, and the model of a GPU."""
        if self._device.type == "cuda":
            return f"{self._device} ({torch.cuda.get_device_name(self._device)})"
        return str(self._device)

    @property
    def threads(self) -> int:
        """Threads that torch uses on the CPU."""
        return torch.get_num_threads()

    def check_memory(self) -> None:
        """Check, before anything is trained, that a training step fits into the device's memory.

        Raises:
            ConfigurationError: It is estimated not to fit, not even with two volumes at once.
        """
        keys = self._keys
        sizes = {
            "search": keys.search.batch_size,
            "evaluate": keys.evaluate.batch_size,
            "retrain": keys.retrain.batch_size,
        }
        self._fitting_in.check(self._heaviest(), sizes)

    def plan(self, development: Development) -> dict[str, Planned]:
        """Return what each stage is going to do."""
        keys, count = self._keys, len(development.train)
        trial_epoch = _batches(count // 2, keys.evaluate.batch_size)
        trials = keys.evaluate.top_k * keys.evaluate.epochs
        training = keys.retrain.epochs * _batches(count, keys.retrain.batch_size)
        return {
            "search": self._plan_search(count // 2, trial_epoch),
            "evaluate": Planned("evaluate-epoch", trials, trials * trial_epoch),
            "retrain": Planned("retrain-epoch", keys.retrain.epochs, training),
        }

    def _plan_search(self, count: int, trial_epoch: int) -> Planned:
        keys = self._keys.search
        steps = keys.epochs * _batches(count, keys.batch_size)
        steps = steps if self._trains_weights(steps) else 0
        trials = keys.epochs * keys.candidates if keys.scores == "trained" else 0
        work = _SEARCH_STEP * steps + trials * keys.trial_epochs * trial_epoch
        return Planned("search-step" if steps else "search-epoch", steps or trials, work)

    def search(self, development: Development, emit: Emit) -> list[Candidate]:
        """Search on two halves of the training set; return scored candidates, the best first.

        What the searcher itself calls the best leads them: a score of shared weights says nothing
        of augmentation.

        One half trains the shared weights, the other informs the searcher (paper, section IV-C1).
        Candidates are scored on all that no weight was trained on: the other half and the
        validation set. A validation set alone is often too small to rank by. Where nobody uses the
        shared weights, no step trains them, and an epoch is a round of scoring.
        """
        weights_half, other_half = self._halves(development)
        training: BatchSource = self._batch_source(weights_half, "search", "weights")
        validation: BatchSource = self._batch_source(other_half, "search", "searcher")
        settings = self._keys.search
        if not self._trains_weights(settings.epochs * len(training)):
            training = validation = NoBatches()
        searcher = self._searcher(settings.epochs * len(training))
        supernet = self._supernet(searcher)
        seed = self._keys.seed
        state = SearchState.start(
            supernet,
            searcher,
            training,
            validation,
            settings=settings,
            seed=seed,
            admit=self._meter.admits,
            who=self._registry.entry("searcher", self._configuration.searcher).who,
            computing=self._fitting_in.computing(
                self._heaviest(), settings.batch_size, stage="search", emit=emit
            ),
        )
        found = search(
            state,
            settings=settings,
            loss=self._task.loss,
            score=self._scorer(weights_half, other_half.join(development.validation), emit),
            emit=emit,
        )
        self._inherited = supernet
        # The searcher's own answer is always among those compared, the best scored come after it.
        best = state.asked.best()
        ranked = sorted(found, key=lambda c: (c.genotype != best, -c.score))
        return [self._candidate(c.genotype, c.figures, c.epoch) for c in ranked]

    def evaluate(
        self, development: Development, candidates: Sequence[Candidate], emit: Emit
    ) -> list[Candidate]:
        """Train the candidates briefly and rank them by figures on volumes they did not see.

        They are trained on the half that trained the search's weights, so that the ranking rests
        on the other half as well as on the validation set.
        """
        keys = self._keys.evaluate
        weights_half, other_half = self._halves(development)
        unseen = other_half.join(development.validation)
        part = Development(weights_half, unseen)

        def trial(candidate: Candidate) -> dict[str, float]:
            network = self._fit(candidate.genotype, part, keys, "evaluate", emit)
            return self._figures(network, unseen)

        rows = contest(candidates, trial, emit=emit)
        return [
            self._candidate(
                row.candidate.genotype, row.figures, row.candidate.epoch, failed=row.failed
            )
            for row in rows
        ]

    def retrain(self, development: Development, chosen: Candidate, emit: Emit) -> Trained:
        """Train the chosen network on the whole training set."""
        network = self._fit(chosen.genotype, development, self._keys.retrain, "retrain", emit)
        return Trained(network, self._figures(network, development.validation))

    def _halves(self, development: Development) -> tuple[LabelledVolumes, LabelledVolumes]:
        train = development.train
        mine, theirs = halves(train.labels, train.groups, seed=self._seed("halves"))
        return train.take(mine), train.take(theirs)

    def _searcher(self, steps: int) -> Searcher:
        name = self._configuration.searcher
        try:
            searcher: Searcher = self._registry.factory("searcher", name)(
                self.space,
                seed=self._keys.seed,
                steps=steps,
                admit=self._meter.admits,
                **self._configuration.parameters["searcher"],
            )
        except StagesError as error:
            raise ConfigurationError([f"searcher={name}: {error}"]) from error
        return searcher

    def _trains_weights(self, steps: int) -> bool:
        """Say whether anybody uses the shared weights that the search's steps would train."""
        keys = self._keys
        used = keys.search.scores == "shared" or keys.evaluate.inherit or keys.retrain.inherit
        return used or bool(self._searcher(steps).needs)

    def _supernet(self, searcher: Searcher) -> Supernet:
        fixed = {name: self._fixed(name, own) for name, own in searcher.networks.items()}
        seed = self._seed("supernet")
        supernet = Supernet(self.space, seed=seed, fixed=fixed, **self._shape)
        return supernet.to(self._device)

    def _fixed(self, name: str, parameters: Mapping[str, Any]) -> nn.Module:
        with seeded_init(self._seed("supernet", "fixed", name)):
            network: nn.Module = self._registry.model(name, **self._shape, **parameters)
        return network

    def _fit(
        self,
        genotype: Genotype,
        development: Development,
        keys: EvaluateKeys | RetrainKeys,
        stage: str,
        emit: Emit,
    ) -> nn.Module:
        keys = trained_as(self.space, genotype, keys)
        seed = self._seed(stage, genotype.digest)
        network = self._network(genotype, development, inherit=keys.inherit, seed=seed)
        network.to(self._device)
        state = FitState.start(
            network,
            development.train,
            settings=keys,
            seed=seed,
            device=self._device,
            hold=self._keys.hold,
            computing=self._fitting_in.computing(network, keys.batch_size, stage=stage, emit=emit),
        )
        return fit(
            state,
            settings=keys,
            task=ClassificationTask.for_training(
                self._card.classes, keys, development.train.labels
            ),
            augment=build_policy(self.space, genotype),
            validation=development.validation,
            emit=emit,
            stage=stage,
            name=genotype.digest,
        )

    def _heaviest(self) -> nn.Module:
        """Build the network of most multiply-adds among some that are drawn and admitted."""
        drawn = [self.space.sample(seed=seed) for seed in range(_PATHS)]
        admitted = [genotype for genotype in drawn if self._meter.admits(genotype)] or drawn
        heaviest = max(admitted, key=lambda genotype: self._meter(genotype).multiply_adds)
        network = build_network(self.space, heaviest, seed=0, **self._shape)
        return network.to(self._device)

    def _network(
        self, genotype: Genotype, development: Development, *, inherit: bool, seed: int
    ) -> nn.Module:
        if not inherit or self._inherited is None:
            return build_network(self.space, genotype, seed=seed, **self._shape)
        network = self._inherited.freeze(genotype)
        self._recalibrate(network, development.train)
        return network

    def _scorer(self, weights_half: LabelledVolumes, unseen: LabelledVolumes, emit: Emit) -> Score:
        trained_on = Development(weights_half, unseen)
        keys = as_trial(self._keys.evaluate, self._keys.search.trial_epochs)

        def by_shared_weights(_: Genotype, network: nn.Module) -> dict[str, float]:
            self._recalibrate(network, weights_half)
            return self._figures(network, unseen)

        def by_training(genotype: Genotype, _: nn.Module) -> dict[str, float]:
            def tell(event: str, /, **fields: Any) -> None:
                if event == "trial-epoch":
                    told = {name: fields[name] for name in ("steps", "seconds")}
                    emit("search-trial", genotype=genotype.digest, **told)
                else:
                    emit(event, **fields)

            try:
                network = self._fit(genotype, trained_on, keys, "trial", tell)
            except TrainingDivergedError as error:
                raise ScoreError(str(error)) from error
            return self._figures(network, unseen)

        return by_shared_weights if self._keys.search.scores == "shared" else by_training

    def _recalibrate(self, network: nn.Module, data: LabelledVolumes) -> None:
        batches = self._batch_source(data, "recalibrate")
        count = min(self._keys.search.recalibration_batches, len(batches))
        recalibrate(network, (batches.next() for _ in range(count)))

    def _figures(self, network: nn.Module, data: LabelledVolumes) -> dict[str, float]:
        figures = self._task.figures(predict(network, data, task=self._task), data.labels)
        return {**figures, "score": self._task.score(figures)}

    def _candidate(
        self, genotype: Genotype, figures: Mapping[str, float], epoch: int, failed: str = ""
    ) -> Candidate:
        cost = self._meter(genotype)
        return Candidate(
            genotype, dict(figures), cost.parameters, cost.multiply_adds, epoch, failed
        )

    def _batch_source(self, data: LabelledVolumes, *names: str) -> Batches:
        keys, seed = self._keys, self._seed(*names)
        size = keys.search.batch_size
        return Batches(data, batch_size=size, seed=seed, device=self._device, hold=keys.hold)

    def _seed(self, *names: str) -> int:
        return child_seed(self._keys.seed, *names)


def _batches(count: int, size: int) -> int:
    return max(count // min(size, max(count, 1)), 1)
