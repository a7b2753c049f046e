"""A run made again, compared figure by figure."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from medpipe_core.config.errors import RunFolderError
from medpipe_core.regular_files import read_regular_file

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from medpipe_core.record.run_folder import RunFolder

_TIMES = ("seconds",)
_MACHINE = ("python", "platform", "machine", "cores", "device", "threads")


def compare_runs(first: RunFolder, again: RunFolder) -> dict[str, Any]:
    """Return what is the same and what is not, as plain data.

    Args:
        first: A finished run.
        again: The same, made once more.

    Returns:
        `figures`, how many were compared; `differences`, each with `what`, `first`, `again`;
        `weights`, whether those are equal byte by byte; `surroundings`, what differs between the
        machines, versions and threads of the two.
    """
    one, other = _leaves(first.result()), _leaves(again.result())
    names = [name for name in dict.fromkeys([*one, *other]) if not _is_time(name)]
    weights = [_weights(run) for run in (first, again)]
    return {
        "first": str(first.path),
        "again": str(again.path),
        "figures": len(names),
        "differences": list(_differences(one, other, names)),
        "weights": weights[0] == weights[1],
        "surroundings": list(surroundings(first.environment(), again.environment())),
    }


def searched_as(events: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the keys under which a run with a budget searches for as long as it did.

    How many epochs an hour has depends on the machine; the journal tells how many they were.
    """
    keys: dict[str, Any] = {}
    for event in events:
        if event["event"] == "budget":
            keys |= {f"search.{unit}": None for unit in ("hours", "trials", "steps")}
            keys |= {f"search.{name}": event[name] for name in ("epochs", "candidates")}
        elif event["event"] == "search-ended":
            keys["search.stop_after"] = event["epoch"]
    return keys


def surroundings(first: Mapping[str, Any], again: Mapping[str, Any]) -> Iterator[str]:
    """Say what differs between what two runs ran on."""
    for name in _MACHINE:
        if first.get(name) != again.get(name):
            yield f"{name}: {first.get(name)} then, {again.get(name)} now"
    versions = [dict(told.get("versions") or {}) for told in (first, again)]
    for name in dict.fromkeys([*versions[0], *versions[1]]):
        then, now = (told.get(name) for told in versions)
        if then != now:
            yield f"{name}: version {then} then, {now} now"


def comparison_lines(compared: Mapping[str, Any]) -> Iterator[str]:
    """Return a comparison as lines for people."""
    found = compared["differences"]
    same = compared["figures"] - len(found)
    yield f"{same} of {compared['figures']} figures are the same"
    yield from (f"  {d['what']}: {d['first']} then, {d['again']} now" for d in found)
    yield f"the weights are {'the same' if compared['weights'] else 'not the same'}"
    if compared["surroundings"]:
        yield "what else differs:"
        yield from (f"  {text}" for text in compared["surroundings"])
    yield f"then: {compared['first']}"
    yield f"now:  {compared['again']}"


def _weights(run: RunFolder) -> bytes:
    path = run.checked(run.WEIGHTS)
    try:
        return read_regular_file(path)
    except OSError as error:
        raise RunFolderError(f"cannot read {path}: {error.strerror or error}") from error


def _differences(
    one: Mapping[str, Any], other: Mapping[str, Any], names: list[str]
) -> Iterator[dict[str, Any]]:
    missing = object()
    for name in names:
        then, now = one.get(name, missing), other.get(name, missing)
        if not _same(then, now):
            shown = ["not there" if value is missing else value for value in (then, now)]
            yield {"what": name, "first": shown[0], "again": shown[1]}


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, float) and isinstance(other, float) and math.isnan(one):
        return math.isnan(other)
    return bool(one == other)


def _leaves(value: Any, path: str = "") -> dict[str, Any]:
    """Return every number and text of nested plain data by its path."""
    if isinstance(value, dict):
        pairs = [(str(key), inner) for key, inner in value.items()]
    elif isinstance(value, list):
        pairs = [(str(number), inner) for number, inner in enumerate(value)]
    else:
        return {path: value}
    return {
        name: leaf
        for key, inner in pairs
        for name, leaf in _leaves(inner, f"{path}/{key}" if path else key).items()
    }


def _is_time(name: str) -> bool:
    return any(part in _TIMES for part in name.split("/"))
