"""Signals."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time

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


def test_a_signal_while_torch_is_imported_waits_for_its_end(forked):
    """Raised there, it might come out of C++ that ends the process for it."""
    ended = forked(
        """
import os, signal, sys
from medpipe_core.config.errors import Interrupted
from medpipe_core.execution.signals import stopping

class Within:
    def find_spec(self, name, path=None, target=None):
        if name == "torch.distributed":
            sys.meta_path.remove(self)
            print("within")
            os.kill(os.getpid(), signal.SIGTERM)
            print("goes on")

sys.meta_path.insert(0, Within())
try:
    with stopping(lambda _: print("nobody is to wait")) as stop:
        import torch
        print("imported", torch.nn.Linear.__name__)
        for _ in range(10_000_000):
            pass
        print("lost")
except Interrupted as end:
    print(end.exit_code)
""",
        imported=("json",),
    )
    told = ended.output.splitlines(), ended.problems
    assert told == (["within", "goes on", "imported Linear", "143"], "")


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="a sleep is not woken there")
def test_a_signal_that_is_raised_in_a_finaliser_is_taken_again(capfd):
    class Last:
        def __del__(self):
            os.kill(os.getpid(), signal.SIGTERM)

    def work():
        Last()
        time.sleep(60)

    with stopping(lambda _: pytest.fail("nobody is to wait")), pytest.raises(Interrupted):
        work()
    assert capfd.readouterr().err == ""


def test_what_else_is_raised_in_a_finaliser_is_told_as_before(monkeypatch):
    class Last:
        def __del__(self):
            raise ValueError

    told = []
    monkeypatch.setattr(sys, "unraisablehook", lambda what: told.append(what.exc_type))
    hook = sys.unraisablehook
    with stopping(lambda _: None):
        Last()
    assert told == [ValueError]
    assert sys.unraisablehook is hook


def test_handlers_are_put_back():
    before = signal.getsignal(signal.SIGTERM)
    with stopping(lambda _: None):
        assert signal.getsignal(signal.SIGTERM) != before
    assert signal.getsignal(signal.SIGTERM) == before


@pytest.mark.parametrize("command", ["medpipe_run", "medpipe"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1])
def test_a_signal_after_the_end_does_not_change_how_a_command_ended(command, number):
    """As while Python puts torch away, which takes a second."""
    code = f"""
import os, sys
from medpipe_core.command.{command} import main

class Late:
    def __del__(self, kill=os.kill, me=os.getpid()):
        kill(me, {int(number)})

late = Late()
sys.exit(main(["--version"]))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("medpipe")
    assert not done.stderr


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


def as_modules_of_c_do():
    try:
        signal.raise_signal(signal.SIGTERM)
    except Interrupted:
        raise ImportError("initialization failed") from None


def test_a_signal_that_became_another_error_is_a_signal_still():
    with stopping(print) as stop, pytest.raises(Interrupted) as caught, stop.undisguised():
        as_modules_of_c_do()
    assert caught.value.signal_number == signal.SIGTERM


def full(stop):
    with stop.between_steps():
        signal.raise_signal(signal.SIGTERM)
        raise OSError("full")


def test_an_error_without_a_signal_or_beside_one_that_waits_stays_what_it_is():
    with stopping(print) as stop, pytest.raises(ImportError), stop.undisguised():
        raise ImportError("no such module")
    with stopping(lambda _: None) as stop, pytest.raises(OSError, match="full"), stop.undisguised():
        full(stop)
