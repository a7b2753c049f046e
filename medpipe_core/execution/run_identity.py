"""What a run follows from: where this has changed, the run cannot be gone on with."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medpipe_core.execution.checked_dataset import make_dataset
from medpipe_core.record.journal import plain_fields
from medpipe_core.regular_files import read_regular_file
from medpipe_core.space.description import operations

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from medpipe_core.config.configuration import Configuration
    from medpipe_core.data import DatasetCard
    from medpipe_core.plugins import Registry
    from medpipe_core.space import SearchSpace

# They say how often a run is saved, where it lies and where volumes wait, not what comes of it.
_FREE = ("checkpoint.", "run.", "data.cache")
_PACKAGES = ("medpipe", "torch", "numpy")


def run_identity(
    configuration: Configuration, registry: Registry, space: SearchSpace, card: DatasetCard
) -> dict[str, dict[str, Any]]:
    """Return what a run follows from, as plain data: group → name → value.

    These are its keys, its space, the data's card, and the versions of the plugins that it uses;
    of plugins that are files, their content.
    """
    groups = ("space", "searcher", "dataset", "executor")
    entries = [registry.entry(group, getattr(configuration, group)) for group in groups]
    used = {entry.distribution: entry.version for entry in entries}
    catalogue = space.catalogue or registry
    used |= dict(catalogue.origin(kind, name) for kind, name in operations(space.root))
    files = {path: _digest(path) for path in configuration.keys.plugins.load}
    plain: dict[str, dict[str, Any]] = plain_fields(
        {
            "key": {k: v for k, v in configuration.flat().items() if not k.startswith(_FREE)},
            "space": _space(space, configuration.parameters["searcher"]),
            "dataset": card.to_dict(),
            "plugin": used,
            "plugin file": files,
            "package": {name: importlib.metadata.version(name) for name in _PACKAGES},
        }
    )
    return plain


def identity_now(configuration: Configuration, registry: Registry) -> dict[str, dict[str, Any]]:
    """Return what a run would follow from if it were gone on with now.

    Raises:
        MedpipeError: Its space or dataset cannot be made.
    """
    space = registry.space(configuration.space, **configuration.parameters["space"])
    card = make_dataset(configuration, registry).card
    return run_identity(configuration, registry, space, card)


def differences(
    before: Mapping[str, Mapping[str, Any]], now: Mapping[str, Mapping[str, Any]]
) -> Iterator[str]:
    """Say what has changed, one text for each thing."""
    for group in dict.fromkeys([*before, *now]):
        old, new = before.get(group, {}), now.get(group, {})
        for name in dict.fromkeys([*old, *new]):
            if old.get(name) != new.get(name) or (name in old) != (name in new):
                yield f"{group} {name}: {_told(old, name)} then, {_told(new, name)} now"


def _space(space: SearchSpace, searcher: Mapping[str, Any]) -> dict[str, Any]:
    given = searcher.get("known") or ()
    names = space.known if given == "space" else [given] if isinstance(given, str) else given
    used = [name for name in names if isinstance(name, str) and name in space.known]
    choices = {f"known {name!r}": _digest_of(space.known[name]) for name in used}
    return {"digest": space.digest, **choices}


def _digest_of(choices: Mapping[str, str]) -> str:
    text = json.dumps(dict(choices), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _digest(path: str) -> str | None:
    try:
        return hashlib.sha256(read_regular_file(Path(path).expanduser())).hexdigest()[:16]
    except OSError:  # it was loaded from elsewhere
        return None


def _told(values: Mapping[str, Any], name: str) -> str:
    return repr(values[name]) if name in values else "not there"
