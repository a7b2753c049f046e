"""A run that was stopped goes on as if it had not been."""

from __future__ import annotations

import contextlib
import json
import random
import shutil
import signal
import threading

import numpy as np
import pytest
import torch

import medpipe_core as mp
from medpipe_core import api
from medpipe_core.config import RunFolderError, resolve
from medpipe_core.config.errors import Interrupted, StorageError
from medpipe_core.data import Batches
from medpipe_core.execution.run_memory import RunMemory
from medpipe_core.execution.signals import Stop
from medpipe_core.plugins import load_plugins
from medpipe_core.record import atomic_files, run_folder
from medpipe_core.record.checkpoints import Checkpoints
from medpipe_core.record.run_folder import open_folder
from medpipe_core.record.run_lock import RunLock, RunLockedError
from medpipe_core.record.state_encoding import StateError
from medpipe_core.search import RandomSearcher
from medpipe_core.train import prediction

SEARCHES = {
    "weights": {"searcher": "gumbel", "search.epochs": 2, "search.candidates": 2},
    "trials": {
        "searcher": "evolution", "search.scores": "trained", "search.epochs": 2,
        "search.candidates": 3, "search.trial_epochs": 2,
    },
    "race": {
        "searcher": "halving", "search.candidates": 5, "search.trial_epochs": 1,
        "search.rungs": 2, "search.brackets": 2, "search.epochs": 2,
    },
    "population": {
        "searcher": "population", "search.candidates": 3, "search.trial_epochs": 2,
        "search.epochs": 2, "searcher.answer": "schedule",
    },
    "members": {"searcher": "random", "search.epochs": 1, "retrain.members": 3},
}  # fmt: skip
TIMES = {"time", "seconds", "run.root"}


class Stopping:
    """A listener that lets a signal come at the n-th event of a name."""

    def __init__(self, event, number, signal_number=signal.SIGTERM):
        self.left = number
        self.event = event
        self.signal = signal_number
        self.stop = Stop(lambda _: None)

    def __call__(self, event, /, **_):
        self.left -= event == self.event
        if self.left == 0:
            self.left = -1
            self.stop.take(self.signal)


@pytest.fixture
def keys(toy_values, tmp_path):
    def make(search="weights", **more):
        return {
            **toy_values, "plugins.load": [], "evaluate.epochs": 2, "evaluate.top_k": 2,
            "retrain.epochs": 3, "checkpoint.seconds": None, **SEARCHES[search], **more,
        }  # fmt: skip

    return make


@pytest.fixture
def start(registry, tmp_path):
    """Run, and stop where a listener says; return the folder."""

    def start(keys, name="run", at=None):
        configuration = resolve({**keys, "run.root": str(tmp_path / name)}, registry)
        if at is None:
            return api.execute(configuration, registry).folder
        with pytest.raises(Interrupted):
            api.execute(configuration, registry, listeners=[at], stop=at.stop)
        return only_folder(tmp_path / name)

    return start


def only_folder(root):
    (found,) = [path for path in root.iterdir() if not path.name.startswith(".")]
    return found


def timeless(value):
    if isinstance(value, dict):
        return {k: timeless(v) for k, v in value.items() if k not in TIMES}
    return [timeless(v) for v in value] if isinstance(value, list) else value


def journal(folder):
    return timeless(open_folder(folder).events())


def outcome(folder):
    told = [e for e in journal(folder) if e["event"] not in {"resumed", "resume-warning"}]
    weights = (folder / "weights.safetensors").read_bytes()
    return {"result": timeless(open_folder(folder).result()), "events": told, "weights": weights}


PLACES = [
    ("weights", "search-step", 3),
    ("weights", "search-epoch", 1),
    ("weights", "search-epoch", 4),
    ("weights", "evaluate-epoch", 1),
    ("weights", "evaluate-candidate", 1),
    ("weights", "retrain-epoch", 1),
    ("weights", "retrain-epoch", 3),
    ("trials", "search-trial", 1),
    ("trials", "search-epoch", 2),
    ("trials", "search-trial", 8),
    ("race", "search-race", 2),
    ("race", "search-trial", 5),
    ("race", "search-epoch", 7),
    ("population", "search-trial", 8),
    ("population", "search-epoch", 4),
    ("members", "retrain-epoch", 3),
    ("members", "retrain-epoch", 4),
    ("members", "retrain-epoch", 8),
]


@pytest.fixture(scope="module")
def undisturbed():
    return {}


@pytest.mark.parametrize(("search", "event", "number"), PLACES)
def test_what_was_stopped_anywhere_ends_as_if_it_had_not_been(
    keys, start, registry, undisturbed, search, event, number
):
    if search not in undisturbed:
        undisturbed[search] = outcome(start(keys(search), "whole"))
    folder = start(keys(search), at=Stopping(event, number))
    assert open_folder(folder).events()[-1]["event"] == "interrupted"
    assert not (folder / "result.json").exists()
    api.resume(folder, registry=registry)
    assert outcome(folder) == undisturbed[search]
    assert [e["event"] for e in journal(folder)].count("resumed") == 1


