"""The candidates of a run: which are evaluated, and what `result.json` says of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from medpipe_core.record.journal import plain_fields
from medpipe_core.search.pareto import fronts, ranked

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from medpipe_core.execution.results import Candidate
    from medpipe_core.space import Genotype, SearchSpace

_SCORE = "score"


def distinct(found: Sequence[Candidate], space: SearchSpace) -> list[Candidate]:
    """Keep the first of candidates that describe the same function."""
    first: dict[Genotype, Candidate] = {}
    for candidate in found:
        first.setdefault(space.canonical(candidate.genotype), candidate)
    return list(first.values())


def most_promising(
    found: Sequence[Candidate], objectives: Sequence[str], count: int
) -> list[Candidate]:
    """Return the candidates that are worth evaluating.

    By the score alone these are the first. By several objectives the first stays, and the others
    follow by Pareto front and crowding distance (Deb et al. 2002).

    Args:
        found: Scored candidates, the searcher's own answer and then the best first.
        objectives: `score`, and costs.
        count: At most so many.
    """
    if len(objectives) == 1:
        return list(found[:count])
    order = ranked([_point(candidate, objectives) for candidate in found])
    return [found[i] for i in sorted(order, key=lambda i: i != 0)][:count]


def cheapest_first(candidates: Sequence[Candidate], objectives: Sequence[str]) -> list[Candidate]:
    """Put the cheapest first, of those that score as the first one and were trained as long.

    Args:
        candidates: Evaluated candidates, the best score first.
        objectives: `score`, and costs.
    """
    first, *others = candidates
    equal = [c for c in others if (c.epochs, c.failed) == (first.epochs, first.failed)]
    equal = [c for c in equal if _value(c, _SCORE) == _value(first, _SCORE)]
    best = min([first, *equal], key=lambda candidate: _point(candidate, objectives))
    return [best, *(candidate for candidate in candidates if candidate is not best)]


def on_front(candidates: Sequence[Candidate], objectives: Sequence[str]) -> list[Candidate]:
    """Return the candidates that no other beats, in their order; none that failed."""
    able = [candidate for candidate in candidates if not candidate.failed]
    first = fronts([_point(candidate, objectives) for candidate in able])[:1]
    return [able[i] for front in first for i in front]


def compared(
    candidates: Sequence[Candidate],
    searched: Mapping[str, Mapping[str, Any]],
    objectives: Sequence[str],
) -> dict[str, Any]:
    """Return the table of evaluated candidates, and those of them that no other beats.

    Args:
        candidates: The candidates, the best score first.
        searched: Genotype's digest → the figures that the search found.
        objectives: `score`, and costs.
    """
    front = on_front(candidates, objectives)
    content: dict[str, Any] = plain_fields(
        {
            "candidates": [
                {**_row(c, searched.get(c.genotype.digest, {})), "front": c in front}
                for c in candidates
            ],
            "objectives": objectives,
            "front": [
                {
                    "genotype_digest": candidate.genotype.digest,
                    **{name: _value(candidate, name) for name in objectives},
                }
                for candidate in front
            ],
        }
    )
    return content


def _value(candidate: Candidate, objective: str) -> float:
    """Return a candidate's score, or a cost of its network."""
    if objective == _SCORE:
        return float(candidate.validation[_SCORE])
    return float(getattr(candidate, objective))


def _point(candidate: Candidate, objectives: Sequence[str]) -> tuple[float, ...]:
    """Return a candidate's objectives, of which less is better."""
    return tuple(
        -value if name == _SCORE else value
        for name, value in ((name, _value(candidate, name)) for name in objectives)
    )


def _row(candidate: Candidate, searched: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "genotype_digest": candidate.genotype.digest,
        "genotype": candidate.genotype.to_dict(),
        "epoch": candidate.epoch,
        "trained_epochs": candidate.epochs,
        "search": dict(searched),
        "validation": dict(candidate.validation),
        "failed": candidate.failed,
        "parameters": candidate.parameters,
        "multiply_adds": candidate.multiply_adds,
    }
