"""Run folders made by hand."""

from __future__ import annotations

import itertools
import json

import pytest

SETTINGS = {
    "space": "toy", "searcher": "random", "dataset": "phantom3d", "preset": "quick", "seed": 0,
    "run.root": "runs", "search.epochs": 2, "dataset.size": 8,
}  # fmt: skip


@pytest.fixture
def make_run(tmp_path):
    """Return a function that makes a run's folder: `make_run(seed=…, test=…, settings={…})`."""
    numbers = itertools.count()

    def make(
        *,
        seed=0,
        test=0.8,
        regret=None,
        bests=(),
        scores=(),
        choices=None,
        steps=(4, 6, 10),
        seconds=(1.0, 2.0, 3.0),
        settings=None,
        root=tmp_path / "runs",
    ):
        folder = root / f"{next(numbers):04}-s{seed}"
        folder.mkdir(parents=True)
        own = {**SETTINGS, **(settings or {}), "seed": seed}
        lines = [f"{key}: {json.dumps(value)}\n" for key, value in own.items()]
        (folder / "config.yaml").write_text("".join(lines))
        stages = ("search", "evaluate", "retrain")
        result = {
            "seed": seed, "dataset": own["dataset"], "searcher": own["searcher"],
            "space_digest": "abc", "genotype": {"choices": choices or {"layer": "conv"}},
            "test": {"accuracy": {"value": test, "low": 0.1, "high": 0.9}, "auc": None},
            "validation": {"accuracy": 0.5}, "seconds": dict(zip(stages, seconds, strict=True)),
            "candidates": [
                {"search": {"score": one}, "validation": {"score": other}, "failed": ""}
                for one, other in scores
            ],
        }  # fmt: skip
        result |= {} if regret is None else {"regret": regret}
        (folder / "result.json").write_text(json.dumps(result))
        events = [{"event": "search-step"}] * steps[0]
        events += [
            {"event": "search-best", "steps": s, "seconds": t, "regret": r} for s, t, r in bests
        ]
        events += [{"event": "evaluate-epoch", "steps": steps[1] / 2}] * 2
        events += [{"event": "retrain-epoch", "steps": steps[2]}]
        (folder / "events.jsonl").write_text("".join(f"{json.dumps(e)}\n" for e in events))
        (folder / "environment.json").write_text(json.dumps({"device": "cpu"}))
        return folder

    return make
