"""A contact sheet of what a network will see; the test set is never shown."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from medpipe_core.command.medpipe import main
from medpipe_core.execution.previewing import Picture
from medpipe_core.report.contact_sheet import three_slices

PLUGIN = """
import numpy as np
from medpipe_core import hookimpl
from medpipe_core.data import DatasetCard, Development, LabelledVolumes, SealedTest, Volume


def volumes(count):
    labels = np.arange(count) % 2
    voxels = np.full((count, 1, 6, 6, 6), 0.2, np.float32)
    voxels += 0.6 * labels[:, None, None, None, None].astype(np.float32)
    voxels[:, :, 0, 0, :] = np.arange(count, dtype=np.float32)[:, None, None] / count
    return LabelledVolumes(voxels, labels, cases=np.array([f"case <{n}>" for n in range(count)]))


class Shown:
    card = DatasetCard("shown", "Shown", ("well", "ill"), 1, (6, 6, 6), "here", "any")

    def development(self):
        return Development(volumes(8), volumes(4))

    def sealed_test(self):
        def read():
            raise AssertionError("the test set was opened")

        return SealedTest(read)

    def original(self, case):
        return Volume(np.full((3, 4, 5), -700.0, np.float32))


@hookimpl
def medpipe_register(registry):
    registry.register("dataset", "shown", Shown)
"""


def keys(tmp_path, toy):
    (tmp_path / "shown.py").write_text(PLUGIN)
    return [
        f"plugins.load=[{toy},{tmp_path / 'shown.py'}]",
        "space=toy",
        "searcher=random",
        "dataset=shown",
    ]


def test_a_page_shows_cases_of_each_class_before_and_after(tmp_path, toy_values, capsys):
    out = tmp_path / "sheets" / "sheet.html"
    given = keys(tmp_path, toy_values["plugins.load"][0])
    assert main(["preview", *given, "--out", str(out), "--each", "2", "--draws", "1"]) == 0
    assert capsys.readouterr().out.strip() == str(out)
    text = out.read_text()
    assert text.count("<img ") == 2 * 2 * 3
    assert text.index("<h2>well</h2>") < text.index("case &lt;0&gt;") < text.index("<h2>ill</h2>")
    assert "case &lt;1&gt;" in text
    assert "case &lt;4&gt;" not in text
    assert "as read: 3 × 4 × 5 voxels" in text
    assert "intensities −700 to −700" in text
    assert 'alt="case &lt;0&gt;, prepared: three middle slices"' in text
    assert "not used" not in text
    assert "http" not in text
    picture = tmp_path / "sheet.png"
    assert main(["preview", *given, "--out", str(picture), "--each", "1", "--draws", "1"]) == 0
    sheet = np.asarray(Image.open(io.BytesIO(picture.read_bytes())))
    assert sheet.ndim == 2
    assert (sheet == int(0.2 * 255)).sum() > 1000


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--out", "x.jpg"], "ends in .html or .png"),
        (["seed=0,1"], "seed: Input should be a valid integer"),
        (["dataset=phantom4d"], "phantom3d"),
        (["dataset.siez=3"], "size"),
    ],
)
def test_what_cannot_be_shown_is_refused(words, told, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["preview", *words]) == 2
    assert told in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_slices_have_the_proportions_of_the_scan_and_the_head_is_up():
    values = np.zeros((4, 6, 6), np.float32)
    values[3] = 1  # the top
    picture = three_slices(Picture(values, (3.0, 1.0, 1.0), ""))
    height = picture.shape[0]
    widths = [height, height // 2, height // 2]  # 6 × 6 mm; 12 mm high, 6 mm wide
    assert picture.shape[1] == sum(widths) + 2 * 4
    front = picture[:, widths[0] + 4 : widths[0] + 4 + widths[1]]
    assert (front[: height // 4] == 255).all()
    assert (front[height // 4 + 1 :] == 0).all()


def test_values_beyond_the_unit_range_are_windowed():
    values = np.linspace(-1000, 500, 64).reshape(4, 4, 4)
    picture = three_slices(Picture(values, None, ""))
    assert picture.min() < 100 < 150 < picture.max()
