"""How far a run is and how long it still takes, on a terminal or as plain lines."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any, TextIO

from medpipe_core.report.printable import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from rich.console import Console
    from rich.progress import TaskID

_TITLES = {
    "data": "reading data",
    "search": "searching",
    "evaluate": "comparing candidates",
    "retrain": "training the chosen network",
    "test": "testing",
}
# Stages that some runs have nothing to do in.
_LEFT_OUT = ("search", "evaluate")
# So much work in a stage, in steps of training, before its speed is believed.
_LEAST_WORK = 5.0


class Remaining:
    """Estimates the seconds left over all stages.

    A unit of work is timed in the stage that runs; stages still to come are reckoned from it by
    the work that they planned.

    Args:
        clock: Seconds that only grow.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._planned: dict[str, Mapping[str, Any]] = {}
        self._done: dict[str, int] = {}
        self._stage = ""
        self._started = 0.0
        self._unit: float | None = None
        self._before = 0.0

    def catch_up(self, events: Iterable[Mapping[str, Any]]) -> None:
        """Take the events of an earlier process, whose time says nothing of this one's."""
        for event in events:
            self.take(event["event"], event)
        self._unit, self._started = None, self._clock()
        self._before = self._worked(self._stage) if self._stage in self._planned else 0.0

    def take(self, event: str, fields: Mapping[str, Any]) -> None:
        """Take an event of the run."""
        match event:
            case "plan":
                self._planned = dict(fields["stages"])
            case "stage-started":
                self._stage, self._started = fields["stage"], self._clock()
                self._before = 0.0
            case "stage-finished" if fields["stage"] in self._planned:
                self._done[fields["stage"]] = self._planned[fields["stage"]]["count"]
            case _ if event == self._planned.get(self._stage, {}).get("event"):
                self._advance()

    def line(self, event: str, fields: Mapping[str, Any]) -> str:
        """Return the line that an event is worth; none for a stage that has nothing to do."""
        stage = fields.get("stage")
        begins_or_ends = event in ("stage-started", "stage-finished")
        if begins_or_ends and stage in _LEFT_OUT and not self._has_work(stage):
            return ""
        return line_of(event, fields)

    @property
    def share(self) -> float:
        """How much of the planned work is done, in [0, 1]."""
        total = sum(plan["work"] for plan in self._planned.values())
        return min(sum(map(self._worked, self._planned)) / total, 1.0) if total else 0.0

    @property
    def seconds(self) -> float | None:
        """Seconds left, or None before anything could be timed."""
        if self._unit is None:
            return None
        total = float(sum(plan["work"] for plan in self._planned.values()))
        return self._unit * total * (1 - self.share)

    def _advance(self) -> None:
        self._done[self._stage] = self._done.get(self._stage, 0) + 1
        worked = self._worked(self._stage) - self._before
        if worked >= _LEAST_WORK:
            self._unit = (self._clock() - self._started) / worked

    def _has_work(self, stage: str) -> bool:
        return not self._planned or bool(self._planned.get(stage, {}).get("count"))

    def _worked(self, stage: str) -> float:
        plan = self._planned[stage]
        return float(plan["work"] * min(self._done.get(stage, 0) / max(plan["count"], 1), 1.0))


class PlainProgress:
    """One line for each stage and epoch; for logs and pipes. A listener of events."""

    def __init__(
        self, out: TextIO | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._out = out or sys.stdout
        self._remaining = Remaining(clock)

    def catch_up(self, events: Iterable[Mapping[str, Any]]) -> None:
        """Take the events of an earlier process without a word."""
        self._remaining.catch_up(events)

    def __call__(self, event: str, /, **fields: Any) -> None:
        """Take one event."""
        self._remaining.take(event, fields)
        text = self._remaining.line(event, fields)
        if text:
            left = self._remaining.seconds
            tail = "" if left is None or event == "stage-finished" else f", {duration(left)} left"
            self._out.write(f"{printable(text)}{tail}\n")
            self._out.flush()

    def close(self) -> None:
        """End; there is nothing to put away."""


class BarProgress:
    """One bar over all stages with the time left; for a terminal. A listener of events."""

    def __init__(
        self, console: Console | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        # A report tells of times as well, and needs no bar.
        from rich.progress import BarColumn, Progress, TextColumn

        self._remaining = Remaining(clock)
        self._bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f} %  {task.fields[left]}", markup=False),
            console=console,
            transient=True,
        )
        self._task: TaskID = self._bar.add_task("starting", total=1.0, left="")
        self._bar.start()

    def catch_up(self, events: Iterable[Mapping[str, Any]]) -> None:
        """Take the events of an earlier process."""
        self._remaining.catch_up(events)

    def __call__(self, event: str, /, **fields: Any) -> None:
        """Take one event."""
        self._remaining.take(event, fields)
        left = self._remaining.seconds
        shown = "" if left is None else f"{duration(left)} left"
        self._bar.update(self._task, completed=self._remaining.share, left=shown)
        text = self._remaining.line(event, fields)
        if text:
            self._bar.update(self._task, description=printable(text))

    def close(self) -> None:
        """Take the bar off the screen."""
        self._bar.stop()


