"""What a run ends with on the screen: what was found and how good it is, for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from medpipe_core.execution.failures import failure_notes
from medpipe_core.record.genotype_text import Table, as_text, count, tables

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from medpipe_core.execution.results import RunResult
    from medpipe_core.space import SearchSpace

CAUTION = (
    "This is a research result, not a medical device: do not use it for diagnosis or treatment."
)
FRONT = "Of these, the one with the best score was retrained and tested."
MEASURES = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "auc": "area under the ROC curve",
    "sensitivity": "sensitivity",
    "specificity": "specificity",
    "precision": "precision",
    "f1_weighted": "F1, weighted",
    "f1_macro": "F1, macro",
}
_OF_A_CLASS = ("sensitivity", "specificity", "precision")


def summary_text(result: RunResult, space: SearchSpace) -> str:
    """Return the closing text of a run."""
    content = result.content
    schedule = [space.genotype(one["choices"]) for one in content.get("schedule", ())]
    told = map(as_text, tables(space, result.genotype, schedule))
    found = "\n\n".join(told)
    size = (
        f"The network has {count(content['parameters'])} parameters and takes "
        f"{count(content['multiply_adds'])} multiply-adds for one volume."
        f"{_of_members(content)}"
    )
    figures = as_text(figures_table(content))
    notes = "\n".join(f"Note: {note}" for note in notes_on(content))
    where = f"Everything is in {result.folder}"
    front = "\n\n".join(f"{as_text(table)}\n\n{FRONT}" for table in front_tables(content))
    said = [front, verdict(content), known_answer(content)]
    parts = [found, known_names(content), size, figures, *said, notes, where, CAUTION]
    return "\n\n".join(filter(None, parts)) + "\n"


def _of_members(content: Mapping[str, Any]) -> str:
    members = content.get("members", 1)
    if members == 1:
        return ""
    return f" {members} such networks were trained; their probabilities are averaged."


def figures_table(content: Mapping[str, Any]) -> Table:
    """Return the figures of `result.json` beside those of always giving one answer.

    Where a threshold was fitted, the figures of the answers at it have a column of their own.
    """
    columns = {
        "test (95 % interval)": content["test"],
        **_at_threshold(content),
        "validation": content["validation"],
        f"always {_commonest(content)}": content["majority"],
    }
    rows = [
        (
            measure(name, content.get("classes", ())),
            *(figure(c.get(name)) for c in columns.values()),
        )
        for name in _names(content)
    ]
    return Table("How good it is", ("measure", *columns), tuple(rows))


def _at_threshold(content: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Return the figures at the fitted threshold under their heading; none where none was."""
    threshold = content.get("decision", {}).get("threshold")
    if not _is_number(threshold) or "test_decided" not in content:
        return {}
    return {f"test, threshold {threshold:.2f}": content["test_decided"]}


def measure(name: str, classes: Sequence[str]) -> str:
    """Return what a figure is called, and of which class it is where it is of one."""
    known = MEASURES.get(name, name.replace("_", " "))
    if name not in _OF_A_CLASS or len(classes) < 2:
        return known
    return f"{known} of {classes[1]!r}" if len(classes) == 2 else f"{known}, mean over classes"


def front_tables(content: Mapping[str, Any]) -> list[Table]:
    """Return a table of the candidates that no other beats; none for one objective."""
    objectives = content.get("objectives", ())
    if len(objectives) < 2:
        return []
    rows = [
        (
            f"{row['genotype_digest']}{_mark(row, content)}",
            *(_objective(name, row[name]) for name in objectives),
        )
        for row in content["front"]
    ]
    headings = ("genotype", *(name.replace("_", "-") for name in objectives))
    return [Table("Candidates that no other beats in everything", headings, tuple(rows))]


