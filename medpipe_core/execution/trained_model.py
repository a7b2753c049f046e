"""The network that a run ended with, ready to answer for new volumes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from medpipe_core.config.configuration import resolve
from medpipe_core.config.errors import ConfigurationError, RunFolderError
from medpipe_core.data import DataError, LabelledVolumes, unlike
from medpipe_core.errors import MedpipeError
from medpipe_core.execution.array_files import read_array
from medpipe_core.execution.execute import configured_space
from medpipe_core.execution.registry import registry_for
from medpipe_core.record.run_folder import open_folder
from medpipe_core.space import Genotype
from medpipe_core.supernet import Averaged, Symmetry, build_network
from medpipe_core.train import ClassificationTask, DecisionRule, predict

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray
    from torch import nn

    from medpipe_core.plugins import Registry
    from medpipe_core.record.run_folder import RunFolder

_LOAD = "plugins.load"


@dataclass(frozen=True)
class Answer:
    """What a trained network answers for one case.

    Attributes:
        case: What the case is called: its file, or its number.
        probabilities: Class name → calibrated probability.
        decision: Name of the class that is answered.
        warnings: In which ways the case is unlike the training data, in words.
        failed: Why there is no answer, or the empty text.
    """

    case: str
    probabilities: Mapping[str, float]
    decision: str
    warnings: tuple[str, ...] = ()
    failed: str = ""


@dataclass(frozen=True)
class TrainedModel:
    """A trained network with its rule of decision, and what it knows of its training data.

    Attributes:
        network: The network, in evaluation mode: volumes `(batch, channel, *space)` in [0, 1] to
            logits, averaged over symmetries where the run's test was.
        classes: Names of the classes.
        rule: How answers follow from probabilities.
        shape: `(channel, *space)` of a volume.
        appearance: Ranges that the training volumes lie in, as `medpipe_core.data.appearance` has
            them; empty where the run did not keep them.
        symmetries: What the network averages its probabilities over, beside the volumes as they
            are.
    """

    network: nn.Module
    classes: tuple[str, ...]
    rule: DecisionRule
    shape: tuple[int, ...]
    appearance: Mapping[str, Mapping[str, float]]
    symmetries: tuple[Symmetry, ...] = ()

    def predict(self, inputs: NDArray[Any] | Sequence[str | Path | NDArray[Any]]) -> list[Answer]:
        """Answer for new cases, in their order.

        Args:
            inputs: Volumes `(count, channel, *space)`, uint8 in [0, 255] or floating-point in
                [0, 1]; or a list of files (`.npy`, `.npz`) and volumes `(channel, *space)`. A file
                may hold several volumes; then it has an answer for each.

        Returns:
            An answer for each case. A file that cannot be read or used has one with `failed`.

        Raises:
            DataError: A volume that is no file cannot be used.
        """
        if isinstance(inputs, np.ndarray):
            names = [str(number) for number in range(len(inputs))]
            return self._answers(names, self._checked(inputs, "the volumes"))
        answers: list[Answer] = []
        for number, one in enumerate(inputs):
            if isinstance(one, np.ndarray):
                volumes = self._checked(one[None], f"volume {number}")
                answers += self._answers([str(number)], volumes)
                continue
            try:
                volumes = self._checked(read_array(Path(one), self.shape), str(one))
            except DataError as error:
                answers.append(Answer(str(one), {}, "", failed=str(error)))
                continue
            several = len(volumes) > 1
            names = [f"{one}[{row}]" if several else str(one) for row in range(len(volumes))]
            answers += self._answers(names, volumes)
        return answers

    def probabilities(self, volumes: NDArray[Any]) -> NDArray[np.float64]:
        """Return calibrated probabilities, `(count, classes)`, of volumes as `predict` takes."""
        data = LabelledVolumes(volumes, np.zeros(len(volumes), np.int64))
        found = predict(self.network, data, task=ClassificationTask(self.classes))
        return self.rule.calibrated(found)

    def _answers(self, names: Sequence[str], volumes: NDArray[Any]) -> list[Answer]:
        calibrated = self.probabilities(volumes)
        decisions = self.rule.decide(calibrated)
        notes = unlike(self.appearance, volumes)
        return [
            Answer(
                name,
                dict(zip(self.classes, row.tolist(), strict=True)),
                self.classes[decision],
                tuple(note),
            )
            for name, row, decision, note in zip(names, calibrated, decisions, notes, strict=True)
        ]

    def _checked(self, volumes: NDArray[Any], who: str) -> NDArray[Any]:
        if volumes.shape[1:] != self.shape:
            raise DataError(
                f"{who}: the network takes volumes {self.shape} (channel, *space), but these are "
                f"{volumes.shape[1:]}; bring them to that size first, as the training data were"
            )
        if volumes.dtype != np.uint8 and volumes.dtype.kind != "f":
            raise DataError(
                f"{who}: volumes are uint8 in [0, 255] or floating-point in [0, 1], but these are "
                f"{volumes.dtype}"
            )
        if not np.isfinite(volumes).all():
            raise DataError(f"{who}: a voxel is no finite number")
        return volumes


def load_model(
    folder: str | Path,
    *,
    registry: Registry | None = None,
    device: str = "cpu",
    trust_plugins: bool = False,
) -> TrainedModel:
    """Load the network of a finished run.

    Args:
        folder: The run's folder.
        registry: Loaded plugins; by default those that the run's configuration wants.
        device: Where the network runs.
        trust_plugins: Whether files that the configuration names in `plugins.load` may be run.

    Raises:
        RunFolderError: It is no folder of a finished run, a file is damaged or foreign, or the
            space is not what it was.
    """
    run = open_folder(folder)
    result, flat = run.result(), run.configuration()
    if registry is None:
        if flat.get(_LOAD) and not trust_plugins:
            raise RunFolderError(
                f"{run.path}: its configuration would run code from {flat[_LOAD]}. Look into it; "
                "then say trust_plugins=True (--trust-plugins), or hand in a registry"
            )
        registry = registry_for(flat)
    try:
        configuration = resolve({}, registry, base=flat)
        space = configured_space(configuration, registry)
    except ConfigurationError as error:
        raise RunFolderError(f"{run.path}: its configuration no longer holds: {error}") from error
    try:
        card = result["card"]
        classes = tuple(map(str, card["classes"]))
        shape = (int(card["channels"]), *map(int, card["size"]))
        genotype = Genotype.from_dict(result["genotype"])
        decision = result.get("decision") or DecisionRule().to_dict()
        rule = DecisionRule.from_dict(decision)
        symmetries = tuple(map(Symmetry.from_plain, decision.get("symmetries", ())))
    except (KeyError, IndexError, TypeError, ValueError, MedpipeError) as error:
        raise RunFolderError(
            f"{run.path / run.RESULT} is not the result of a run: {type(error).__name__}: {error}"
        ) from error
    try:
        space.validate(genotype)
        network = build_network(space, genotype, in_channels=shape[0], num_classes=len(classes))
    except MedpipeError as error:
        raise RunFolderError(
            f"{run.path}: space {space.name!r} is not what it was when the run was made: {error}"
        ) from error
    _load_weights(run, network)
    answering = Averaged(network, symmetries) if symmetries else network
    seen = result.get("appearance") or {}
    return TrainedModel(answering.to(device).eval(), classes, rule, shape, seen, symmetries)


def _load_weights(run: RunFolder, network: nn.Module) -> None:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    path = run.path / run.WEIGHTS
    try:
        weights = load_file(path)
    except (OSError, SafetensorError) as error:
        raise RunFolderError(f"{path} cannot be read: {error}") from error
    if not all(torch.isfinite(w).all() for w in weights.values() if w.is_floating_point()):
        raise RunFolderError(f"{path} has weights that are not finite")
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        text = " ".join(str(error).split())
        raise RunFolderError(f"{path} is not of this run's network: {text[:300]}") from error
