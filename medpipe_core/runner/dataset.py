"""The dataset of a run, made with what it takes of the run's keys `data.*`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from medpipe_core.plugins import REGISTRY

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from medpipe_core.plugins import Entry, Registry
    from medpipe_core.runner.config import Configuration
    from medpipe_core.runner.settings import DataKeys


def make_dataset(configuration: Configuration, registry: Registry) -> Any:
    """Make the dataset that a configuration names.

    Of `data.root`, `data.download` and `data.strict` it is handed those that its settings or the
    signature of its factory name.

    Raises:
        ParameterError: Its parameters do not fit.
        PluginError: It cannot be imported, or its factory raised an error of its own.
    """
    entry = registry.entry("dataset", configuration.dataset)
    data = configuration.keys.data.model_dump()
    shared = {key: data[key] for key in entry.takes(data) if data[key] is not None}
    model = entry.parameters().model_fields
    known = {key: value for key, value in shared.items() if key in model}
    parameters = {**configuration.parameters["dataset"], **known}
    return entry.make(**{**shared, **entry.arguments(parameters, {REGISTRY: registry})})


def not_taken(entry: Entry, given: Mapping[str, Any], keys: DataKeys) -> Iterator[str]:
    """Iterate over what is wrong with the keys `data.*` that were given: nobody would read them.

    Args:
        entry: The dataset.
        given: The keys of the run that were given, dotted.
        keys: All keys `data.*`, checked.

    Raises:
        PluginError: Its factory cannot be imported.
    """
    values, defaults = keys.model_dump(), type(keys)().model_dump()
    asked = [key for key in values if f"data.{key}" in given and values[key] != defaults[key]]
    if not asked:
        return
    taken = entry.takes(values)
    does = ", ".join(f"data.{key}" for key in sorted(taken)) or "none of data.*"
    for key in asked:
        if key not in taken:
            yield (
                f"data.{key}: dataset {entry.name!r} does not take it (it takes {does}); leave it "
                f"out, or give the dataset's factory a keyword {key!r}"
            )
