"""Signals."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from medpipe_core.config.errors import Interrupted
from medpipe_core.execution.signals import stopping


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["int", "term"]
)
def test_a_signal_stops_at_the_next_event(number, code):
    told = []
    with stopping(told.append) as stop:
        stop("search-step")
        os.kill(os.getpid(), number)
        assert told == [number]
        with pytest.raises(Interrupted) as caught:
            stop("search-step")
    assert caught.value.exit_code == code


def test_a_second_signal_stops_at_once():
    with stopping(lambda _: None):
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
            stop("event")
        finished.set()

    finished = threading.Event()
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert finished.is_set()


def test_what_catches_errors_does_not_catch_an_interruption():
    assert not issubclass(Interrupted, Exception)
