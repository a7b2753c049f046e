"""What is read of run folders before they are compared."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BeforeValidator

from medpipe_core.config.errors import RunFolderError
from medpipe_core.record.run_folder import RunFolder
from medpipe_core.report.checking import Content, checked

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

STAGES = ("search", "evaluate", "retrain")
"""The stages that step weights."""

_TRACES = (RunFolder.CONFIG, RunFolder.EVENTS, RunFolder.RESULT)


def _value(figure: Any) -> float | None:
    """Return the number of a figure, which may carry an interval; None where it has none."""
    value = figure.get("value") if isinstance(figure, dict) else figure
    return value if isinstance(value, int | float) and math.isfinite(value) else None


Figures = dict[str, Annotated[float | None, BeforeValidator(_value)]]


class Tried(Content):
    """A row of the table of candidates in `result.json`."""

    search: Figures
    validation: Figures
    failed: str


class _Genotype(Content):
    choices: dict[str, str]


class Result(Content):
    """What a comparison needs of `result.json`."""

    seed: int
    dataset: str
    searcher: str
    space_digest: str
    test: Figures
    validation: Figures
    regret: float | None = None
    seconds: dict[str, float]
    genotype: _Genotype
    candidates: list[Tried]


class Best(Content):
    """An event `search-best`: what the searcher would have answered after so much cost."""

    steps: int
    seconds: float
    regret: float | None = None


class _Trained(Content):
    steps: int


class _Told(Content):
    choices: tuple[str, ...] = ()


class _Chosen(Content):
    tables: tuple[_Told, ...] = ()


@dataclass(frozen=True)
class Run:
    """A finished run.

    Attributes:
        folder: Where it is.
        settings: Every key of its configuration.
        result: What it found.
        bests: The best genotype known at the end of each epoch of the search.
        steps: Stage → steps of weights, failed ones included.
        device: What it ran on.
        choices: What was chosen: path → key, of the choices that have an effect.
    """

    folder: Path
    settings: Mapping[str, Any]
    result: Result
    bests: Sequence[Best] = ()
    steps: Mapping[str, int] = field(default_factory=dict)
    device: str = ""
    choices: Mapping[str, str] = field(default_factory=dict)

    @property
    def fold(self) -> int | None:
        """The fold of cross-validation that it was tested on; None where there are none."""
        fold = self.settings.get("data.fold")
        return fold if isinstance(fold, int) else None

    @property
    def place(self) -> tuple[int, int]:
        """Seed and fold, which tell runs of a group apart; −1 for no fold."""
        return self.result.seed, -1 if self.fold is None else self.fold

    @property
    def seconds(self) -> dict[str, float]:
        """Stage → seconds, of the stages that step weights."""
        return {stage: self.result.seconds.get(stage, 0.0) for stage in STAGES}


@dataclass(frozen=True)
class LeftOut:
    """A run that is not compared, and why."""

    folder: Path
    reason: str


def read_runs(paths: Iterable[str | Path]) -> tuple[list[Run], list[LeftOut]]:
    """Read finished runs, and say of every other why it is left out.

    Args:
        paths: Run folders, or folders that hold such; one that is met twice counts once.

    Raises:
        RunFolderError: A path is neither, or no run is finished.
    """
    runs, left_out = [], []
    for folder in dict.fromkeys(found for path in paths for found in _folders(Path(path))):
        try:
            runs.append(_read(RunFolder(folder)))
        except RunFolderError as error:
            left_out.append(LeftOut(folder, str(error)))
    if not runs:
        reasons = "; ".join(f"{one.folder.name}: {one.reason}" for one in left_out)
        raise RunFolderError(f"none of the runs can be compared: {reasons}")
    return runs, left_out


def _folders(path: Path) -> Iterator[Path]:
    if not os.path.isdir(path):
        raise RunFolderError(f"there is no folder {path}")
    try:
        inside = [path] if _is_run(path) else sorted(filter(_is_run, path.iterdir()))
    except OSError as error:
        raise RunFolderError(f"cannot read {path}: {error.strerror or error}") from error
    if not inside:
        raise RunFolderError(f"{path} is no run's folder, and holds none")
    yield from (found.resolve() for found in inside)


def _is_run(path: Path) -> bool:
    return any(os.path.isfile(path / name) for name in _TRACES)


def _read(folder: RunFolder) -> Run:
    if not folder.finished and not os.path.isfile(folder.path / folder.RESULT):
        raise RunFolderError(_ending(folder))
    result = checked(Result, folder.result(), folder.RESULT)
    events = folder.events()
    bests, steps = _costs(events)
    choices = _with_effect(result.genotype.choices, events)
    device = _device(folder)
    return Run(folder.path, folder.configuration(), result, bests, steps, device, choices)


def _with_effect(
    choices: Mapping[str, str], events: Sequence[Mapping[str, Any]]
) -> Mapping[str, str]:
    """Return the choices that the run's own tables tell of; all where they do not say."""
    chosen = [checked(_Chosen, event, "chosen") for event in events if event["event"] == "chosen"]
    told = {path for one in chosen[-1:] for table in one.tables for path in table.choices}
    return {path: key for path, key in choices.items() if not told or path in told}


def _costs(events: Sequence[Mapping[str, Any]]) -> tuple[list[Best], dict[str, int]]:
    """Return what was best when, and count the steps of weights by stage.

    The search tells of each of its own, a training of those of an epoch. Trainings that score a
    candidate of the search count as search, and before whatever comes after them.
    """
    bests, trials, steps = [], 0, dict.fromkeys(STAGES, 0)
    for event in events:
        match event["event"]:
            case "search-step":
                steps["search"] += 1
            case "search-trial" as name:
                trials += checked(_Trained, event, name).steps
            case "search-best" as name:
                best = checked(Best, event, name)
                bests.append(best.model_copy(update={"steps": best.steps + trials}))
            case "evaluate-epoch" | "retrain-epoch" as name:
                steps[name.removesuffix("-epoch")] += checked(_Trained, event, name).steps
    steps["search"] += trials
    return bests, steps


def _ending(folder: RunFolder) -> str:
    """Say how a run ended that has no result."""
    last = (folder.events() or [{"event": ""}])[-1]
    match last["event"]:
        case "run-failed":
            return f"it failed: {last.get('error')}: {last.get('message')}"
        case "interrupted":
            return f"it was interrupted: {last.get('reason')}"
    return "it did not finish, or is still running"


def _device(folder: RunFolder) -> str:
    try:
        return str(folder.environment().get("device", ""))
    except RunFolderError:  # it only tells whether seconds can be compared
        return ""
