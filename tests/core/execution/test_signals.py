"""Signals."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from medpipe_core.config.errors import Interrupted
from medpipe_core.execution.signals import stopping

CODES = pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGUSR1, 75)],
    ids=["int", "term", "usr1"],
)


@CODES
def test_between_steps_a_signal_stops_at_the_next_step(number, code):
    told = []
    with stopping(told.append) as stop, stop.between_steps():
        stop.check()
        os.kill(os.getpid(), number)
        assert told == [number]
        assert stop.asked
        with pytest.raises(Interrupted) as caught:
            stop.check()
    assert caught.value.exit_code == code


@CODES
def test_where_there_are_no_steps_a_signal_stops_at_once(number, code):
    with stopping(lambda _: pytest.fail("nobody is to wait")) as stop:
        with stop.between_steps():
            pass
        with pytest.raises(Interrupted) as caught:
            os.kill(os.getpid(), number)
    assert caught.value.exit_code == code


def test_a_second_signal_stops_at_once():
    with stopping(lambda _: None) as stop, stop.between_steps():
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(Interrupted):
            os.kill(os.getpid(), signal.SIGTERM)


def test_handlers_are_put_back():
    before = signal.getsignal(signal.SIGTERM)
    with stopping(lambda _: None):
        assert signal.getsignal(signal.SIGTERM) != before
    assert signal.getsignal(signal.SIGTERM) == before


def test_outside_the_main_thread_signals_are_left_alone():
    def work():
        with stopping(lambda _: None) as stop:
            stop.check()
        finished.set()

    finished = threading.Event()
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert finished.is_set()


def test_what_catches_errors_does_not_catch_an_interruption():
    assert not issubclass(Interrupted, Exception)
