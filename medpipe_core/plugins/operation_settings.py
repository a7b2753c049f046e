"""Settings that a space gives to an operation, held to what its factory takes."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from medpipe_core.errors import did_you_mean
from medpipe_core.plugins.errors import ParameterError
from medpipe_core.plugins.parameters import check

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from medpipe_core.plugins.registry_entry import Entry


def settings_problems(
    entry: Entry, settings: Mapping[str, Sequence[Any]], context: Mapping[str, Any]
) -> list[str]:
    """Return what is wrong with settings that an operation's factory is called with.

    Args:
        entry: The operation.
        settings: Name → each value that a genotype may give it.
        context: What the parameters' model is validated with.
    """
    model = entry.parameters()
    taken = {*model.model_fields, *_keywords(entry.load())}
    problems = [
        f"it takes no parameter {name!r}.{did_you_mean(name, taken)}".removesuffix(".")
        for name in settings
        if name not in taken and _ANY not in taken
    ]
    checked = {name: values for name, values in settings.items() if name in model.model_fields}
    for given in _in_turns(checked):
        try:
            check(model, given, entry.name, context)
        except ParameterError as error:
            problems += error.problems
    return list(dict.fromkeys(problems))


_ANY = "**"


def _keywords(factory: Callable[..., Any]) -> Iterator[str]:
    """Iterate over what a factory can be handed by name; `**` stands for anything."""
    try:
        parameters = inspect.signature(factory).parameters.values()
    except (TypeError, ValueError):  # something callable that does not tell
        yield _ANY
        return
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    for position, parameter in enumerate(parameters):
        if parameter.kind is parameter.VAR_KEYWORD:
            yield _ANY
        # What comes first and has no default is handed over: the channels that reach a block.
        elif parameter.kind in named and (position or parameter.default is not parameter.empty):
            yield parameter.name


def _in_turns(settings: Mapping[str, Sequence[Any]]) -> Iterator[dict[str, Any]]:
    """Iterate over settings in which each value of each name comes up."""
    rounds = max((len(values) for values in settings.values()), default=1)
    for turn in range(rounds):
        yield {name: values[turn % len(values)] for name, values in settings.items()}
