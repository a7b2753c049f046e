"""Batches that do not fit into memory are split; what cannot fit is told before a run begins."""

from __future__ import annotations

import json

import pytest
import torch

from medpipe_core.command.medpipe_run import main
from medpipe_core.execution import micro_batching
from medpipe_core.memory import free_memory

CPU = torch.device("cpu")


def outcome(tmp_path):
    (folder,) = (tmp_path / "runs").iterdir()
    events = [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]
    return [event for event in events if event["event"] == "micro-batch-warning"]


def test_where_memory_is_short_batches_are_split_and_it_is_told(
    toy_words, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(micro_batching, "free_memory", lambda device: free)
    found = []
    split = micro_batching.MicroBatching._split
    monkeypatch.setattr(
        micro_batching.MicroBatching,
        "_split",
        lambda self, footprint, *words: found.append(footprint) or split(self, footprint, *words),
    )
    free = 2**40
    elsewhere = [word for word in toy_words if not word.startswith("run.root")]
    assert main([*elsewhere, f"run.root={tmp_path / 'first'}"]) == 0
    heaviest = max(found, key=lambda footprint: footprint.of(2))
    free = heaviest.of(3) * 5 // 4 + 1  # a fifth is kept free
    assert main(toy_words) == 0
    told = outcome(tmp_path)
    assert "search" in {event["stage"] for event in told}
    assert min(event["volumes"] for event in told) == 3
    assert "3 volumes at most go through the network at once" in capsys.readouterr().out


def test_what_cannot_fit_ends_before_there_is_a_folder(toy_words, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(micro_batching, "free_memory", lambda device: 1000)
    assert main(toy_words) != 0
    told = capsys.readouterr().err
    assert "search: a training step is estimated to take" in told
    assert "0.00 GiB left, of which a fifth is kept free" in told
    assert "micro_batch=2" in told
    assert not list(tmp_path.glob("runs/*"))
    assert main([*toy_words, "micro_batch=2"]) == 0


@pytest.mark.parametrize("words", [["precision=bfloat16"], ["hold=host"], ["micro_batch=2"]])
def test_a_run_takes_the_keys_of_computing(toy_words, words):
    assert main([*toy_words, *words]) == 0


def test_a_micro_batch_of_one_is_refused(toy_words, capsys):
    assert main([*toy_words, "micro_batch=1"]) != 0
    assert "micro_batch" in capsys.readouterr().err


def test_free_memory_is_what_linux_has_within_the_limits_of_a_container(tmp_path):
    meminfo = tmp_path / "meminfo"
    words = {"meminfo": meminfo, "groups": tmp_path}
    assert free_memory(CPU, **words) is None
    meminfo.write_text("MemTotal: 9 kB\nMemAvailable:      700 kB\n")
    assert free_memory(CPU, **words) == 700 * 1024
    (tmp_path / "memory.current").write_text("1000\n")
    (tmp_path / "memory.max").write_text("max\n")
    assert free_memory(CPU, **words) == 700 * 1024
    (tmp_path / "memory.max").write_text("5000\n")
    assert free_memory(CPU, **words) == 4000
    assert free_memory(torch.device("meta")) is None
