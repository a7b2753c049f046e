"""The loop that feeds a searcher: one step after another over an explicit state."""

from __future__ import annotations

import math
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from medpipe_core.errors import MedpipeError, OperationError
from medpipe_core.events import Emit, silent
from medpipe_core.memory import out_of_memory, release_memory
from medpipe_core.search.batch_norm_statistics import renew_statistics
from medpipe_core.search.checked_searcher import SearcherError
from medpipe_core.search.outcome import Outcome
from medpipe_core.search.state import Candidate, Scored, ScoreError, Scoring
from medpipe_core.search.step import OUT_OF_MEMORY, take_step
from medpipe_core.space import idle

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from medpipe_core.search.settings import SearchSettings
    from medpipe_core.search.state import Score, SearchState
    from medpipe_core.search.training_gradient import Loss
    from medpipe_core.space import Genotype

_MOST_FAILURES = 25


class SearchFailedError(MedpipeError):
    """A search whose steps fail one after another."""


def search(
    state: SearchState,
    *,
    settings: SearchSettings,
    loss: Loss,
    score: Score | Scoring,
    emit: Emit = silent,
) -> list[Candidate]:
    """Run a search from its state to the end and return every scored candidate.

    A step trains the sampled path's weights on one batch and lets the searcher ask about it, such
    as what a validation batch says of the same path before it and after it. After each epoch the
    genotypes that the searcher proposes are frozen and scored as they would be exported.

    A step whose loss or gradient is not finite, or that runs out of memory, fails alone: neither
    the weights nor the searcher step on it. So does a candidate that cannot be scored.

    Args:
        state: Where to begin; it is changed in place.
        settings: Epochs, and how weights step.
        loss: Logits and labels to a scalar.
        score: Scores a frozen candidate on validation data, or the proposals of an epoch together.
        emit: Told of every step (`search-step`), of every candidate or an epoch without one
            (`search-epoch`), and at the end of every epoch of the best genotype known
            (`search-best`).

    Raises:
        SearchFailedError: 25 steps in a row gave no finite loss or ran out of memory.
        SearcherError: The searcher answers what is no member or breaks a limit.
    """
    while state.epoch < settings.epochs:
        advance(state, settings=settings, loss=loss, score=score, emit=emit)
    return state.candidates


def advance(
    state: SearchState,
    *,
    settings: SearchSettings,
    loss: Loss,
    score: Score | Scoring,
    emit: Emit = silent,
) -> None:
    """Do what comes next, one step or the end of one epoch; `search` does this to the end.

    Before and after it the state is whole, and can be saved and gone on from.

    Raises:
        SearchFailedError, SearcherError: As `search`.
    """
    began, epoch = time.perf_counter(), state.epoch
    if state.step < (epoch + 1) * len(state.training):
        _one_step(state, settings, loss, emit)
    else:
        _end_epoch(state, settings, score, emit)
    state.seconds += time.perf_counter() - began
    if state.epoch > epoch:
        _tell_best(state, emit)


def _one_step(state: SearchState, settings: SearchSettings, loss: Loss, emit: Emit) -> None:
    began = time.perf_counter()
    decision = state.asked.decide(state.step)
    warming = state.step < settings.warmup_epochs * len(state.training)
    if warming and settings.warmup == "plain":
        decision = replace(
            decision, genotype=idle(state.supernet.space, decision.genotype), gates={}
        )
    ask = None if warming else state.asked.ask
    outcome, problem = take_step(state, decision, settings, loss, ask)
    if problem:
        _clear_away(state, problem)
    elif not warming:
        state.asked.observe(outcome)
    emit(
        "search-step",
        step=state.step,
        train_loss=_plain(outcome.train_loss),
        validation_loss=_plain(outcome.validation_loss),
        genotype=decision.genotype.digest,
        seconds=time.perf_counter() - began,
        **({"network": decision.network} if decision.network else {}),
        **({"failed": problem, "choices": dict(decision.genotype.choices)} if problem else {}),
    )
    state.step += 1
    state.failures = state.failures + 1 if problem else 0
    if state.failures >= _MOST_FAILURES:
        raise SearchFailedError(
            f"the last {state.failures} search steps failed ({problem}); the last genotype was "
            f"{decision.genotype.digest}. Lower search.weights_lr, search.batch_size, or the "
            "budget of the space"
        )


def _end_epoch(
    state: SearchState, settings: SearchSettings, score: Score | Scoring, emit: Emit
) -> None:
    epoch = state.epoch + 1
    proposed = state.asked.propose(settings.candidates)
    if not proposed:
        emit("search-epoch", epoch=epoch, insight=state.asked.insight(), seconds=0.0)
    if isinstance(score, Scoring):
        found = score.scored(proposed)
    else:
        found = _one_by_one(state, score, proposed)
    for scored in found:
        genotype, (figures, problem) = scored.genotype, _usable(scored)
        emit(
            "search-epoch",
            epoch=epoch,
            genotype=genotype.digest,
            choices=dict(genotype.choices),
            figures={name: _plain(value) for name, value in figures.items()},
            insight=state.asked.insight(),
            seconds=scored.seconds,
            **({"rung": scored.rung} if settings.rungs > 1 else {}),
            **({"failed": problem} if problem else {}),
        )
        if problem:
            _clear_away(state, problem)
            continue
        state.candidates.append(Candidate(genotype, epoch, figures, scored.rung))
        state.asked.observe(
            Outcome(
                genotype,
                state.step,
                score=figures["score"],
                rung=scored.rung,
                dropped=scored.dropped,
            )
        )
    state.epoch = epoch


def _tell_best(state: SearchState, emit: Emit) -> None:
    """Tell what the searcher would answer now, so that progress can be drawn over cost."""
    try:
        best = state.asked.best()
    except SearcherError:
        raise
    except MedpipeError as error:  # nothing that keeps the budget is known yet
        found: dict[str, Any] = {"failed": str(error)}
    else:
        found = {"genotype": best.digest, "choices": dict(best.choices)}
    emit(
        "search-best",
        epoch=state.epoch,
        steps=state.step,
        seconds=state.seconds,
        insight=state.asked.insight(),
        **found,
    )


def _one_by_one(state: SearchState, score: Score, proposed: Iterable[Genotype]) -> Iterator[Scored]:
    """Score genotypes as they would be exported."""
    for genotype in proposed:
        began, figures, problem = time.perf_counter(), {}, ""
        try:
            figures = dict(score(genotype, state.supernet.freeze(genotype)))
        except (ScoreError, OperationError) as error:
            problem = str(error)
        except Exception as error:
            if not out_of_memory(error):
                raise
            problem = OUT_OF_MEMORY
        yield Scored(genotype, figures, problem, time.perf_counter() - began)


def _usable(scored: Scored) -> tuple[Mapping[str, float], str]:
    """Return a proposal's figures and what is wrong with them, or nothing."""
    if scored.failed:
        return {}, scored.failed
    figures = scored.figures
    lacking = [name for name, value in figures.items() if not math.isfinite(value)]
    if "score" not in lacking:
        return figures, ""
    also = ", ".join(name for name in lacking if name != "score")
    return figures, "the score is not finite" + (f", nor is {also}" if also else "")


def _clear_away(state: SearchState, problem: str) -> None:
    """Drop what a failure left behind: gradients, memory, statistics that are not finite."""
    state.optimiser.zero_grad(set_to_none=True)
    renew_statistics(state.supernet)
    if problem == OUT_OF_MEMORY:
        release_memory()


def _plain(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