def test_it_can_be_stopped_again_and_again(keys, start, registry, undisturbed):
    if "weights" not in undisturbed:
        undisturbed["weights"] = outcome(start(keys(), "whole"))
    folder = start(keys(), at=Stopping("search-step", 2))
    for event in ("search-step", "search-epoch", "evaluate-epoch", "retrain-epoch"):
        at = Stopping(event, 1)
        with pytest.raises(Interrupted):
            api.resume(folder, registry=registry, listeners=[at], stop=at.stop)
    api.resume(folder, registry=registry)
    assert outcome(folder) == undisturbed["weights"]


def test_it_can_be_stopped_while_it_looks_at_what_it_trained(
    keys, start, registry, undisturbed, monkeypatch
):
    """While candidates of a search are scored, in a validation, and in what a trial ends with."""
    if "weights" not in undisturbed:
        undisturbed["weights"] = outcome(start(keys(), "whole"))
    real, looks, at = prediction.ordered_batches, [], Stopping("", -1)

    def look(*arguments, **words):
        looks.append(1)
        if len(looks) == last:
            at.stop.take(signal.SIGTERM)
        return real(*arguments, **words)

    monkeypatch.setattr(prediction, "ordered_batches", look)
    last, stages = 2, []
    folder = start(keys(), at=at)
    stages.append(running_stage(folder))
    for last in (5, 2, 4, 2):  # each begins with the look that was not finished
        looks[:], at = [], Stopping("", -1)
        with pytest.raises(Interrupted):
            api.resume(folder, registry=registry, listeners=[at], stop=at.stop)
        assert len(looks) == last
        stages.append(running_stage(folder))
    assert stages == ["search", "evaluate", "evaluate", "retrain", "retrain"]
    last = 0
    api.resume(folder, registry=registry)
    assert outcome(folder) == undisturbed["weights"]


def test_a_signal_that_somebody_swallowed_is_heard_before_there_is_a_folder(
    keys, registry, tmp_path
):
    stop = Stop(lambda _: None)

    def swallowing(told, /, **_):
        if told == "data-reading":
            with contextlib.suppress(KeyboardInterrupt):
                stop.take(signal.SIGTERM)

    configuration = resolve(keys(**{"run.root": str(tmp_path / "run")}), registry)
    with pytest.raises(Interrupted):
        api.execute(configuration, registry, listeners=[swallowing], stop=stop)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("thread", [False, True])
def test_ctrl_c_in_a_notebook_ends_a_run_that_goes_on_from_its_last_checkpoint(
    keys, start, registry, undisturbed, tmp_path, thread
):
    """Python has no steps to wait for: it raises where it stands, or in nobody's thread."""
    if "weights" not in undisturbed:
        undisturbed["weights"] = outcome(start(keys(), "whole"))
    handler, caught = signal.getsignal(signal.SIGINT), []

    def press(event, /, **_):
        if event == "evaluate-epoch":
            raise KeyboardInterrupt

    def run():
        try:
            mp.run(**keys(**{"run.root": str(tmp_path / "run")}), registry=registry,
                   listeners=[press])  # fmt: skip
        except KeyboardInterrupt as end:
            caught.append(end)

    if thread:
        running = threading.Thread(target=run)
        running.start()
        running.join()
    else:
        run()
    assert len(caught) == 1
    assert signal.getsignal(signal.SIGINT) == handler
    folder = only_folder(tmp_path / "run")
    assert open_folder(folder).events()[-1]["event"] == "interrupted"
    api.resume(folder, registry=registry)
    assert outcome(folder) == undisturbed["weights"]


def running_stage(folder):
    events = journal(folder)
    assert events[-1]["event"] == "interrupted"
    return [e["stage"] for e in events if e["event"] == "stage-started"][-1]


def test_the_order_of_samples_goes_on_in_the_middle_of_an_epoch(keys, start, registry, monkeypatch):
    seen, real = [], Batches.next

    def next_batch(batches):
        batch = real(batches)
        seen.append(batch.indices.tolist())
        return batch

    monkeypatch.setattr(Batches, "next", next_batch)
    start(keys(), "whole")
    whole, seen[:] = list(seen), []
    folder = start(keys(**{"checkpoint.steps": 1}), at=Stopping("search-step", 4))
    before = len(seen)
    api.resume(folder, registry=registry)
    assert 0 < before < len(whole)
    assert seen == whole


def test_a_finished_run_is_not_run_again(keys, start, registry):
    folder = start(keys())
    before = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    result = api.resume(folder, registry=registry)
    after = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    assert after == before
    assert result.content == open_folder(folder).result()
    assert list((folder / "checkpoints").iterdir()) == []