def progress_for(out: TextIO) -> PlainProgress | BarProgress:
    """Return the progress that suits where it is written to."""
    if out.isatty():
        from rich.console import Console

        # Somewhere that makes control codes visible, there is a way for those that are meant.
        return BarProgress(Console(file=getattr(out, "terminal", out)))
    return PlainProgress(out)


def line_of(event: str, fields: Mapping[str, Any]) -> str:
    """Return the line that an event is worth, or an empty text."""
    title = _TITLES.get(fields.get("stage", ""), str(fields.get("stage", "")))
    match event:
        case "data-reading":
            return _TITLES["data"]
        case "stage-started" | "stage-finished" if fields["stage"] == "data":
            return ""  # they were read before there was a folder
        case "stage-started":
            return title
        case "stage-finished":
            return f"{title}: done in {duration(fields['seconds'])}"
        case "resumed":
            return "going on where it stopped"
        case _ if event.endswith("-epoch") and "epoch" in fields:
            if fields.get("failed"):
                figures = f", {fields['failed']}"
            elif _no_better_than_chance(fields):
                figures = ", no better than chance"
            else:
                figures = _figures(fields)
            of = f" {fields['member']} of {fields['members']}" if "member" in fields else ""
            return f"{title}{of}: epoch {fields['epoch']:g}{figures}"
        case "budget":
            return _budget(fields)
        case "search-ended":
            done, planned = fields["epoch"], fields["planned"]
            why = "as its budget or search.stop_after says"
            return f"{title}: ends after {done} of {planned} epochs, {why}"
        case "search-race":
            result = fields["failed"] or _figures(fields).removeprefix(", ")
            epochs = fields["fidelity"]["epochs"]
            return f"{title}: round {fields['rung'] + 1}, {epochs} epochs: {result}"
        case "evaluate-candidate":
            result = fields["failed"] or _figures(fields).removeprefix(", ")
            return f"{title}: {fields['number']} of {fields['of']}: {result}"
        case _ if event.endswith("warning"):
            return f"note: {fields.get('message', '')}"
    return ""


def _budget(fields: Mapping[str, Any]) -> str:
    """Return what a budget comes to, in words."""
    epochs, candidates = fields["epochs"], fields["candidates"]
    text = (
        f"a budget of {fields['asked']:g} {fields['unit']} is {epochs} "
        f"epoch{'s' if epochs > 1 else ''} of the search with {candidates} "
        f"candidate{'s' if candidates > 1 else ''} each"
    )
    if fields["unit"] != "hours":
        return text
    later = fields["evaluate_seconds"] + fields["retrain_seconds"]
    more = epochs * fields["epoch_seconds"] + later > 3600 * fields["asked"]
    return (
        f"{text}, about {duration(fields['epoch_seconds'])} an epoch; then about "
        f"{duration(fields['evaluate_seconds'])} to compare candidates and "
        f"{duration(fields['retrain_seconds'])} to train the chosen one"
        f"{': more than there is' if more else ''}"
    )


def duration(seconds: float) -> str:
    """Return a duration for people: `40 s`, `3 min`, `2 h 5 min`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 90:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min"


def _no_better_than_chance(fields: Mapping[str, Any]) -> bool:
    """Say whether a score is one that guesses may have: to print it would look like knowledge."""
    scored = fields.get("figures", {}).get("auc")
    return scored is not None and scored <= fields.get("chance_auc", 0.0)


def _figures(fields: Mapping[str, Any]) -> str:
    shown = [
        f"{name.replace('_', ' ')} {value:.3f}"
        for name, value in {**fields, **fields.get("figures", {})}.items()
        if isinstance(value, float) and ("loss" in name or "accuracy" in name or name == "auc")
    ]
    return "".join(f", {text}" for text in shown)
