"""How often a run is saved, and what a signal does between two steps."""

from __future__ import annotations

import signal

import pytest

from medpipe_core.config.errors import Interrupted, StorageError
from medpipe_core.config.settings import CheckpointKeys
from medpipe_core.execution.checkpointing import CheckpointedMemory
from medpipe_core.execution.run_memory import RunMemory
from medpipe_core.execution.signals import Stop


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def memory_of(clock):
    def make(*, stop=None, cost=0.0, **keys):
        written = []

        def write(state):
            clock.now += cost
            written.append(state)

        keys = CheckpointKeys(**{"seconds": None, **keys})
        return CheckpointedMemory(keys, write, stop=stop, clock=clock), written

    return make


def test_it_is_saved_by_time(memory_of, clock):
    memory, written = memory_of(seconds=60)
    for _ in range(10):
        clock.now += 25
        memory.between_steps()
    assert len(written) == 3


def test_it_is_saved_by_steps(memory_of):
    memory, written = memory_of(steps=4)
    for _ in range(9):
        memory.between_steps()
    assert len(written) == 2
    memory.finish("one", 1)
    memory.finish("two", 2)
    memory.waiting()
    assert len(written) == 2
    memory.finish("three", 3)
    memory.waiting()
    assert len(written) == 3


def test_where_saving_is_slow_it_takes_a_fiftieth_of_the_time_at_most(memory_of, clock):
    memory, written = memory_of(seconds=60, cost=10.0)
    while clock.now < 10_000:
        clock.now += 1
        memory.between_steps()
    assert 10 * len(written) <= 10_000 / 50


def test_a_signal_is_answered_after_saving(memory_of):
    stop = Stop(lambda _: None)
    memory, written = memory_of(stop=stop)
    with memory.stepping(), memory.under_way("part", lambda: 7):
        memory.between_steps()
        stop.take(signal.SIGTERM)
        assert written == []
        with pytest.raises(Interrupted):
            memory.between_steps()
    assert written[0]["under_way"] == {"part": 7}


def test_an_error_of_a_save_is_not_swallowed(clock):
    def write(_):
        raise StorageError("the disk is full")

    memory = CheckpointedMemory(CheckpointKeys(steps=1), write, clock=clock)
    with pytest.raises(StorageError, match="the disk is full"):
        memory.between_steps()


def test_what_is_finished_gives_its_result_and_what_was_under_way_its_state():
    memory = RunMemory()
    memory.finish("stage/one", 1)
    with memory.under_way("stage/two", lambda: 2) as saved:
        assert saved is None
        state = memory.state_dict()
    again = RunMemory(state)
    assert again.result("stage/one") == 1
    assert again.result("stage/two") is None
    # Before it is taken up it is part of what is saved; afterwards its state of then is.
    assert again.state_dict()["under_way"] == {"stage/two": 2}
    with again.under_way("stage/two", lambda: 3) as saved:
        assert saved == 2
        assert again.state_dict()["under_way"] == {"stage/two": 3}
        assert again.states("stage/") == [3]
    again.forget("stage/")
    assert again.result("stage/one") is None
