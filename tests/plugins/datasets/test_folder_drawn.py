"""Training scans whose slices each epoch draws anew, in runs from beginning to end."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from safetensors.numpy import load_file

from medpipe_core import api
from medpipe_core.config import resolve
from medpipe_core.config.errors import Interrupted
from medpipe_core.data import DataError
from medpipe_core.execution.previewing import preview
from medpipe_core.execution.signals import Stop
from medpipe_plugins.datasets.folder import FolderDataset

SLICES = {"name": "slices", "parameters": {"count": 8}, "training": {"how": "random"}}
STEPS = [{"name": "normalise"}, SLICES, {"name": "resize", "parameters": {"size": 8}}]
FIXED = [STEPS[0], {"name": "slices", "parameters": {"count": 8}}, STEPS[2]]


@pytest.fixture(scope="module")
def keys(tiny, manifest):
    longer = {"evaluate.epochs": 2, "evaluate.top_k": 2, "retrain.epochs": 3}
    asked = {"dataset": "folder", "dataset.prepare": STEPS, "data.manifest": manifest}
    return {**tiny, "search.batch_size": 16, **longer, **asked}


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scans")
    rows = ["path,label"]
    for number in range(24):
        rng = np.random.default_rng(number)
        np.save(folder / f"{number:02}.npy", rng.random((20 + number % 5, 9, 7), np.float32))
        rows.append(f"{number:02}.npy,{number % 2}")
    (folder / "scans.csv").write_text("\n".join(rows))
    return str(folder / "scans.csv")


@pytest.fixture
def started(registry, keys, tmp_path):
    """Run, and return the folder."""

    def start(name="run", stop=None, listeners=(), **more):
        given = {**keys, "run.root": str(tmp_path / name), **more}
        return api.execute(resolve(given, registry), registry, listeners=listeners, stop=stop)

    return start


def outcome(result):
    weights = load_file(result.folder / "weights.safetensors")
    return result.content["test"], {name: value.tolist() for name, value in weights.items()}


def test_a_part_is_read_in_the_form_in_which_it_is_judged(registry, manifest):
    asked = {"manifest": manifest, "registry": registry}
    drawn, fixed = (FolderDataset(prepare=steps, **asked).development() for steps in (STEPS, FIXED))
    assert drawn.train.volumes.varies
    assert isinstance(fixed.train.volumes, np.ndarray)
    assert np.array_equal(drawn.train.volumes[:], fixed.train.volumes)
    assert np.array_equal(drawn.validation.volumes, fixed.validation.volumes)
    notes = FolderDataset(prepare=STEPS, **asked).card.notes
    assert any("Each epoch of a training draws anew from 'slices' on" in note for note in notes)


def test_what_training_alone_does_without_a_draw_is_done_once(registry, manifest):
    steps = [{"name": "slices", "parameters": {"count": 8}, "training": {"count": 8}}, STEPS[0]]
    steps.append(STEPS[2])
    train = FolderDataset(prepare=steps, manifest=manifest, registry=registry).development().train
    assert isinstance(train.volumes, np.ndarray)


def test_a_scan_of_another_name_or_order_is_drawn_by_its_name(registry, manifest):
    train = FolderDataset(prepare=STEPS, manifest=manifest, registry=registry).development().train
    backwards = train.take(np.arange(len(train))[::-1])
    one, other = train.volumes.drawn(4)[:], backwards.volumes.drawn(4)[:]
    assert np.array_equal(one, other[::-1])


def test_a_draw_of_another_shape_leaves_the_scan_out_with_its_name(registry, manifest):
    steps = [STEPS[0], {**SLICES, "training": {"how": "random", "count": 9}}]
    with pytest.raises(DataError, match=r"drawn as \(1, 9, 9, 7\) in training and judged as"):
        _ = FolderDataset(prepare=steps, manifest=manifest, registry=registry).card.size


def test_a_preview_shows_other_slices_in_each_picture(registry, keys):
    shown = preview(resolve(keys, registry), registry, each=1, draws=2)
    _, prepared, one, other = shown.examples[0].pictures
    assert prepared.words == "prepared"
    assert (one.words, other.words) == (
        "drawn anew and augmented, 1",
        "drawn anew and augmented, 2",
    )
    pictures = [picture.values for picture in (prepared, one, other)]
    assert all(picture.shape == (8, 8, 8) for picture in pictures)
    assert not any(np.array_equal(a, b) for a, b in itertools.pairwise(pictures))


@pytest.mark.slow
def test_a_seed_gives_the_same_weights_with_a_cache_or_workers(started, tmp_path):
    whole = outcome(started("whole"))
    cache = str(tmp_path / "cache")
    ways = {
        "again": {},
        "cached": {"data.cache": cache},
        "from the cache": {"data.cache": cache},
        "workers": {"executor": "local", "executor.workers": 2},
        "held": {"hold": "device"},
    }
    for name, keys in ways.items():
        assert outcome(started(name, **keys)) == whole, name
    assert outcome(started("other", seed=1)) != whole
    assert outcome(started("fixed", **{"dataset.prepare": FIXED})) != whole


@pytest.mark.slow
@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize("searcher", ["random", "gumbel"])
def test_a_run_that_was_stopped_ends_as_if_it_had_not_been(
    started, registry, tmp_path, searcher, number
):
    keys = {"searcher": searcher, "checkpoint.seconds": None, "search.batch_size": 4}
    whole = outcome(started("whole", **keys))
    stop = Stop(lambda _: None)
    seen = []

    def listen(event, /, **_):
        seen.append(event)
        if seen.count("retrain-epoch") == number:
            stop.take(15)

    with pytest.raises(Interrupted):
        started("stopped", stop=stop, listeners=[listen], **keys)
    (folder,) = (tmp_path / "stopped").iterdir()
    assert outcome(api.resume(folder, registry=registry)) == whole
