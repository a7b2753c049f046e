"""The report."""

from __future__ import annotations

import html
import json
import os
import re
from html.parser import HTMLParser

import pytest

from medpipe_core.command.medpipe import main
from medpipe_core.config import RunFolderError
from medpipe_core.report import write_report
from medpipe_core.report.curves import Curve, stage_curves, svg
from medpipe_core.report.html import COLOURS, html_page
from medpipe_core.report.run_report import report_html

EVIL = "<script>alert('x')</script>&\"\x1b[2J"
INTERVAL = {"value": 0.9, "low": 0.8, "high": 0.95}


@pytest.fixture
def result():
    figures = {"accuracy": 0.9, "auc": 0.8}
    row = {
        "genotype_digest": "abc", "epoch": 1, "parameters": 10, "multiply_adds": 20, "failed": "",
        "validation": {"accuracy": 0.9, EVIL: 0.1},
    }  # fmt: skip
    return {
        "space": EVIL, "dataset": "toy", "searcher": "random", "seed": 0, "genotype_digest": "abc",
        "test": {"accuracy": INTERVAL}, "validation": figures, "majority": figures,
        "test_confusion": [[3, 1], [0, 4]], "classes": [EVIL, "dark"], "seconds": {"search": 61.0},
        "decision": {"threshold": 0.25}, "test_decided": {"sensitivity": 0.5, "specificity": 0.75},
        "test_by_class": {EVIL: {"sensitivity": INTERVAL, "f1": 0.5}},
        "test_curves": [{
            "class": EVIL, "roc": [[0, 0], [0.5, 0.9], [1, 1]],
            "calibration": [{"probability": 0.5, "share": 0.4, "low": 0.2, "high": 0.6}],
            "calibration_error": {"raw": 0.123, "calibrated": 0.045},
        }],
        "candidates": [row, {**row, "genotype_digest": "def", "failed": EVIL}],
        "parameters": 10, "multiply_adds": 20,
        "card": {"title": EVIL, "source": EVIL, "licence": EVIL, "notes": [EVIL]},
        "data": {"train": {"count": 9, "per_class": {EVIL: 5}, "blank": 1, "doubles": 0}},
    }  # fmt: skip


@pytest.fixture
def events():
    table = {"title": EVIL, "headings": ["a", EVIL], "rows": [["1", EVIL]]}
    steps = [
        {"event": "search-step", "stage": "search", "step": s, "train_loss": 1 / (s + 1)}
        for s in range(1000)
    ]
    epochs = [
        {"event": "retrain-epoch", "stage": "retrain", "epoch": e, "loss": 1.0 / e, EVIL: 0.5,
         "validation_accuracy": 0.5 + e / 10, "lr": 0.001}
        for e in (1, 2, 3)
    ]  # fmt: skip
    return [{"event": "chosen", "tables": [table]}, *steps, *epochs]


class Checker(HTMLParser):
    """Notes whatever would load something, and whether tags are closed."""

    void = frozenset({"meta", "line", "circle", "polyline", "br"})

    def __init__(self):
        super().__init__()
        self.open, self.tags, self.links = [], set(), []

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.links += [v for k, v in attrs if k in ("src", "href", "xlink:href", "data")]
        if tag not in self.void:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.links += [v for k, v in attrs if k in ("src", "href", "xlink:href", "data")]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def check(text):
    checker = Checker()
    checker.feed(text)
    assert checker.open == []
    return checker


def test_a_report_is_one_file_that_loads_nothing(result, events):
    text = report_html(result, events, {"seed": 0})
    checker = check(text)
    assert checker.links == []
    assert not checker.tags & {"script", "link", "img", "iframe", "object"}
    assert not re.search(r"https?://|url\(|@import", text)


def test_everything_in_a_report_is_escaped(result, events):
    text = report_html(result, events, {EVIL: EVIL})
    assert "<script" not in text
    assert "&lt;script&gt;" in text
    assert "\x1b" not in text


def test_a_report_has_figures_curves_confusion_and_configuration(result, events):
    text = report_html(result, events, {"search.epochs": 3})
    for part in (
        '0.900 <span class="together">(0.800 to 0.950)</span>', "Confusion on the test set",
        "<polyline", "search.epochs", "not a medical device", "validation accuracy", "abc (chosen)",
    ):  # fmt: skip
        assert part in text, part


@pytest.mark.parametrize(
    ("regret", "words"),
    [(0.0, "and this is one (regret 0)"), (0.125, "falls short of it by 0.125 (regret)")],
)
def test_a_report_says_how_far_the_known_answer_is(result, events, regret, words):
    assert words in report_html({**result, "regret": regret}, events, {})
    assert "regret" not in report_html(result, events, {})


