"""Search spaces, searchers and the plugin platform of medpipe.

Names are imported on first use, so that describing a space, listing plugins or checking a
configuration never waits for torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from medpipe_core.api import run
    from medpipe_core.errors import MedpipeError, MissingExtraError, did_you_mean
    from medpipe_core.execution import RunResult, export_model, load_model
    from medpipe_core.plugins import Registered, Registrar, Registry, hookimpl, load_plugins
    from medpipe_core.regular_files import open_regular_file, read_regular_file
    from medpipe_core.search import Outcome, Searcher
    from medpipe_core.seeding import child_seed
    from medpipe_core.space import (
        Budget,
        Catalogue,
        Choice,
        Genotype,
        Group,
        Limit,
        Mutable,
        Operation,
        OperationChoice,
        Ref,
        Repeat,
        SearchSpace,
        Shared,
        SpaceError,
        ValueChoice,
        allowed_augmentations,
        compose,
        declared_choices,
        forbid,
        offered,
        operation,
        widths,
    )
    from medpipe_core.supernet import (
        Augmentation,
        Decision,
        Fusion,
        Policy,
        ResourceMeter,
        Resources,
        Supernet,
        Symmetry,
        build_network,
        build_policy,
        resources,
    )

__all__ = [
    "Augmentation",
    "Budget",
    "Catalogue",
    "Choice",
    "Decision",
    "Fusion",
    "Genotype",
    "Group",
    "Limit",
    "MedpipeError",
    "MissingExtraError",
    "Mutable",
    "Operation",
    "OperationChoice",
    "Outcome",
    "Policy",
    "Ref",
    "Registered",
    "Registrar",
    "Registry",
    "Repeat",
    "ResourceMeter",
    "Resources",
    "RunResult",
    "SearchSpace",
    "Searcher",
    "Shared",
    "SpaceError",
    "Supernet",
    "Symmetry",
    "ValueChoice",
    "allowed_augmentations",
    "build_network",
    "build_policy",
    "child_seed",
    "compose",
    "declared_choices",
    "did_you_mean",
    "export_model",
    "forbid",
    "hookimpl",
    "load_model",
    "load_plugins",
    "offered",
    "open_regular_file",
    "operation",
    "read_regular_file",
    "resources",
    "run",
    "widths",
]

_ROOMS = {
    "api": ("run",),
    "execution": ("RunResult", "export_model", "load_model"),
    "errors": ("MedpipeError", "MissingExtraError", "did_you_mean"),
    "plugins": ("Registered", "Registrar", "Registry", "hookimpl", "load_plugins"),
    "regular_files": ("open_regular_file", "read_regular_file"),
    "search": ("Outcome", "Searcher"),
    "seeding": ("child_seed",),
    "space": (
        "Budget",
        "Catalogue",
        "Choice",
        "Genotype",
        "Group",
        "Limit",
        "Mutable",
        "Operation",
        "OperationChoice",
        "Ref",
        "Repeat",
        "SearchSpace",
        "Shared",
        "SpaceError",
        "ValueChoice",
        "allowed_augmentations",
        "compose",
        "declared_choices",
        "forbid",
        "offered",
        "operation",
        "widths",
    ),
    "supernet": (
        "Augmentation",
        "Decision",
        "Fusion",
        "Policy",
        "ResourceMeter",
        "Resources",
        "Supernet",
        "Symmetry",
        "build_network",
        "build_policy",
        "resources",
    ),
}
_ROOM_OF = {name: room for room, names in _ROOMS.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _ROOM_OF:
        raise AttributeError(f"module 'medpipe_core' has no attribute {name!r}")
    return getattr(importlib.import_module(f"medpipe_core.{_ROOM_OF[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