def verdict(content: Mapping[str, Any]) -> str:
    """Say in words whether the test shows more than always giving the commonest answer does."""
    test, majority = content["test"], content["majority"]
    low, high = _bound(test.get("accuracy"), "low"), _bound(test.get("accuracy"), "high")
    blind = _bound(majority.get("accuracy"), "value")
    if low is None or high is None or blind is None:
        return "The test figures carry no interval, so nothing can be said about chance."
    always = f"always answering {_commonest(content)} ({100 * blind:.1f} %)"
    if low > blind:
        return f"By accuracy it is better than {always}."
    if high < blind:
        return f"By accuracy it is worse than {always}."
    return (
        f"By accuracy it cannot be told from {always}, which lies within the interval."
        f"{_ranking(test)}"
    )


def known_answer(content: Mapping[str, Any]) -> str:
    """Say how far what was chosen is from the best answer, where the dataset knows that."""
    regret = content.get("regret")
    if not _is_number(regret):
        return ""
    if regret == 0:
        return "The dataset's best answer is known, and this is one (regret 0)."
    return (
        f"The dataset's best answer is known; this one falls short of it by {regret:.3g} (regret)."
    )


def known_names(content: Mapping[str, Any]) -> str:
    """Say where what was chosen is what the space knew, which is no merit of a search."""
    known = content.get("known_as")
    if not isinstance(known, list) or not known:
        return ""
    names = [f"'{name}'" for name in known]
    return f"The space knew this as {' and '.join(names)}, with what that leaves open."


def notes_on(content: Mapping[str, Any]) -> list[str]:
    """Return what a reader should know of the data and of what failed on the way."""
    retrained = map(str, content.get("retraining", {}).get("notes", []))
    return [*data_notes(content), *failure_notes(content.get("searched", {})), *retrained]


def data_notes(content: Mapping[str, Any]) -> list[str]:
    """Return what a reader of the figures should know of the data."""
    notes = [str(note) for note in content.get("card", {}).get("notes", [])]
    data = content.get("data", {})
    notes += map(str, data.get("notes", []))
    for name, described in data.items():
        if isinstance(described, dict) and described.get("blank"):
            notes.append(f"{described['blank']} volumes of the {name} set have one value only.")
    for name in ("train", "validation"):
        shared = data.get(f"test_in_{name}")
        if shared:
            notes.append(f"{shared} volumes of the test set are in the {name} set as well.")
    return notes


def figure(value: Any) -> str:
    """Return a figure for people, with its interval where it has one."""
    if isinstance(value, dict):
        middle = figure(value.get("value"))
        if value.get("low") is None or value.get("high") is None:
            return middle
        return f"{middle} ({value['low']:.3f} to {value['high']:.3f})"
    return "–" if not _is_number(value) else f"{value:.3f}"


def _mark(row: Mapping[str, Any], content: Mapping[str, Any]) -> str:
    return " (retrained)" if row["genotype_digest"] == content["genotype_digest"] else ""


def _objective(name: str, value: float) -> str:
    return figure(value) if name == "score" else count(int(value))


def _commonest(content: Mapping[str, Any]) -> str:
    counts = content.get("data", {}).get("train", {}).get("per_class", {})
    return repr(max(counts, key=counts.get)) if counts else "the commonest class"


def _ranking(test: Mapping[str, Any]) -> str:
    low = _bound(test.get("auc"), "low")
    if low is None or low <= 0.5:
        return ""
    return " Yet it does rank volumes better than chance: see the area under the ROC curve."


def _names(content: Mapping[str, Any]) -> Iterator[str]:
    test = content["test"]
    yield from (name for name in MEASURES if name in test)
    yield from (
        name
        for name, value in test.items()
        if name not in MEASURES and (_is_number(value) or _is_interval(value))
    )


def _bound(value: Any, which: str) -> float | None:
    if _is_interval(value):
        value = value.get(which)
    elif which != "value":
        return None
    return float(value) if _is_number(value) else None


def _is_interval(value: Any) -> bool:
    return isinstance(value, dict) and "value" in value


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
