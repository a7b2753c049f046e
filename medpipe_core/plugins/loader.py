"""Loading plugins one at a time, so that a broken one harms no other.

pluggy calls hooks but isolates nothing: its own discovery stops at the first import error, drops a
second entry point of the same name without a word, and a hook that raises stops the rest. So each
plugin is imported, checked and called alone, and what it registers counts only once it is whole.
"""

from __future__ import annotations

import inspect
import sys
import types
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pluggy

from medpipe_core.errors import place_of
from medpipe_core.plugins.discovery import Candidate, installed
from medpipe_core.plugins.distribution_names import FILE, PROJECT, normal
from medpipe_core.plugins.errors import PluginError
from medpipe_core.plugins.hookspecs import Hooks
from medpipe_core.plugins.import_isolation import isolated_import
from medpipe_core.plugins.registry import PluginRecord, Registrar, Registry
from medpipe_core.regular_files import read_regular_file

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from medpipe_core.plugins.registry_entry import Entry

_LARGEST = 16 * 2**20


def load_plugins(
    *,
    disable: str | Iterable[str] = (),
    load: str | Path | Iterable[str | Path] = (),
    strict: bool = False,
) -> Registry:
    """Load every installed plugin and return what they registered.

    medpipe's own come first, then those of other distributions in the order of their names; files
    come last. A name is whose it was first, so none of them takes it from an earlier one.

    Args:
        disable: Names of entry points or distributions to leave out.
        load: Python files to load as plugins besides the installed ones.
        strict: Raise if any plugin failed.

    Raises:
        PluginError: With `strict`, if a plugin failed; the text has every failure.
    """
    files = [load] if isinstance(load, str | Path) else load
    found = [*installed(), *map(_from_file, files)]
    return load_candidates(found, disable=disable, strict=strict)


def load_candidates(
    found: Sequence[Candidate], *, disable: str | Iterable[str] = (), strict: bool = False
) -> Registry:
    """Load just these plugins, in this order, and return what they registered.

    Args:
        found: The plugins, not yet imported.
        disable: Names of entry points or distributions to leave out.
        strict: Raise if any plugin failed.

    Raises:
        PluginError: With `strict`, if a plugin failed; the text has every failure.
    """
    off = [disable] if isinstance(disable, str) else list(disable)
    awake = [candidate for candidate in found if not _is_off(candidate, off)]
    owners: dict[str, Candidate] = {}
    for candidate in awake:
        owners.setdefault(candidate.name, candidate)
    entries: dict[tuple[str, str], Entry] = {}
    records: list[PluginRecord] = []
    for candidate in found:
        if candidate not in awake:
            records.append(_record(candidate, status="disabled"))
        elif owners[candidate.name] is not candidate:
            error = _twice(candidate, owners[candidate.name])
            records.append(_record(candidate, status="failed", error=error))
        else:
            records.append(_load_one(candidate, entries, records))
    failures = [record.error for record in records if record.status == "failed"]
    if strict and failures:
        raise PluginError("; ".join(failures))
    return Registry(entries, records)


def _from_file(path: str | Path) -> Candidate:
    path = Path(path).expanduser()

    def load() -> Any:
        # Compiled here, not by an import: no stale bytecode, and none left beside the file.
        code = compile(read_regular_file(path, _LARGEST), str(path), "exec")
        name = f"medpipe_file_{path.stem}_{zlib.crc32(bytes(path.resolve())):08x}"
        module = types.ModuleType(name)
        module.__file__ = str(path)
        # Dataclasses and the like look their module up while it is being executed.
        sys.modules[name] = module
        try:
            exec(code, vars(module))  # noqa: S102  (a file that the user asked to load)
        except BaseException:
            del sys.modules[name]
            raise
        return module

    return Candidate(path.stem, f"{FILE}{path.name}", "-", str(path), load)


def _is_off(candidate: Candidate, off: list[str]) -> bool:
    return any(
        name == candidate.name or normal(name) == normal(candidate.distribution) for name in off
    )


def _load_one(
    candidate: Candidate, entries: dict[tuple[str, str], Entry], records: list[PluginRecord]
) -> PluginRecord:
    record = _record(candidate, status="loaded")
    registrar = Registrar(record, Registry(entries, records))
    try:
        with isolated_import():
            _call_hook(candidate, registrar)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a plugin may raise anything, or exit; it stays out whole
        return _record(candidate, status="failed", error=_failure(candidate, error))
    entries.update(registrar.entries)
    registered = tuple(f"{kind}/{name}" for kind, name in registrar.entries)
    return _record(candidate, status="loaded", registered=registered)


def _call_hook(candidate: Candidate, registrar: Registrar) -> None:
    plugin = candidate.load()
    if inspect.isclass(plugin) and not _hook_needs_no_instance(plugin):
        plugin = plugin()
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(Hooks)
    try:
        manager.register(plugin, candidate.name)
        manager.check_pending()
    except pluggy.PluginValidationError as error:
        raise PluginError(" ".join(str(error).split())) from error
    if not manager.hook.medpipe_register.get_hookimpls():
        raise PluginError(
            f"{candidate.target!r} has no function medpipe_register marked with "
            "@medpipe_core.hookimpl"
        )
    manager.hook.medpipe_register(registry=registrar)


def _hook_needs_no_instance(plugin: type) -> bool:
    """Say whether a class has the hook as a plain function of the registry, without `self`."""
    hook = inspect.getattr_static(plugin, "medpipe_register", None)
    return inspect.isfunction(hook) and next(iter(inspect.signature(hook).parameters), "") != "self"


def _failure(candidate: Candidate, error: BaseException) -> str:
    if isinstance(error, PluginError):
        what = str(error)
    else:
        what = f"{type(error).__name__}: {error}{place_of(error)}"
    return (
        f"plugin {candidate.name!r} ({candidate.target}) of {candidate.distribution} "
        f"{candidate.version} was left out: {what}{'' if what.endswith('?') else '.'} "
        f"{_remedy(candidate)}"
    )


def _remedy(candidate: Candidate) -> str:
    if candidate.is_file:
        return "Mend the file, or leave it out of plugins.load"
    return (
        f"Update or uninstall {candidate.distribution}, or disable it with "
        f"plugins.disable=[{candidate.name}]"
    )


def _twice(candidate: Candidate, owner: Candidate) -> str:
    return (
        f"plugin {candidate.name!r} ({candidate.target}) of {candidate.distribution} "
        f"{candidate.version} was left out: {owner.distribution} {owner.version} has a plugin of "
        f"that name already ({owner.target}). Rename or uninstall one, or disable a distribution, "
        f"as with plugins.disable=[{candidate.distribution}]"
    )


def _record(candidate: Candidate, **fields: Any) -> PluginRecord:
    return PluginRecord(
        candidate.name, candidate.distribution, candidate.version, candidate.target, **fields
    )
