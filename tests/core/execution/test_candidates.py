"""Which candidates are evaluated and reported when costs count besides the score."""

from __future__ import annotations

from dataclasses import replace

import pytest

import medpipe_core as mp
from medpipe_core.config import ConfigurationError, resolve
from medpipe_core.execution.candidates import cheapest_first, most_promising, on_front
from medpipe_core.execution.results import Candidate
from medpipe_core.report.summary import FRONT, summary_text

BOTH = ("score", "multiply_adds")


def candidate(score, cost, failed=""):
    figures = {} if failed else {"score": score}
    return Candidate(None, figures, parameters=1, multiply_adds=cost, epoch=1, failed=failed)


def told(candidates):
    return [(one.validation["score"], one.multiply_adds) for one in candidates]


def test_by_the_score_alone_the_first_are_evaluated():
    found = [candidate(s, c) for s, c in ((0.9, 9), (0.8, 1), (0.7, 5))]
    assert most_promising(found, ("score",), 2) == found[:2]


def test_by_two_objectives_the_front_is_evaluated():
    # Of the front (0.9, 9), (0.8, 5), (0.79, 4), (0.6, 1) the second is the most crowded.
    points = [(0.9, 9), (0.85, 9), (0.8, 5), (0.79, 4), (0.7, 8), (0.6, 1)]
    found = [candidate(score, cost) for score, cost in points]
    assert told(most_promising(found, BOTH, 3)) == [(0.9, 9), (0.6, 1), (0.79, 4)]
    assert told(most_promising(found, BOTH, 9))[-2:] == [(0.85, 9), (0.7, 8)]


def test_the_searchers_own_answer_is_evaluated_though_others_beat_it():
    found = [candidate(0.5, 9), candidate(0.9, 5), candidate(0.8, 1)]
    assert told(most_promising(found, BOTH, 2)) == [(0.5, 9), (0.9, 5)]


def test_no_candidate_is_no_front():
    assert most_promising([], BOTH, 3) == []
    assert on_front([candidate(0, 1, failed="out of memory")], BOTH) == []


def test_of_equal_scores_the_cheapest_is_retrained():
    points = [(0.9, 9), (0.9, 5), (0.9, 7), (0.8, 1)]
    found = [*(candidate(score, cost) for score, cost in points), candidate(0, 1, failed="NaN")]
    assert cheapest_first(found, ("score",)) == found
    assert told(cheapest_first(found, BOTH)[:-1]) == [(0.9, 5), (0.9, 9), (0.9, 7), (0.8, 1)]
    longer = [replace(found[0], epochs=8), *found[1:]]  # its round was a longer one
    assert cheapest_first(longer, BOTH) == longer


def test_a_candidate_that_failed_is_on_no_front():
    able = candidate(0.9, 9)
    assert on_front([able, candidate(0, 1, failed="out of memory")], BOTH) == [able]
    assert on_front([able, candidate(0.8, 9)], ("score",)) == [able]


@pytest.mark.parametrize(
    ("objectives", "words"),
    [
        (["multiply_adds"], "score must be the first"),
        ([], "score must be the first"),
        (["score", "parameters", "parameters"], "given twice"),
        (["score", "seconds"], "search.objectives"),
    ],
)
def test_objectives_that_make_no_sense_are_refused(registry, objectives, words):
    with pytest.raises(ConfigurationError, match=words):
        resolve({"search.objectives": objectives}, registry)


@pytest.fixture
def toy(registry, tmp_path):
    def run(**keys):
        return mp.run(
            space="toy", searcher="random", dataset="toy", registry=registry, search__epochs=2,
            search__candidates=4, search__batch_size=4, evaluate__batch_size=4,
            evaluate__epochs=2, retrain__batch_size=4, retrain__epochs=1, test__resamples=20,
            run__root=str(tmp_path), **keys,
        )  # fmt: skip

    return run


def test_a_run_by_two_objectives_tells_its_front(toy, registry):
    result = toy(search__objectives=["score", "parameters"])
    content = result.content
    assert content["objectives"] == ["score", "parameters"]
    rows = {row["genotype_digest"]: row for row in content["candidates"]}
    on = [digest for digest, row in rows.items() if row["front"]]
    assert [row["genotype_digest"] for row in content["front"]] == on
    assert on[0] == content["genotype_digest"]  # the best score is on the front, and retrained
    for row in content["front"]:
        mine = (row["score"], row["parameters"])
        assert mine[0] == rows[row["genotype_digest"]]["validation"]["score"]
        others = [(o["validation"]["score"], o["parameters"]) for o in rows.values()]
        assert not any(s >= mine[0] and p <= mine[1] and (s, p) != mine for s, p in others)
    text = summary_text(result, registry.space("toy", width=3))
    assert "Candidates that no other beats in everything" in text
    assert f"{on[0]} (retrained)" in text
    assert FRONT in text
    report = (result.folder / "report.html").read_text()
    assert FRONT in report


def test_by_one_objective_there_is_no_table_of_a_front(toy, registry):
    result = toy()
    assert result.content["objectives"] == ["score"]
    best = result.content["candidates"][0]
    assert best["front"]
    assert result.content["front"][0]["genotype_digest"] == best["genotype_digest"]
    assert FRONT not in summary_text(result, registry.space("toy", width=3))
    assert FRONT not in (result.folder / "report.html").read_text()