def test_a_run_that_was_killed_while_its_checkpoints_were_deleted_is_finished(
    keys, start, registry, tmp_path, monkeypatch
):
    def killed(folder):
        min(folder.iterdir()).unlink()
        raise KeyboardInterrupt

    monkeypatch.setattr(run_folder, "delete_files", killed)
    with pytest.raises(KeyboardInterrupt):
        start(keys())
    folder = only_folder(tmp_path / "run")
    assert list((folder / "checkpoints").iterdir())
    result = api.resume(folder, registry=registry)
    assert result.content == open_folder(folder).result()
    assert list((folder / "checkpoints").iterdir()) == []


def test_a_searcher_whose_state_cannot_be_saved_is_told_at_once(registry, toy_values, tmp_path):
    class Forgetful(RandomSearcher):
        def state_dict(self):
            return {**super().state_dict(), "seen": {1}}

    with pytest.raises(StateError, match=r"'Forgetful' .* cannot be saved: .*searcher/seen is a"):
        mp.run(
            **{**toy_values, "searcher": Forgetful, "run.root": str(tmp_path)}, registry=registry
        )


def test_a_run_of_before_there_were_checkpoints_is_left_as_it_is(keys, start, registry):
    folder = start(keys())
    (folder / "checksums.json").unlink()
    before = (folder / "events.jsonl").read_bytes()
    api.resume(folder, registry=registry)
    assert (folder / "events.jsonl").read_bytes() == before


def test_a_run_that_was_stopped_before_its_first_checkpoint_begins_anew(
    keys, start, registry, undisturbed
):
    if "weights" not in undisturbed:
        undisturbed["weights"] = outcome(start(keys(), "whole"))
    folder = start(keys(), at=Stopping("search-step", 1))
    for path in (folder / "checkpoints").iterdir():
        path.unlink()
    api.resume(folder, registry=registry)
    assert outcome(folder) == undisturbed["weights"]


def test_a_damaged_checkpoint_is_told_and_the_one_before_is_used(
    keys, start, registry, undisturbed
):
    if "weights" not in undisturbed:
        undisturbed["weights"] = outcome(start(keys(), "whole"))
    folder = start(keys(**{"checkpoint.steps": 2}), at=Stopping("retrain-epoch", 1))
    newest = max((folder / "checkpoints").glob("*.safetensors"))
    content = newest.read_bytes()
    newest.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    api.resume(folder, registry=registry)
    told = next(e for e in journal(folder) if e["event"] == "resume-warning")
    assert newest.stem in told["message"]
    assert "the one before it is used" in told["message"]
    assert outcome(folder)["weights"] == undisturbed["weights"]["weights"]


def test_two_cannot_go_on_with_one_run(keys, start, registry):
    folder = start(keys(), at=Stopping("search-step", 2))
    with RunLock(folder), pytest.raises(RunLockedError, match="another process works on"):
        api.resume(folder, registry=registry)
    api.resume(folder, registry=registry)


def test_what_has_changed_since_is_refused_with_the_difference(
    keys, start, registry, tmp_path, toy_values
):
    folder = start(keys(), at=Stopping("search-step", 2))
    with pytest.raises(RunFolderError, match=r"key retrain\.epochs: 3 then, 4 now") as caught:
        api.resume(folder, registry=registry, keys={"retrain.epochs": 4})
    assert "would not be the same" in str(caught.value)
    with pytest.raises(RunFolderError, match=r"key space\.width: 3 then, 5 now; space digest: "):
        api.resume(folder, registry=registry, keys={"space.width": 5})
    config = folder / "config.yaml"
    text = config.read_text()
    config.write_text(text.replace("seed: 0", "seed: 7"))
    with pytest.raises(RunFolderError, match="key seed: 0 then, 7 now"):
        api.resume(folder, registry=registry)
    config.write_text(text)
    api.resume(folder, registry=registry, keys={"checkpoint.steps": 50})


def test_another_version_of_a_plugin_is_refused(keys, start, registry, monkeypatch):
    folder = start(keys(), at=Stopping("search-step", 2))
    newer = {
        key: mp.plugins.Entry(**{**vars_of(entry), "version": "9"})
        if entry.distribution.startswith("file:")
        else entry
        for key, entry in registry._entries.items()
    }
    changed = type(registry)(newer, registry.plugins)
    with pytest.raises(RunFolderError, match=r"plugin file:toy_plugin\.py: '-' then, '9' now"):
        api.resume(folder, registry=changed)


def vars_of(entry):
    names = ("kind", "name", "distribution", "version", "entry_point", "summary")
    own = {name: getattr(entry, name) for name in names}
    return {**own, "_factory": entry._factory, "_parameters": entry._parameters}


