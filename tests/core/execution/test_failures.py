"""What failed in a search is counted, and told at the end."""

from __future__ import annotations

import io
import json

import pytest

from medpipe_core.api import execute
from medpipe_core.execution.execute import configured_space
from medpipe_core.execution.failures import (
    Failures,
    NothingScoredError,
    failure_notes,
    nothing_scored,
)
from medpipe_core.report.progress import PlainProgress
from medpipe_core.report.run_report import report_html
from medpipe_core.report.summary import summary_text
from medpipe_core.search import ScoreError

NAN = "the loss or its gradient is not finite: augmentation 'x' (augment/x) made values that …"


def counted(*events):
    failures, heard = Failures(), []
    emit = failures.counting(lambda event, /, **fields: heard.append((event, fields)))
    for event, fields in events:
        emit(event, **fields)
    assert heard == list(events)
    return failures.content()


def steps(good=0, **failed):
    plain = [("search-step", {"step": n}) for n in range(good)]
    return plain + [("search-step", {"failed": why}) for why, n in failed.items() for _ in range(n)]


def candidate(**fields):
    return ("search-epoch", {"epoch": 1, "genotype": "abc", **fields})


def test_steps_that_failed_are_told_with_their_number_and_reason():
    content = counted(*steps(28, **{NAN: 12}), candidate(), ("other", {"failed": "no"}))
    (note,) = failure_notes(content)
    assert note.startswith("12 of 40 steps of the search failed")
    assert NAN in note
    assert content["candidates"] == {"count": 1, "failed": {}}


def test_several_reasons_are_told_each_with_its_number_the_commonest_first():
    content = counted(*steps(a=1, b=3, c=2, d=1), candidate(failed="out of memory"))
    stepped, scored = failure_notes(content)
    assert "(3 × b; 2 × c; 1 × a; …)" in stepped
    assert scored.startswith("1 of 1 candidates of the search could not be scored (out of memory)")


def test_nothing_is_told_of_a_search_without_a_failure_or_of_an_old_result():
    assert failure_notes(counted(*steps(3), candidate())) == []
    assert failure_notes({}) == []


def test_a_search_without_a_proposal_says_so():
    empty = ("search-epoch", {"epoch": 1, "insight": {}})
    text = nothing_scored(counted(*steps(2, failed=1), empty))
    assert "propose(count) returned no genotype" in text
    assert "1 of 3 steps of the search failed" in text


def test_a_search_whose_candidates_all_failed_says_why_and_what_to_do():
    text = nothing_scored(counted(*[candidate(failed="the score is not finite, nor is auc")] * 4))
    assert "none of 4 that were proposed" in text
    assert "the score is not finite, nor is auc" in text
    assert "evaluate.rank_by=accuracy" in text


def test_a_run_that_scored_nothing_ends_with_the_reason(toy_configuration, registry, monkeypatch):
    from medpipe_core.execution.search_stage import SearchStage

    def never(*_):
        def score(genotype, network):
            raise ScoreError("nobody can score this")

        return score

    monkeypatch.setattr(SearchStage, "_scorer", never)
    with pytest.raises(NothingScoredError, match="nobody can score this"):
        execute(toy_configuration, registry)


def test_a_run_whose_steps_failed_tells_it_in_result_closing_text_and_report(
    toy_configuration, registry, monkeypatch
):
    from medpipe_core.search import loop

    real = loop.take_step

    def every_other(state, *rest):
        outcome, problem = real(state, *rest)
        return outcome, problem or (NAN if state.step % 2 else "")

    monkeypatch.setattr(loop, "take_step", every_other)
    screen = io.StringIO()
    result = execute(
        toy_configuration,
        registry,
        listeners=[PlainProgress(screen)],
    )
    searched = json.loads((result.folder / "result.json").read_text())["searched"]
    done = searched["steps"]["count"]
    assert searched["steps"]["failed"] == {NAN: done // 2}
    note = f"{done // 2} of {done} steps of the search failed"
    assert f"note: {note}" in screen.getvalue()
    assert f"Note: {note}" in summary_text(result, configured_space(toy_configuration, registry))
    assert note in report_html(result.content, [], {})
    assert note in (result.folder / "report.html").read_text()
