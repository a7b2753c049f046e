"""Importing all that plugins registered, to find what first use would."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from medpipe_core.errors import MedpipeError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from medpipe_core.plugins.registry import PluginRecord, Registry


def import_all(registry: Registry) -> tuple[PluginRecord, ...]:
    """Import every factory and model of parameters that loaded plugins registered.

    Returns:
        What became of the plugins: one of which something cannot be imported has failed.
    """
    return tuple(_imported(registry, record) for record in registry.plugins)


def _imported(registry: Registry, record: PluginRecord) -> PluginRecord:
    problems = list(_problems(registry, record))
    if not problems:
        return record
    return dataclasses.replace(record, status="failed", error="; ".join(problems))


def _problems(registry: Registry, record: PluginRecord) -> Iterator[str]:
    for registered in record.registered:
        kind, _, name = registered.partition("/")
        entry = registry.entry(kind, name)
        try:
            entry.load()
            entry.parameters()
        except MedpipeError as error:
            yield str(error)
