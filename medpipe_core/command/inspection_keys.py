"""The keys that `medpipe plugins`, `list` and `show` take beside their own words.

They are those of `medpipe-run`: `plugins.*` says which plugins there are, and what else is given
to `medpipe show space NAME` are the space's own settings, with `preset=` for a preset's part.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from medpipe_core.config import dotted_keys as dotted
from medpipe_core.config.command_line import read_command_line
from medpipe_core.config.errors import ConfigurationError
from medpipe_core.config.presets import PRESETS
from medpipe_core.config.settings import PluginKeys
from medpipe_core.config.validation_messages import validation_messages
from medpipe_core.errors import did_you_mean
from medpipe_core.plugins import load_plugins, not_there

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from medpipe_core.plugins import Registry

_PLUGINS, _SPACE = "plugins.", "space."


def read_inspection_keys(words: Sequence[str]) -> tuple[Registry, dict[str, Any]]:
    """Load the plugins that words ask for; return the registry and all other keys.

    Raises:
        ConfigurationError: CommandLine cannot be read, or name what there is not.
        PluginError: With `plugins.strict=true`, a plugin failed.
    """
    read = read_command_line(words)
    if read.file is not None:
        read.problems.append(f"{read.file}: expected key=value, not a file")
    _refuse(read.problems)
    values = next(read.runs())
    own = {k.removeprefix(_PLUGINS): v for k, v in values.items() if k.startswith(_PLUGINS)}
    try:
        keys = PluginKeys.model_validate(own)
    except ValidationError as error:
        raise ConfigurationError(list(validation_messages(error, _PLUGINS, PluginKeys))) from None
    registry = load_plugins(disable=keys.disable, load=keys.load, strict=keys.strict)
    _refuse(list(not_there(keys.disable, registry.plugins)))
    return registry, {k: v for k, v in values.items() if not k.startswith(_PLUGINS)}


def space_settings(registry: Registry, name: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a space that keys stand for, a preset's under the user's.

    Args:
        registry: Who knows the space.
        name: Its name.
        values: Its keys, with or without `space.` before them, and `preset`.

    Raises:
        ConfigurationError: There is no such preset, or a key is a value and a group.
    """
    preset = values.get("preset")
    if preset is not None and preset not in PRESETS:
        raise ConfigurationError([f"no preset {preset!r}.{did_you_mean(str(preset), PRESETS)}"])
    own = {k.removeprefix(_SPACE): v for k, v in values.items() if k != "preset"}
    model = registry.entry("space", name).parameters()
    laid = getattr(model, "presets", {}).get(preset, {})
    try:
        return dotted.nest({k: v for k, v in laid.items() if not dotted.shadowed(k, own)} | own)
    except ValueError as error:
        raise ConfigurationError([str(error)]) from None


def refuse_other_keys(values: Mapping[str, Any]) -> None:
    """Refuse keys where there is no space to set them of.

    Raises:
        ConfigurationError: There are some.
    """
    known = [f"{_PLUGINS}{name}" for name in PluginKeys.model_fields]
    _refuse([f"no key {key!r} here.{did_you_mean(key, known)}" for key in values])


def _refuse(problems: Sequence[str]) -> None:
    if problems:
        raise ConfigurationError(problems)
