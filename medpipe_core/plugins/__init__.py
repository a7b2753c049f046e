"""The plugin platform: the hook, the loader and the registry."""

from medpipe_core.plugins.discovery import ENTRY_POINT_GROUP
from medpipe_core.plugins.errors import (
    MissingPluginError,
    ParameterError,
    PluginError,
    UnknownNameError,
)
from medpipe_core.plugins.hookspecs import hookimpl
from medpipe_core.plugins.import_check import import_all
from medpipe_core.plugins.loader import load_plugins
from medpipe_core.plugins.parameter_listing import Parameter, list_parameters
from medpipe_core.plugins.registered_name import REGISTRY, Registered
from medpipe_core.plugins.registry import KINDS, THIS_PROCESS, PluginRecord, Registrar, Registry
from medpipe_core.plugins.registry_entry import Entry
from medpipe_core.plugins.requested_plugins import broken_files, not_there

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
