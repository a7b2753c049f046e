"""The plugin platform: the hook, the loader and the registry."""

from medpipe_core.plugins.errors import (
    MissingPluginError,
    ParameterError,
    PluginError,
    UnknownNameError,
)
from medpipe_core.plugins.hooks import ENTRY_POINT_GROUP, hookimpl
from medpipe_core.plugins.loader import load_plugins
from medpipe_core.plugins.parameters import problems
from medpipe_core.plugins.registry import KINDS, Entry, PluginRecord, Registrar, Registry

__all__ = [
    "ENTRY_POINT_GROUP",
    "KINDS",
    "Entry",
    "MissingPluginError",
    "ParameterError",
    "PluginError",
    "PluginRecord",
    "Registrar",
    "Registry",
    "UnknownNameError",
    "hookimpl",
    "load_plugins",
    "problems",
]