def test_the_figure_that_ranks_candidates_has_a_column(result, events):
    row = result["candidates"][0]
    row["validation"] = {"accuracy": 0.9, "f1": 0.1, "f2": 0.2, "f3": 0.3, "auc": 0.777}
    table = report_html(result, events, {"evaluate.rank_by": "auc"}).split("Candidates that")[1]
    heading, cells = table.split("<tbody>")[:2]
    assert "<th>area under the ROC curve, which ranks</th><th>other figures</th>" in heading
    assert "<td>abc (chosen)</td><td>0.777</td><td>accuracy 0.900, f1" in cells


def test_a_figure_of_a_class_names_it_wherever_it_stands(result, events):
    result["classes"] = ["healthy", "sick"]
    result["candidates"][0]["validation"] = {"accuracy": 0.9, "sensitivity": 0.1, "precision": 0.2}
    told = {"sensitivity": 0.5, "validation_precision": 0.5, "chance_auc": 0.6}
    events.append({"event": "evaluate-epoch", "stage": "evaluate", "epoch": 1, **told})
    text = report_html(result, events, {})
    candidates = text.split("Candidates that")[1].split("</table>")[0]
    assert (
        "sensitivity of &#x27;sick&#x27; 0.100, precision of &#x27;sick&#x27; 0.200" in candidates
    )
    legends = " ".join(re.findall(r'<p class="legend">.*?</p>', text))
    for name in (
        "</svg>sensitivity of &#x27;sick&#x27;<",
        "</svg>validation precision of &#x27;sick&#x27;<",
        "</svg>by chance: area under the ROC curve<",
    ):
        assert name in legends, name


def test_there_are_no_halves_of_epochs():
    points = ((1.0, 0.25), (2.0, 0.75))
    drawn = {along: svg([Curve("a", points)], along=along, title="t") for along in ("epoch", "x")}
    ticks = {k: re.findall(r'text-anchor="middle">([\d.]+)<', text) for k, text in drawn.items()}
    assert ticks["epoch"] == ["1", "2"]
    assert "1.2" in ticks["x"]


def test_every_colour_of_a_curve_has_one_for_the_dark():
    style, dark = html_page("t", []).split("@media (prefers-color-scheme: dark)")
    for number in range(COLOURS):
        light, other = (re.search(rf"\.c{number} {{ color: (#\w+)", part) for part in (style, dark))
        assert contrast(light[1], "#ffffff") > 4.5
        assert contrast(other[1], "#121212") > 4.5
    assert f".c{COLOURS} " not in style + dark
    text = svg([Curve(str(n), ((0.0, n), (1.0, n))) for n in range(8)], along="x", title="t")
    assert "#" not in text
    assert set(re.findall(r'class="c(\d)"', text)) == set(map(str, range(COLOURS)))


def contrast(one, other):
    """Return the contrast of two colours by WCAG 2."""
    lights = []
    for colour in (one, other):
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        red, green, blue = (
            p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts
        )
        lights.append(0.2126 * red + 0.7152 * green + 0.0722 * blue + 0.05)
    return max(lights) / min(lights)


def test_curves_on_top_of_each_other_are_all_to_be_seen():
    points = ((0.0, 1.0), (50.0, 0.0), (100.0, 0.0))
    text = svg([Curve(name, points) for name in "abc"], along="step", title="t")
    check(text)
    lines = re.findall(r"<polyline [^>]*>", text)[3:]
    turns = [re.search(r'class="(c\d)".*dasharray="(\d+) (\d+)" stroke-dashoffset="(-?\d+)"', one)
             for one in lines]  # fmt: skip
    assert len({turn[1] for turn in turns}) == 3
    on, off = int(turns[0][2]), int(turns[0][3])
    assert sorted(int(turn[4]) % (on + off) for turn in turns) == [0, on, 2 * on]
    assert off == 2 * on


def test_points_on_top_of_each_other_are_all_to_be_seen():
    text = svg([Curve(name, ((1.0, 2.0),)) for name in "abc"], along="step", title="t")
    assert len(set(re.findall(r' r="([\d.]+)" fill="none"', text))) == 3


def test_a_candidate_that_failed_says_why(result, events):
    assert "alert" in report_html(result, events, {}).split("Candidates")[1]


def test_losses_and_shares_are_drawn_apart(events):
    curves = stage_curves(events, "retrain", along="epoch")
    assert [c.name for c in curves["loss"]] == ["loss"]
    assert "validation_accuracy" in [c.name for c in curves["share"]]


def test_figures_of_several_candidates_at_one_epoch_are_averaged():
    events = [
        {"event": "e", "stage": "search", "epoch": 1, "figures": {"accuracy": a}}
        for a in (0.2, 0.4)
    ]
    ((curve,),) = stage_curves(events, "search", along="epoch").values()
    assert curve.points == ((1.0, pytest.approx(0.3)),)


