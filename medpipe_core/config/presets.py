"""The presets: keys and values that apply before the user's own.

A preset says how long a run takes, not what is searched. What a space, searcher or dataset adds
to a preset stands in its own parameter model, as `presets: ClassVar[Mapping[str, Mapping[str,
Any]]]`: preset → its own keys (without `space.` and the like) → value.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

PRESETS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "quick": MappingProxyType(
            {
                # Its networks are so small that threads wait for each other more than they compute.
                "threads": 1,
                "search.epochs": 2,
                "search.candidates": 4,
                "search.weights_lr": 3e-3,
                "search.trial_epochs": 4,
                "evaluate.top_k": 3,
                "evaluate.epochs": 8,
                "evaluate.min_steps": 180,
                "evaluate.validate_every": 8,
                "evaluate.rank_by": "auc",
                "evaluate.lr": 3e-3,
                "evaluate.inherit": True,
                "retrain.epochs": 44,
                "retrain.min_steps": 1400,
                # At 4e-3 and above a policy of many layers kept some trainings at chance for ten to
                # twenty epochs.
                "retrain.lr": 2e-3,
                "retrain.grad_clip": 1.0,
                "retrain.average": 0.98,
                "test.average": "symmetries",
                "test.resamples": 500,
            }
        ),
        "laptop": MappingProxyType(
            {
                "search.epochs": 12,
                "search.warmup_epochs": 3,
                "search.candidates": 4,
                "search.weights_lr": 3e-3,
                "search.min_steps": 400,
                "evaluate.top_k": 8,
                "evaluate.epochs": 10,
                "evaluate.min_steps": 300,
                "evaluate.validate_every": 10,
                "evaluate.rank_by": "auc",
                "evaluate.lr": 3e-3,
                "evaluate.inherit": True,
                "retrain.epochs": 80,
                "retrain.min_steps": 3000,
                "retrain.lr": 3e-3,
                "retrain.weight_decay": 0.05,
                "retrain.average": 0.99,
            }
        ),
        "paper": MappingProxyType(
            {
                "search.epochs": 50,
                "search.weights_lr": 3e-4,
                "search.candidates": 1,
                "evaluate.top_k": 5,
                "evaluate.epochs": 10,
                "evaluate.lr": 1e-3,
                "retrain.epochs": 200,
                "retrain.lr": 1e-3,
            }
        ),
    }
)

SUMMARIES: Mapping[str, str] = MappingProxyType(
    {
        "quick": "everything in about two minutes on one core, to see it work",
        "laptop": "half an hour or so for a set of 28³ volumes on two cores",
        "paper": "the paper's epochs and learning rates; wants a GPU",
    }
)
