"""Which of the keys `data.*` a dataset takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from medpipe_core.config.settings import DataKeys
    from medpipe_core.plugins import Entry

FOLDS = {"fold", "folds"}
"""Keys that every dataset has: of one that does not take them, folds are made of what it gives."""


def not_taken(entry: Entry, given: Mapping[str, Any], keys: DataKeys) -> Iterator[str]:
    """Iterate over what is wrong with the keys `data.*` that were given: nobody would read them.

    Args:
        entry: The dataset.
        given: The keys of the run that were given, dotted.
        keys: All keys `data.*`, checked.

    Raises:
        PluginError: Its factory cannot be imported.
    """
    values, defaults = keys.model_dump(exclude=FOLDS), type(keys)().model_dump()
    if keys.fold is None and "data.folds" in given and keys.folds != defaults["folds"]:
        yield "data.folds: says nothing without data.fold; give the fold, such as data.fold=0"
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
