from __future__ import annotations

import threading
import time

import pytest
import torch

from medpipe_plugins import threads


@pytest.fixture(params=["torch's threads", "threads of its own"], autouse=True)
def team(request, monkeypatch):
    if request.param == "threads of its own":
        monkeypatch.setattr(threads, "_gnu_team", lambda: None)
    elif threads._gnu_team() is None:
        pytest.skip("torch uses another OpenMP here")


def test_shares_cover_everything_once():
    assert threads.shares(10, 3) == [(0, 3), (3, 6), (6, 10)]
    assert threads.shares(2, 5) == [(0, 1), (1, 2)]
    assert threads.shares(0, 2) == []


@pytest.mark.parametrize("count", [0, 1, 2, 3, 20])
def test_every_bound_is_done_once(count):
    done = []
    threads.in_threads(lambda a, b: done.append((a, b)), [(n, n + 1) for n in range(count)])
    assert sorted(done) == [(n, n + 1) for n in range(count)]


def test_a_single_bound_is_done_in_this_thread():
    names = []
    threads.in_threads(lambda _: names.append(threading.get_native_id()), [(0,)])
    assert names == [threading.get_native_id()]


def test_two_bounds_are_done_at_once():
    together = threading.Barrier(2)
    threads.in_threads(lambda _: together.wait(timeout=20), [(0,), (1,)])
    assert not together.broken


def test_no_threads_remain_that_were_not_there():
    torch.rand(1_000_000).exp()  # torch starts its own
    before = threading.active_count()
    threads.in_threads(lambda _: time.sleep(0.01), [(0,), (1,)])
    assert threading.active_count() == before


@pytest.mark.parametrize("error", [ValueError, IndexError, KeyboardInterrupt])
def test_an_error_is_raised_when_all_have_ended(error):
    done = []

    def work(number):
        if number == 0:
            raise error("no")
        time.sleep(0.05)
        done.append(number)

    with pytest.raises(error, match="no"):
        threads.in_threads(work, [(0,), (1,), (2,)])
    assert sorted(done) == [1, 2]
