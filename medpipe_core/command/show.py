"""What `medpipe show` tells of one registered name."""

from __future__ import annotations

import inspect
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from pydantic.errors import PydanticUserError

from medpipe_core.config import yaml_values
from medpipe_core.config.errors import ConfigurationError
from medpipe_core.plugins import ParameterError, list_parameters
from medpipe_core.report.text_columns import origin, section
from medpipe_core.space import MEANINGS, SpaceError, declared_changes, declared_choices

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from medpipe_core.plugins import Entry, Registry

# What is told of these must not wait for torch, which their factories import.
_HEAVY = ("searcher", "dataset")


def content(
    registry: Registry, kind: str, name: str, settings: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return what there is to tell of a registered name, as plain data.

    Args:
        registry: Who knows it.
        kind: Its kind.
        name: Its name.
        settings: Of a space, the settings to show it with.

    Raises:
        ConfigurationError: The settings do not fit the space.
        UnknownNameError: There is no such name.
        PluginError: It cannot be imported.
    """
    entry = registry.entry(kind, name)
    parameters = {p.name: asdict(p) for p in list_parameters(entry.parameters())}
    told = {
        **origin(entry),
        "summary": _summary(entry),
        "parameters": parameters,
        "schema": _schema(entry),
    }
    if entry.kind == "space":
        told |= _space(registry, entry, settings or {})
    if entry.kind in ("augmentation", "block"):
        told |= _searchable(entry)
    if entry.kind == "augmentation":
        changes = declared_changes(entry.load())
        told["changes"] = None if changes is None else sorted(changes)
    if entry.kind == "searcher":
        told["keys"] = dict(getattr(entry.parameters(), "run_keys", {}))
    return told


def lines(content: dict[str, Any]) -> Iterator[str]:
    """Return the same for people to read."""
    yield "{kind} {name} of {distribution} {version} (plugin {plugin})".format_map(content)
    if content["summary"]:
        yield content["summary"]
    yield from section("parameters", map(_parameter_row, content["parameters"].values()))
    if "choices" in content:
        yield from section("space", _space_rows(content))
        rows = ((c["path"], c["kind"], ", ".join(c["keys"])) for c in content["choices"])
        yield from section(f"{len(content['choices'])} choices", rows)
    yield from section("known to be good (searcher.known=[NAME])", _known_rows(content))
    if "unknown" in content:
        yield from ("", f"choices and size depend on parameters: {content['unknown']}")
    searchable = content.get("searchable", {}).items()
    if "changes" in content:
        yield from section("changes", _change_rows(content["changes"]))
    keys = content.get("keys", {}).items()
    yield from section(
        "keys of the run that it sets, unless given", ((k, yaml_values.write(v)) for k, v in keys)
    )
    yield from section("searchable", (_searchable_row(name, told) for name, told in searchable))


def _summary(entry: Entry) -> str:
    if entry.summary or entry.kind in _HEAVY:
        return entry.summary
    documented = getattr(entry.load(), "__doc__", None) or ""
    return next(iter(inspect.cleandoc(documented).splitlines()), "")


def _schema(entry: Entry) -> dict[str, Any] | None:
    """Return the JSON schema of an entry's parameters; None where a type has none."""
    try:
        return entry.parameters().model_json_schema()
    except PydanticUserError:
        return None


def _space(registry: Registry, entry: Entry, settings: Mapping[str, Any]) -> dict[str, Any]:
    try:
        space = registry.space(entry.name, **settings)
    except ParameterError as error:
        if settings:
            raise ConfigurationError(error.problems) from None
        return {"unknown": "; ".join(error.problems)}  # it has parameters without a default
    except SpaceError as error:
        raise ConfigurationError([f"space {entry.name!r}: {error}"]) from error
    return {
        "size": space.size(),
        "distinct_size": space.distinct_size(),
        "digest": space.digest,
        "budget": space.budget and asdict(space.budget),
        "constraints": list(map(str, space.constraints)),
        "known": {name: dict(choices) for name, choices in space.known.items()},
        "choices": [
            {"path": choice.path, "kind": choice.kind, "keys": list(choice.keys)}
            for choice in space.choices.values()
        ],
    }


def _known_rows(content: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, choices in content.get("known", {}).items():
        yield name, ", ".join(f"{path} {key}" for path, key in choices.items())


def _searchable(entry: Entry) -> dict[str, Any]:
    """Tell the searchable parameters that an operation declares."""
    return {
        "searchable": {
            name: {
                "values": list(choice.keys),
                "limits": choice.declaration.limits,
                "unit": choice.declaration.unit,
                "description": choice.declaration.description,
                "schema": choice.declaration.schema(),
            }
            for name, choice in declared_choices(entry.load()).items()
        }
    }


def _searchable_row(name: str, told: dict[str, Any]) -> tuple[str, ...]:
    return name, ", ".join(told["values"]), told["unit"], told["limits"], told["description"]


def _change_rows(changes: Sequence[str] | None) -> Iterator[tuple[str, str]]:
    if changes is None:
        yield "?", "it does not say, so it is refused where something is forbidden"
    elif not changes:
        yield "-", "nothing that can be forbidden"
    for word in changes or ():
        yield word, MEANINGS.get(word, "")


def _parameter_row(parameter: dict[str, Any]) -> tuple[str, ...]:
    default = "required" if parameter["required"] else yaml_values.write(parameter["default"])
    kind = f"{parameter['type']} {parameter['limits']}".rstrip()
    return parameter["name"], kind, default, parameter["description"]


def _space_rows(content: dict[str, Any]) -> Iterator[tuple[str, str]]:
    yield "size", f"{content['size']:,}"
    yield "distinct", f"{content['distinct_size']:,}, an operation that does nothing counted once"
    yield "digest", content["digest"]
    for name, limit in (content["budget"] or {}).items():
        if limit is not None:
            yield "budget", f"at most {limit:,} {name.replace('_', '-')}"
    for constraint in content["constraints"]:
        yield "constraint", constraint
