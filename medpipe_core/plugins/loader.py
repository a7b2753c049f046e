"""Loading plugins one at a time, so that a broken one harms no other.

pluggy calls hooks but isolates nothing: its own discovery stops at the first import error, drops a
second entry point of the same name without a word, and a hook that raises stops the rest. So each
plugin is imported, checked and called alone, and what it registers counts only once it is whole.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import inspect
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pluggy

from medpipe_core.plugins.errors import PluginError
from medpipe_core.plugins.hooks import ENTRY_POINT_GROUP, PROJECT, Hooks
from medpipe_core.plugins.registry import Entry, PluginRecord, Registrar, Registry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator


def load_plugins(
    *, disable: Iterable[str] = (), load: Iterable[str | Path] = (), strict: bool = False
) -> Registry:
    """Load every installed plugin and return what they registered.

    Args:
        disable: Names of entry points or distributions to leave out.
        load: Python files to load as plugins besides the installed ones.
        strict: Raise if any plugin failed.

    Raises:
        PluginError: With `strict`, if a plugin failed; the text has every failure.
    """
    off = set(disable)
    found = sorted([*_installed(), *map(_from_file, load)], key=lambda f: (f.distribution, f.name))
    names = Counter(candidate.name for candidate in found)
    entries: dict[tuple[str, str], Entry] = {}
    records: list[PluginRecord] = []
    for candidate in found:
        if off & {candidate.name, candidate.distribution}:
            records.append(_record(candidate, status="disabled"))
        elif names[candidate.name] > 1:
            records.append(_record(candidate, status="failed", error=_twice(candidate, found)))
        else:
            records.append(_load_one(candidate, entries, records))
    failures = [record.error for record in records if record.status == "failed"]
    if strict and failures:
        raise PluginError("; ".join(failures))
    return Registry(entries, records)


class _Candidate(NamedTuple):
    name: str
    distribution: str
    version: str
    target: str
    load: Callable[[], Any]


def _installed() -> Iterator[_Candidate]:
    seen = set()
    for distribution in importlib.metadata.distributions():
        name = distribution.metadata["Name"] or "unknown"
        if name in seen:  # a shadowed copy further down sys.path
            continue
        seen.add(name)
        for point in distribution.entry_points.select(group=ENTRY_POINT_GROUP):
            yield _Candidate(point.name, name, distribution.version, point.value, point.load)


def _from_file(path: str | Path) -> _Candidate:
    path = Path(path)

    def load() -> Any:
        spec = importlib.util.spec_from_file_location(f"medpipe_plugin_{path.stem}", path)
        if spec is None or spec.loader is None:
            raise ImportError(f"{path} is no Python file")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return _Candidate(path.stem, f"file:{path.name}", "-", str(path), load)


def _load_one(
    candidate: _Candidate, entries: dict[tuple[str, str], Entry], records: list[PluginRecord]
) -> PluginRecord:
    record = _record(candidate, status="loaded")
    registrar = Registrar(record, Registry(entries, records))
    try:
        _call_hook(candidate, registrar)
    except Exception as error:  # a plugin may raise anything; it is quarantined whole
        return _record(candidate, status="failed", error=_failure(candidate, error))
    entries.update(registrar.entries)
    registered = tuple(f"{kind}/{name}" for kind, name in registrar.entries)
    return _record(candidate, status="loaded", registered=registered)


def _call_hook(candidate: _Candidate, registrar: Registrar) -> None:
    plugin = candidate.load()
    if inspect.isclass(plugin):
        plugin = plugin()
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(Hooks)
    manager.register(plugin, candidate.name)
    manager.check_pending()
    if not manager.hook.medpipe_register.get_hookimpls():
        raise PluginError(
            f"{candidate.target!r} has no function medpipe_register marked with "
            "@medpipe_core.hookimpl"
        )
    manager.hook.medpipe_register(registry=registrar)


def _failure(candidate: _Candidate, error: Exception) -> str:
    what = str(error) if isinstance(error, PluginError) else f"{type(error).__name__}: {error}"
    return (
        f"plugin {candidate.name!r} ({candidate.target}) of {candidate.distribution} "
        f"{candidate.version} was left out: {what}. Update or uninstall {candidate.distribution}, "
        f"or disable it with plugins.disable=[{candidate.name}]"
    )


def _twice(candidate: _Candidate, found: list[_Candidate]) -> str:
    owners = " and ".join(
        f"{other.distribution} {other.version}" for other in found if other.name == candidate.name
    )
    return (
        f"plugin {candidate.name!r} was left out: {owners} both have an entry point of that name. "
        f"Uninstall one of them, or disable one distribution with plugins.disable=[...]"
    )


def _record(candidate: _Candidate, **fields: Any) -> PluginRecord:
    return PluginRecord(
        candidate.name, candidate.distribution, candidate.version, candidate.target, **fields
    )
