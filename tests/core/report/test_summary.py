"""The table of figures: test, answers at a fitted threshold, validation, the commonest answer."""

from __future__ import annotations

import pytest

from medpipe_core.report.summary import figures_table

FIGURE = {"value": 0.8, "low": 0.7, "high": 0.9}
CONTENT = {
    "test": {"accuracy": FIGURE, "sensitivity": FIGURE},
    "validation": {"accuracy": 0.75, "sensitivity": 0.5},
    "majority": {"accuracy": 0.6, "sensitivity": 0.0},
    "classes": ["normal", "hyperplasia"],
    "test_confusion": [[6, 2], [1, 3]],
}
DECIDED = {
    "decision": {"temperature": 1.5, "threshold": 0.3123, "fitted_on": 98},
    "test_decided": {"accuracy": {**FIGURE, "value": 0.85}, "sensitivity": FIGURE},
}


def test_answers_at_a_fitted_threshold_have_a_column_of_their_own():
    table = figures_table({**CONTENT, **DECIDED})
    assert table.headings[1:3] == ("test (95 % interval)", "test, threshold 0.31")
    accuracy = table.rows[0]
    assert accuracy[1].startswith("0.800")
    assert accuracy[2].startswith("0.850")


@pytest.mark.parametrize("more", [{}, {**DECIDED, "decision": {"threshold": None}}])
def test_without_a_threshold_there_is_no_such_column(more):
    assert len(figures_table({**CONTENT, **more}).headings) == 4


@pytest.mark.parametrize("more", [{}, DECIDED])
def test_every_row_has_a_cell_for_every_heading(more):
    table = figures_table({**CONTENT, **more})
    assert {len(row) for row in table.rows} == {len(table.headings)}
    names = [row[0] for row in table.rows]
    assert "sensitivity of 'hyperplasia'" in names
