"""The network that a run ended with, ready to answer for new volumes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from medpipe_core.config.configuration import resolve
from medpipe_core.config.errors import ConfigurationError, RunFolderError
from medpipe_core.config.settings import MOST_MEMBERS
from medpipe_core.data import LabelledVolumes, ReadsScans, check_chain, unlike
from medpipe_core.errors import MedpipeError
from medpipe_core.execution.checked_dataset import made_dataset
from medpipe_core.execution.device import device_of
from medpipe_core.execution.execute import configured_space
from medpipe_core.execution.new_inputs import ScansOfRun, asked
from medpipe_core.execution.registry import registry_for
from medpipe_core.record.run_folder import open_folder
from medpipe_core.regular_files import check_regular_file
from medpipe_core.space import Genotype
from medpipe_core.supernet import Averaged, Ensemble, Symmetry, build_network
from medpipe_core.train import ClassificationTask, DecisionRule, predict

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import nn

    from medpipe_core.config.configuration import Configuration
    from medpipe_core.execution.new_inputs import Asked, Inputs
    from medpipe_core.plugins import Registry
    from medpipe_core.record.run_folder import RunFolder

_LOAD = "plugins.load"
# What weights and buffers are of; safetensors knows types with which torch cannot compute.
_OF_WEIGHTS = {
    torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int32,
    torch.int16, torch.int8, torch.uint8, torch.bool,
}  # fmt: skip


@dataclass(frozen=True)
class Answer:
    """What a trained network answers for one case.

    Attributes:
        case: What the case is called: its file, or its number.
        probabilities: Class name → calibrated probability.
        decision: Name of the class that is answered.
        warnings: In which ways the case is unlike the training data, in words.
        failed: Why there is no answer, or the empty text.
        notes: What was unusual about a scan when it was read.
    """

    case: str
    probabilities: Mapping[str, float]
    decision: str
    warnings: tuple[str, ...] = ()
    failed: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class TrainedModel:
    """A trained network with its rule of decision, and what it knows of its training data.

    Attributes:
        network: The network, in evaluation mode: volumes `(batch, channel, *space)` in [0, 1] to
            logits, averaged over the members of an ensemble and over symmetries where the run's
            test was.
        classes: Names of the classes.
        rule: How answers follow from probabilities.
        shape: `(channel, *space)` of a volume.
        appearance: Ranges that the training volumes lie in, as `medpipe_core.data.appearance` has
            them; empty where the run did not keep them.
        symmetries: What the network averages its probabilities over, beside the volumes as they
            are.
        scans: How the run read and prepared its scans; None where it had arrays.
    """

    network: nn.Module
    classes: tuple[str, ...]
    rule: DecisionRule
    shape: tuple[int, ...]
    appearance: Mapping[str, Mapping[str, float]]
    symmetries: tuple[Symmetry, ...] = ()
    scans: ScansOfRun | None = None

    def predict(
        self,
        inputs: Inputs,
        *,
        series: str | int | None = None,
        volume: int | None = None,
    ) -> list[Answer]:
        """Answer for new cases, in their order.

        Args:
            inputs: Volumes `(count, channel, *space)`, uint8 in [0, 255] or floating-point in
                [0, 1], prepared as those of training; or a list of files and such volumes
                `(channel, *space)`. Of a run on scans, files are scans of any kind that its
                dataset reads, several files in a tuple are channels of one, and all are prepared
                as those of training; files of other runs are `.npy` or `.npz`, and one with
                several volumes has an answer for each.
            series: Which of several series of a scan; by default as in training.
            volume: Which of several volumes of a scan; by default as in training.

        Returns:
            An answer for each case. A file that cannot be read or used has one with `failed`.

        Raises:
            DataError: A volume that is no file cannot be used.
            MissingExtraError: A package that reads scans is not installed.
        """
        cases = asked(inputs, self.shape, self.scans, series=series, volume=volume)
        return [answer for case in cases for answer in self._answers(case)]

    def probabilities(self, volumes: NDArray[Any]) -> NDArray[np.float64]:
        """Return calibrated probabilities, `(count, classes)`, of volumes as `predict` takes."""
        data = LabelledVolumes(volumes, np.zeros(len(volumes), np.int64))
        found = predict(self.network, data, task=ClassificationTask(self.classes))
        return self.rule.calibrated(found)

    def _answers(self, case: Asked) -> list[Answer]:
        if case.volumes is None:
            return [Answer(case.names[0], {}, "", case.warnings, case.failed, case.notes)]
        calibrated = self.probabilities(case.volumes)
        decisions = self.rule.decide(calibrated)
        unusual = unlike(self.appearance, case.volumes)
        return [
            Answer(
                name,
                dict(zip(self.classes, row.tolist(), strict=True)),
                self.classes[decision],
                (*case.warnings, *found),
                notes=case.notes,
            )
            for name, row, decision, found in zip(
                case.names, calibrated, decisions, unusual, strict=True
            )
        ]


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
        ConfigurationError: The device is not there.
        RunFolderError: It is no folder of a finished run, a file is damaged or foreign, or the
            space is not what it was.
    """
    place = device_of(str(device))
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
        members = _members(result.get("members", 1))
    except (KeyError, IndexError, TypeError, ValueError, MedpipeError) as error:
        raise RunFolderError(
            f"{run.path / run.RESULT} is not the result of a run: {type(error).__name__}: {error}"
        ) from error
    try:
        space.validate(genotype)
        networks = [
            build_network(space, genotype, in_channels=shape[0], num_classes=len(classes))
            for _ in range(members)
        ]
    except MedpipeError as error:
        raise RunFolderError(
            f"{run.path}: space {space.name!r} is not what it was when the run was made: {error}"
        ) from error
    network = networks[0] if members == 1 else Ensemble(networks)
    _load_weights(run, network)
    answering = Averaged(network, symmetries) if symmetries else network
    return TrainedModel(
        answering.to(place).eval(),
        classes,
        rule,
        shape,
        result.get("appearance") or {},
        symmetries,
        _scans_of(run, configuration, registry),
    )


