"""What went wrong in a search that went on: steps that failed, candidates that had no score."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from medpipe_core.errors import MedpipeError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from medpipe_core.events import Emit

_JOURNAL = "the journal (events.jsonl) has the genotype of each"
_SHOWN = 3


class NothingScoredError(MedpipeError):
    """A search that ended without a scored candidate; the text says why."""


class Failures:
    """Counts the steps and candidates of a search, and why some of them failed."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._failed: dict[str, Counter[str]] = {"steps": Counter(), "candidates": Counter()}

    def counting(self, emit: Emit) -> Emit:
        """Return a listener that counts, and hands everything on."""

        def count(event: str, /, **fields: Any) -> None:
            if event == "search-step":
                self._take("steps", fields)
            elif event == "search-epoch" and "genotype" in fields:
                self._take("candidates", fields)
            emit(event, **fields)

        return count

    def load(self, content: Mapping[str, Any]) -> None:
        """Go on from counts that `content` returned."""
        for name, counted in content.items():
            self._counts[name] = counted["count"]
            self._failed[name] = Counter(counted["failed"])

    def content(self) -> dict[str, Any]:
        """Return the counts as `result.json` holds them."""
        return {
            name: {"count": self._counts[name], "failed": dict(reasons)}
            for name, reasons in self._failed.items()
        }

    def _take(self, name: str, fields: Mapping[str, Any]) -> None:
        self._counts[name] += 1
        if fields.get("failed"):
            self._failed[name][fields["failed"]] += 1


def failure_notes(searched: Mapping[str, Any]) -> list[str]:
    """Say what failed in a search; nothing if nothing did.

    Args:
        searched: What `Failures.content` returned.
    """
    steps, candidates = searched.get("steps", {}), searched.get("candidates", {})
    notes = []
    if steps.get("failed"):
        notes.append(
            f"{_of(steps)} steps of the search failed, so neither weights nor searcher learned from"
            f" them ({_why(steps)}); {_JOURNAL}."
        )
    if candidates.get("failed"):
        notes.append(
            f"{_of(candidates)} candidates of the search could not be scored ({_why(candidates)}); "
            f"{_JOURNAL}."
        )
    return notes


def nothing_scored(searched: Mapping[str, Any]) -> str:
    """Say why a search ended without a scored candidate, and what to do.

    Args:
        searched: What `Failures.content` returned.
    """
    candidates = searched["candidates"]
    if not candidates["count"]:
        why = (
            "the searcher proposed none. Its propose(count) returned no genotype in any epoch: it "
            "has to name what is worth scoring, at least in the last one"
        )
    else:
        why = (
            f"none of {candidates['count']} that were proposed could be scored "
            f"({_why(candidates)}). A score that is not finite is that of a figure that the scored "
            "volumes do not allow, such as an AUC where a class has no volume: look at the labels "
            "of the dataset, or rank by evaluate.rank_by=accuracy"
        )
    steps = [note for note in failure_notes(searched) if " steps " in note]
    return " ".join([f"the search has no candidate to evaluate: {why}.", *steps])


def _of(counted: Mapping[str, Any]) -> str:
    return f"{sum(counted['failed'].values())} of {counted['count']}"


def _why(counted: Mapping[str, Any]) -> str:
    """Return the commonest reasons, each with its number if there are several."""
    reasons: list[tuple[str, int]] = Counter(counted["failed"]).most_common()
    if len(reasons) == 1:
        return reasons[0][0]
    shown = [f"{number} × {reason}" for reason, number in reasons[:_SHOWN]]
    return "; ".join(shown + (["…"] if len(reasons) > _SHOWN else []))
