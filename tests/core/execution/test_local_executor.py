"""Trials in the run's own process and in several: the same records."""

from __future__ import annotations

import os
import signal

import pytest
from safetensors.torch import load_file

import medpipe_core as mp
from medpipe_core.config import ConfigurationError
from medpipe_core.config.errors import Interrupted
from medpipe_core.events import silent
from medpipe_core.execution import worker_pool
from medpipe_core.execution.executor import ExecutorError
from medpipe_core.execution.local_executor import LocalExecutor


def told(records):
    return {r.trial.genotype.digest: (r.figures, r.failed) for r in records}


@pytest.mark.slow
def test_two_processes_return_the_records_of_one(context, development, trial_of, in_two):
    trials = [trial_of(number, epochs=2) for number in range(5)]
    with LocalExecutor(context) as alone:
        expected = told(alone.run(trials, development, silent))
    assert told(in_two.run(trials, development, silent)) == expected


def test_weights_and_events_come_back(context, development, trial_of, in_two):
    trial = trial_of(1, epochs=2, keep_weights=True)
    events = {"alone": [], "in two": []}
    with LocalExecutor(context) as alone:
        here = alone.run_one(trial, development, lambda e, **f: events["alone"].append((e, f)))
    there = in_two.run_one(trial, development, lambda e, **f: events["in two"].append((e, f)))
    assert here.weights.keys() == there.weights.keys()
    assert all(here.weights[n].equal(there.weights[n]) for n in here.weights)
    for rows in events.values():
        for _, fields in rows:
            fields.pop("seconds")
    assert events["alone"] == events["in two"]
    assert [event for event, _ in events["in two"]] == ["evaluate-epoch"] * 2


def test_trials_may_be_decided_by_the_records_so_far(development, trial_of, in_two):
    done = []

    def trials():
        for number in range(4):
            yield trial_of(number)
            if len(done) >= 2:
                return

    for record in in_two.run(trials(), development, silent):
        done.append(record)
    assert 2 <= len(done) <= 4


@pytest.mark.slow
def test_a_process_that_is_killed_three_times_fails_its_trial_and_no_other(
    development, trial_of, in_two
):
    trials = [trial_of(0, epochs=100_000), trial_of(3)]
    killed, warned = [], []

    def kill(event, **fields):
        if event == "trial-warning":
            warned.append(fields["message"])
            return
        worker = next((w for w in in_two._pool._workers if w.trial is trials[0]), None)
        if worker is not None and worker not in killed:
            killed.append(worker)
            os.kill(worker._process.pid, signal.SIGKILL)

    records = {r.trial: r for r in in_two.run(trials, development, kill)}
    assert "its process ended 3 times, the last time with signal 9" in records[trials[0]].failed
    assert not records[trials[1]].failed
    assert len(killed) == 3
    assert len(warned) == 2
    again = in_two.run_one(trial_of(5), development, silent)
    assert not again.failed


@pytest.mark.slow
def test_a_process_that_never_gets_ready_is_told(context, development, trial_of):
    with LocalExecutor(context, workers=2) as executor:
        executor._pool._configuration = "space: no-such-space\n"
        with pytest.raises(ExecutorError, match=r"no-such-space"):
            executor.run_one(trial_of(), development, silent)


@pytest.mark.slow
def test_a_process_that_is_killed_once_changes_nothing(context, development, trial_of, in_two):
    trials = [trial_of(0, epochs=6), trial_of(3)]
    with LocalExecutor(context) as alone:
        expected = told(alone.run(trials, development, silent))
    killed = []

    def kill(event, **_):
        worker = next((w for w in in_two._pool._workers if w.trial is trials[0]), None)
        if worker is not None and not killed:
            killed.append(worker)
            os.kill(worker._process.pid, signal.SIGKILL)

    assert told(in_two.run(trials, development, kill)) == expected
    assert killed


def test_a_process_whose_trial_takes_too_long_is_killed(trial_of, monkeypatch):
    class Busy:
        def __init__(self, began):
            self.trial, self.began, self.killed = trial_of(), began, False

        def kill(self):
            self.killed = True

    pool = worker_pool.WorkerPool("", 2, hours=1)
    now = worker_pool.time.monotonic()
    pool._workers = [Busy(now), Busy(now - 3600 - 361)]
    pool._end_late()
    assert [worker.killed for worker in pool._workers] == [False, True]


def test_a_signal_is_heard_while_processes_work(development, trial_of, in_two):
    asked = []

    def between():
        asked.append(1)
        if len(asked) == 3:
            raise Interrupted(15)

    records = in_two._pool.run([trial_of(0, epochs=100_000)], silent, between)
    with pytest.raises(Interrupted):
        next(records)
    assert all(worker.trial is None for worker in in_two._pool._workers)


def test_a_retraining_runs_here_where_it_can_be_gone_on_with(development, trial_of, in_two):
    before = len(in_two._pool._workers)
    record = in_two.run_one(trial_of(purpose="retrain", epochs=1), development, silent)
    assert not record.failed
    assert in_two._runner is not None
    assert len(in_two._pool._workers) == before


@pytest.mark.slow
def test_what_is_left_running_is_ended(development, trial_of, in_two):
    trials = [trial_of(0, epochs=100_000), trial_of(1)]
    records = in_two.run(trials, development, silent)
    assert next(records).trial is trials[1]
    records.close()
    assert all(worker.trial is None for worker in in_two._pool._workers)
    assert not in_two.run_one(trial_of(2), development, silent).failed


def test_what_was_made_in_this_process_cannot_be_run_in_others(registry, tmp_path):
    space = registry.space("toy", width=2)
    mine = mp.compose("mine", network=space)
    with pytest.raises(ConfigurationError, match=r"executor\.workers=2: space 'mine' was made"):
        mp.run(
            space=mine, dataset="toy", registry=registry,
            **{"executor.workers": 2, "run.root": str(tmp_path / "runs")},
        )  # fmt: skip
    assert not (tmp_path / "runs").exists()


@pytest.mark.slow
def test_a_run_with_two_workers_is_the_run_with_one(toy_values, tmp_path):
    results = [
        mp.run(**{**toy_values, "run.root": str(tmp_path / str(n)), "executor.workers": n})
        for n in (1, 2)
    ]
    contents = [{**r.content, "seconds": None} for r in results]
    assert contents[0] == contents[1]
    one, two = (load_file(r.folder / "weights.safetensors") for r in results)
    assert one.keys() == two.keys()
    assert all(one[name].equal(two[name]) for name in one)


def test_processes_start_when_there_is_a_trial_for_them(context, trial_of, monkeypatch):
    started = []

    class Absent:
        def __init__(self, configuration):
            started.append(configuration)
            raise ExecutorError("not here")

    monkeypatch.setattr(worker_pool, "Worker", Absent)
    with LocalExecutor(context, workers=2) as executor:
        assert started == []
        with pytest.raises(ExecutorError, match="not here"):
            executor.run_one(trial_of(), None, silent)
    assert started == [context.configuration.to_yaml()]