def _members(told: object) -> int:
    """Return how many networks answer as one, as a result tells it.

    Raises:
        ValueError: It tells of none, or of more than a run can have.
    """
    if type(told) is not int or not 1 <= told <= MOST_MEMBERS:
        raise ValueError(f"members={told!r} is no number of networks from 1 to {MOST_MEMBERS}")
    return told


def _scans_of(
    run: RunFolder, configuration: Configuration, registry: Registry
) -> ScansOfRun | None:
    """Return how a run read scans; None where it had arrays, or its dataset reads no new ones."""
    chain = run.preparation()
    if chain is None:
        return None
    try:
        dataset = made_dataset(configuration, registry)
        if not isinstance(dataset, ReadsScans):
            return None
        return ScansOfRun(dataset, check_chain(chain, registry), run.scan_facts())
    except RunFolderError:
        raise
    except MedpipeError as error:
        raise RunFolderError(
            f"{run.path}: scans cannot be prepared as they were when the run was made: {error}"
        ) from error


def _load_weights(run: RunFolder, network: nn.Module) -> None:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    path = run.checked(run.WEIGHTS)
    try:
        check_regular_file(path.stat(), path)
        weights = load_file(path)
    except (OSError, SafetensorError) as error:
        raise RunFolderError(f"{path} cannot be read: {error}") from error
    if foreign := {w.dtype for w in weights.values()} - _OF_WEIGHTS:
        raise RunFolderError(f"{path} has numbers of a type that no run writes, {foreign.pop()}")
    if not all(torch.isfinite(w).all() for w in weights.values() if w.is_floating_point()):
        raise RunFolderError(f"{path} has weights that are not finite")
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        text = " ".join(str(error).split())
        raise RunFolderError(f"{path} is not of this run's network: {text[:300]}") from error
