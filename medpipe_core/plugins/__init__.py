"""The plugin platform: the hook, the loader and the registry."""

from medpipe_core.plugins.entry import Entry
from medpipe_core.plugins.errors import (
    MissingPluginError,
    ParameterError,
    PluginError,
    UnknownNameError,
)
from medpipe_core.plugins.hooks import ENTRY_POINT_GROUP, hookimpl
from medpipe_core.plugins.importing import import_all
from medpipe_core.plugins.listing import Parameter, list_parameters
from medpipe_core.plugins.loader import load_plugins
from medpipe_core.plugins.named import broken_files, not_there
from medpipe_core.plugins.registered import REGISTRY, Registered
from medpipe_core.plugins.registry import KINDS, THIS_PROCESS, PluginRecord, Registrar, Registry

__all__ = [
    "ENTRY_POINT_GROUP",
    "KINDS",
    "REGISTRY",
    "THIS_PROCESS",
    "Entry",
    "MissingPluginError",
    "Parameter",
    "ParameterError",
    "PluginError",
    "PluginRecord",
    "Registered",
    "Registrar",
    "Registry",
    "UnknownNameError",
    "broken_files",
    "hookimpl",
    "import_all",
    "list_parameters",
    "load_plugins",
    "not_there",
]