def test_a_plugins_file_that_has_changed_is_refused(toy_values, tmp_path, start):
    path = tmp_path / "toy_plugin.py"
    shutil.copy(toy_values["plugins.load"][0], path)
    registry = load_plugins(load=[path])
    values = {**toy_values, "plugins.load": [str(path)], "run.root": str(tmp_path / "runs")}
    from medpipe_core.config import resolve

    at = Stopping("search-step", 2)
    with pytest.raises(Interrupted):
        api.execute(resolve(values, registry), registry, listeners=[at], stop=at.stop)
    folder = only_folder(tmp_path / "runs")
    with pytest.raises(RunFolderError, match="loads code from"):
        api.resume(folder)
    path.write_text(path.read_text() + "# another line\n")
    with pytest.raises(RunFolderError, match=r"plugin file .*toy_plugin\.py: '\w+' then"):
        api.resume(folder, trust_plugins=True)


KNOWN = {"network/stem/stride": "2"}


@pytest.mark.parametrize(
    ("known", "told"),
    [(["one"], "known 'one'"), ("space", "known 'one'.*; space known 'two'"), ([KNOWN], None)],
    ids=["a name", "all", "no name"],
)
def test_what_the_space_knows_is_the_same_where_the_searcher_asks_for_it(
    keys, registry, tmp_path, known, told
):
    def knowing(stride):
        names = {"one": {"network/stem/stride": stride}, "two": {"network/*/stride": stride}}
        space = mp.SearchSpace("knowing", registry.space("toy").root, known=names)
        return registry.adding("space", "knowing", lambda: space)

    root = tmp_path / "run"
    given = keys("trials", space="knowing", **{"searcher.known": known, "run.root": str(root)})
    before, now = knowing(1), knowing(2)
    at = Stopping("search-epoch", 2)
    with pytest.raises(Interrupted):
        api.execute(resolve(given, before), before, listeners=[at], stop=at.stop)
    folder = only_folder(root)
    if told is not None:
        with pytest.raises(RunFolderError, match=rf"space {told}: '\w+' then, '\w+' now"):
            api.resume(folder, registry=now)
        now = before
    assert api.resume(folder, registry=now).folder == folder


def test_a_full_disk_ends_the_run_and_leaves_the_checkpoint_before(
    keys, start, registry, tmp_path, monkeypatch
):
    real, saves = atomic_files._write_through, []

    def full(path, data):
        if (
            path.name.endswith(".tmp")
            and ".safetensors" in path.name
            and "checkpoints" in str(path)
        ):
            saves.append(path)
            if len(saves) == 4:
                raise OSError(28, "No space left on device")
        real(path, data)

    monkeypatch.setattr(atomic_files, "_write_through", full)
    with pytest.raises(StorageError, match="the disk is full"):
        start(keys(**{"checkpoint.steps": 1}))
    folder = only_folder(tmp_path / "run")
    assert Checkpoints(folder / "checkpoints").newest().damaged == ()
    assert open_folder(folder).events()[-1]["error"] == "StorageError"
    assert outcome(api.resume(folder, registry=registry).folder)["result"]["genotype_digest"]


def test_what_there_is_of_the_network_is_on_the_disk_while_it_is_trained(keys, start, registry):
    folder = start(keys(**{"checkpoint.steps": 1}), at=Stopping("retrain-epoch", 1))
    assert {"genotype.json", "policy.txt"} <= {path.name for path in folder.iterdir()}
    from safetensors import safe_open

    with safe_open(folder / "weights.safetensors", "pt") as file:
        assert file.metadata()["state"] == "in training"
    api.resume(folder, registry=registry)
    with safe_open(folder / "weights.safetensors", "pt") as file:
        assert file.metadata()["state"] == "trained"


def test_all_generators_go_on():
    memory = RunMemory()
    with memory.under_way("part", lambda: 1):
        saved = memory.state_dict()
    drawn = [random.random(), np.random.rand(), torch.rand(1).item()]  # noqa: NPY002
    random.seed(9)
    np.random.seed(9)  # noqa: NPY002
    torch.manual_seed(9)
    with RunMemory(saved).under_way("part", lambda: 1) as state:
        assert state == 1
        again = [random.random(), np.random.rand(), torch.rand(1).item()]  # noqa: NPY002
    assert again == drawn


def test_a_stopped_run_has_saved_within_its_folder_alone(keys, start):
    folder = start(keys(), at=Stopping("evaluate-epoch", 1))
    names = {path.name for path in folder.iterdir()}
    assert {"config.yaml", "events.jsonl", "checkpoints", "run.lock"} <= names
    state = Checkpoints(folder / "checkpoints").newest().state
    assert state["run"]["under_way"]["run"]["told"][-1] == "stage-started/search"
    assert json.dumps(state["identity"])