def test_long_curves_are_thinned(events):
    (curve,) = stage_curves(events, "search", along="step")["loss"]
    assert 100 < len(curve.points) <= 400


@pytest.mark.parametrize(
    "points",
    [
        ((1.0, 2.0),),
        ((0.0, 0.0), (1.0, 0.0)),
        ((1.0, 1e-9), (2.0, 1e9)),
        ((1.0, 1e16), (2.0, 1e16 + 2)),
        ((5e-324, -1e99), (1e-320, 1e99)),
    ],
)
def test_any_points_can_be_drawn(points):
    text = svg([Curve(EVIL, points)], along="epoch", title=EVIL)
    check(text)
    assert "nan" not in text
    assert "<script" not in text
    assert svg([], along="epoch", title="t") == ""


def test_a_report_is_written_again_from_its_folder(registry, tmp_path, capsys):
    import medpipe_core as mp

    result = mp.run(
        space="toy", searcher="random", dataset="toy", registry=registry, search__epochs=1,
        evaluate__epochs=1, retrain__epochs=1, run__root=str(tmp_path), test__resamples=20,
    )  # fmt: skip
    report = result.folder / "report.html"
    first = report.read_text()
    report.unlink()
    assert main(["report", str(result.folder)]) == 0
    assert capsys.readouterr().out.strip() == str(report)
    assert report.read_text() == first


def test_a_report_of_an_unfinished_run_is_refused(tmp_path):
    (tmp_path / "config.yaml").write_text("seed: 0\n")
    with pytest.raises(RunFolderError, match=r"result\.json"):
        write_report(tmp_path)


WRONG = (None, 3, -0.5, "text", [], {}, [None], {"": None}, [[[]]], {"value": "x", "low": "y"})


def test_a_folder_that_is_damaged_anywhere_is_refused_with_words(tmp_path, result, events, capsys):
    """Each part of the result is left out, or is something else; so are a journal's events."""
    (tmp_path / "config.yaml").write_text("seed: 0\n")
    (tmp_path / "events.jsonl").write_text("".join(f"{json.dumps(e)}\n" for e in events[-3:]))
    codes = []
    for key in result:
        for wrong in ("left out", *WRONG):
            damaged = {k: v for k, v in result.items() if k != key or wrong != "left out"}
            damaged |= {} if wrong == "left out" else {key: wrong}
            (tmp_path / "result.json").write_text(json.dumps(damaged))
            codes.append(main(["report", str(tmp_path)]))
            assert (codes[-1] == 4) == bool(capsys.readouterr().err)
    assert set(codes) == {0, 4}
    assert codes.count(4) > 100


@pytest.mark.parametrize("number", ["1e999", "9" * 400])
def test_a_number_that_none_can_be_is_damage(tmp_path, number, capsys):
    (tmp_path / "config.yaml").write_text("seed: 0\n")
    (tmp_path / "events.jsonl").write_text("")
    (tmp_path / "result.json").write_text(f'{{"seconds": {{"search": {number}}}}}')
    assert main(["report", str(tmp_path)]) == 4
    assert "is not usable JSON (no number may be like" in capsys.readouterr().err


def test_what_is_no_file_is_not_waited_for(tmp_path, capsys):
    (tmp_path / "config.yaml").write_text("seed: 0\n")
    os.mkfifo(tmp_path / "result.json")
    assert main(["report", str(tmp_path)]) == 4
    assert "it is no file" in capsys.readouterr().err


def test_a_configuration_that_stands_for_more_than_a_memory_holds_is_refused(tmp_path, capsys):
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    for number in range(1, 12):
        before = ", ".join([f"*a{number - 1}"] * 10)
        lines.append(f"a{number}: &a{number} [{before}]")
    (tmp_path / "config.yaml").write_text("\n".join(lines))
    (tmp_path / "result.json").write_text("{}")
    (tmp_path / "events.jsonl").write_text("")
    assert main(["report", str(tmp_path)]) == 4
    assert "&name and *name are not read here" in capsys.readouterr().err
    assert main(["compare", str(tmp_path)]) == 4


@pytest.mark.parametrize(
    ("known", "words"),
    [
        (["textbook"], "The space knew this as 'textbook', with what that leaves open."),
        (["one", "two"], "The space knew this as 'one' and 'two', with"),
    ],
)
def test_a_report_says_what_the_space_knew(result, events, known, words):
    content = {**result, "known_as": known}
    assert words in html.unescape(report_html(content, events, {}))
    for damaged in ([], None, 7):
        assert "The space knew" not in report_html({**result, "known_as": damaged}, events, {})
