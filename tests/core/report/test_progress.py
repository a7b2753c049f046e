"""Progress and the time left."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from medpipe_core.report.progress import (
    BarProgress,
    PlainProgress,
    Remaining,
    duration,
    line_of,
    progress_for,
)

PLAN = {
    "search": {"event": "search-step", "count": 10, "work": 20.0},
    "retrain": {"event": "retrain-epoch", "count": 4, "work": 40.0},
}


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def test_the_time_left_follows_from_measured_work_over_all_stages():
    clock = Clock()
    remaining = Remaining(clock)
    remaining.take("plan", {"stages": PLAN})
    remaining.take("stage-started", {"stage": "search"})
    assert remaining.seconds is None
    for _ in range(5):
        clock.now += 6.0
        remaining.take("search-step", {})
    # 10 of 60 units took 30 s, so the other 50 take 150 s.
    assert remaining.seconds == pytest.approx(150)
    assert remaining.share == pytest.approx(1 / 6)


def test_the_estimate_is_corrected_by_the_stage_that_runs():
    clock = Clock()
    remaining = Remaining(clock)
    remaining.take("plan", {"stages": PLAN})
    remaining.take("stage-started", {"stage": "search"})
    clock.now += 100
    for _ in range(10):
        remaining.take("search-step", {})
    remaining.take("stage-finished", {"stage": "search"})
    remaining.take("stage-started", {"stage": "retrain"})
    clock.now += 10
    remaining.take("retrain-epoch", {})
    assert remaining.seconds == pytest.approx(30)


def test_a_stage_that_ends_early_counts_as_done():
    remaining = Remaining()
    remaining.take("plan", {"stages": PLAN})
    remaining.take("stage-started", {"stage": "search"})
    remaining.take("stage-finished", {"stage": "search"})
    assert remaining.share == pytest.approx(1 / 3)


def test_more_events_than_planned_do_no_harm():
    remaining = Remaining()
    remaining.take("plan", {"stages": {"retrain": PLAN["retrain"]}})
    remaining.take("stage-started", {"stage": "retrain"})
    for _ in range(9):
        remaining.take("retrain-epoch", {})
    assert remaining.share == 1
    assert remaining.seconds == 0


def test_plain_progress_is_a_line_an_epoch_and_silent_on_steps():
    out = io.StringIO()
    progress = PlainProgress(out)
    progress("stage-started", stage="search")
    progress("search-step", stage="search", step=0, train_loss=1.0)
    progress("search-epoch", stage="search", epoch=1, insight={"stage": 1}, seconds=0.0)
    progress("search-epoch", stage="search", epoch=2, figures={"accuracy": 0.75})
    progress("evaluate-candidate", stage="evaluate", number=1, of=2, figures={}, failed="too big")
    progress("stage-finished", stage="search", seconds=200)
    progress("anything-else", x=1)
    assert out.getvalue().splitlines() == [
        "searching",
        "searching: epoch 1",
        "searching: epoch 2, accuracy 0.750",
        "comparing candidates: 1 of 2: too big",
        "searching: done in 3 min",
    ]


def test_a_bar_shows_share_and_time_left():
    out, clock = io.StringIO(), Clock()
    bar = BarProgress(Console(file=out, force_terminal=True, width=100), clock)
    bar("plan", stages=PLAN)
    bar("stage-started", stage="retrain")
    clock.now += 20
    bar("retrain-epoch", stage="retrain", epoch=1)
    bar._bar.refresh()
    bar.close()
    assert "100 s left" not in out.getvalue()
    assert "2 min left" in out.getvalue()
    assert "17 %" in out.getvalue()


def test_what_is_no_terminal_gets_plain_lines():
    assert isinstance(progress_for(io.StringIO()), PlainProgress)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (89, "89 s"), (600, "10 min"), (7500, "2 h 5 min")]
)
def test_durations_read_as_people_say_them(seconds, text):
    assert duration(seconds) == text


def test_a_score_that_guesses_may_have_is_not_printed():
    fields = {"stage": "search", "epoch": 2, "chance_auc": 0.56}
    line = line_of("search-epoch", {**fields, "figures": {"accuracy": 0.45, "auc": 0.55}})
    assert line == "searching: epoch 2, no better than chance"
    line = line_of("search-epoch", {**fields, "figures": {"accuracy": 0.45, "auc": 0.57}})
    assert line == "searching: epoch 2, accuracy 0.450, auc 0.570"


def test_a_stage_with_nothing_to_do_is_not_told():
    out = io.StringIO()
    progress = PlainProgress(out, clock=lambda: 0.0)
    plans = {"retrain": {"event": "retrain-epoch", "count": 2, "work": 2.0}}
    for stages, told in (
        (plans, ["training the chosen network", "testing"]),
        (
            {
                "search": {"event": "search-step", "count": 5, "work": 5.0},
                "evaluate": {"event": "evaluate-epoch", "count": 0, "work": 0.0},
                **plans,
            },
            ["searching", "training the chosen network", "testing"],
        ),
    ):
        out.seek(0)
        out.truncate()
        progress("plan", stages=stages)
        for stage in ("search", "evaluate", "retrain", "test"):
            progress("stage-started", stage=stage)
            progress("stage-finished", stage=stage, seconds=0.0)
        lines = out.getvalue().splitlines()
        assert [line.partition(",")[0] for line in lines if ": done" not in line] == told
        assert len(lines) == 2 * len(told)
