"""The files of a comparison, and the command that writes them."""

from __future__ import annotations

import csv
import json
import re
import subprocess
import sys
import xml.etree.ElementTree as ET

import pytest

from medpipe_core.command.medpipe import main
from medpipe_core.config import StorageError
from medpipe_core.report.comparison import compare, write_comparison
from medpipe_core.report.comparison.files import comparison_html, regret_csv
from medpipe_core.report.curves import Curve, staircase, svg

EVIL = "<script>alert('x')</script>&\""


@pytest.fixture
def root(make_run, tmp_path):
    for seed in range(3):
        for worse, name in ((0.0, "random"), (0.25, EVIL)):
            make_run(
                seed=seed, test=0.75 - worse, regret=worse, settings={"searcher": name},
                bests=[(2, 0.5, worse + 0.5), (4, 0.75 + seed / 8, worse + 0.25)],
                scores=[(1, 1), (2, 3), (3, 2)],
            )  # fmt: skip
    return tmp_path / "runs"


def test_a_comparison_writes_all_numbers_a_page_and_regret_over_cost(root, tmp_path, capsys):
    out = tmp_path / "made" / "here"
    assert main(["compare", str(root), "--out", str(out)]) == 0
    assert {path.name for path in out.iterdir()} == {
        "comparison.json", "comparison.html", "regret.csv",
    }  # fmt: skip
    assert json.loads((out / "comparison.json").read_text()) == compare([root])
    assert str(out / "comparison.html") in capsys.readouterr().err


def test_regret_over_cost_is_a_table(root):
    rows = list(csv.DictReader(regret_csv(compare([root])).splitlines()))
    mine = [row for row in rows if row["group"] == "random" and row["unit"] == "steps"]
    assert [(row["cost"], row["mean"], row["low"], row["high"]) for row in mine] == [
        ("2.0", "0.5", "0.5", "0.5"), ("4.0", "0.25", "0.25", "0.25"),
        ("10.0", "0.0", "0.0", "0.0"),
    ]  # fmt: skip
    assert {row["unit"] for row in rows} == {"steps", "seconds"}


def test_the_page_loads_nothing_and_everything_on_it_is_escaped(root):
    page = comparison_html(compare([root]))
    assert not re.search(r"https?://|url\(|@import|<(script|link|img|iframe|object)", page)
    assert "&lt;script&gt;" in page
    for part in ("Regret over steps", "Regret over seconds", "<polygon", "Kendall", "Runs"):
        assert part in page, part


def test_runs_without_a_known_answer_have_no_plot(make_run, tmp_path):
    make_run()
    content = compare([tmp_path / "runs"])
    assert "<svg" not in comparison_html(content)
    assert regret_csv(content) == "dataset,group,unit,cost,mean,low,high\n"


def test_a_folder_that_cannot_be_written_is_told(root, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot write"):
        write_comparison(compare([root]), tmp_path / "file")


def test_a_staircase_holds_each_value_until_the_next_point():
    curve = Curve("c", ((0.0, 3.0), (2.0, 1.0), (5.0, 0.0)), ((0.0, 2.0, 4.0), (5.0, 0.0, 0.0)))
    stairs = staircase(curve)
    assert stairs.points == ((0.0, 3.0), (2.0, 3.0), (2.0, 1.0), (5.0, 1.0), (5.0, 0.0))
    assert stairs.band == ((0.0, 2.0, 4.0), (5.0, 2.0, 4.0), (5.0, 0.0, 0.0))
    assert staircase(Curve("c", ((0.0, 1.0),))).points == ((0.0, 1.0),)


def test_a_drawing_has_bands_a_legend_and_both_axes_named():
    curves = [Curve(f"g{n}", ((0.0, n), (9.0, n)), ((0.0, n - 1, n + 5),)) for n in range(8)]
    text = svg(curves, along="steps", title=EVIL, up=EVIL)
    drawing = ET.fromstring(text[: text.index("\n<p class")])
    assert len(drawing.findall("polyline")) == len(drawing.findall("polygon")) == 8
    words = [part.text for part in drawing.findall("text")]
    assert "steps" in words
    assert EVIL in words
    # The scale has room for the widest band.
    assert max(float(word) for word in words if word.isdecimal()) >= 12
    # Seven and more share a colour, and differ by dashes.
    lines = drawing.findall("polyline")
    assert lines[0].get("stroke") == lines[6].get("stroke")
    assert lines[0].get("stroke-dasharray") != lines[6].get("stroke-dasharray")
    assert all(f"g{number}</span>" in text for number in range(8))


def test_the_command_tells_figures_costs_tests_and_choices(root, capsys):
    assert main(["compare", str(root)]) == 0
    out = capsys.readouterr().out
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert "phantom3d: 6 runs in 2 groups, at equal cost (20 steps of weights a run)" in lines
    assert "accuracy random 3 0.750 (0.750 to 0.750) 0.750 to 0.750 0.500 (0.500 to 0.500)" in lines
    assert "random 3 0.000 (0.000 to 0.000) 0.000 to 0.000 100 %" in lines
    assert f"accuracy {EVIL} − random 3 −0.250 0.250 0.250" in lines
    assert f"regret {EVIL} − random 3 +0.250 0.250 0.250" in lines
    assert "random 3 0.33 (0.33 to 0.33) 0.33 to 0.33" in lines
    assert "random 4 6 10 20" in lines
    assert "layer conv ×3 conv ×3" in lines
    assert any("permutation test" in line for line in lines)


def test_the_command_tells_all_numbers_as_json(root, capsys):
    assert main(["compare", "--json", str(root)]) == 0
    assert json.loads(capsys.readouterr().out) == compare([root])


@pytest.mark.parametrize(
    ("words", "code", "reason"),
    [
        (["compare"], 2, "DIR"),
        (["compare", "nowhere"], 4, "there is no folder nowhere"),
        (["compare", "{empty}"], 4, "holds none"),
        (["compare", "{root}", "--out", "{root}/0000-s0/result.json"], 1, "cannot write"),
        (["compare", "{root}", "--oot", "x"], 2, "--oot"),
        (["compare", "{root}", "--ignore", "search.epoch"], 2, "Did you mean 'search.epochs'"),
    ],
)
def test_wrong_words_are_told_with_their_exit_code(root, tmp_path, capsys, words, code, reason):
    (tmp_path / "empty").mkdir()
    names = {"{root}": str(root), "{empty}": str(tmp_path / "empty")}
    for name, path in names.items():
        words = [word.replace(name, path) for word in words]
    assert main(words) == code
    assert reason in capsys.readouterr().err


def test_a_comparison_needs_no_torch(root):
    code = (
        "import sys; from medpipe_core.command.medpipe import main\n"
        "assert 'scipy' not in sys.modules\n"
        "assert main(['compare', *sys.argv[1:]]) == 0\n"
        "assert 'torch' not in sys.modules"
    )
    words = [sys.executable, "-c", code, str(root)]
    process = subprocess.run(words, capture_output=True, text=True)
    assert process.returncode == 0, process.stderr
