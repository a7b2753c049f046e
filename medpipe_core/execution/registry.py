"""The plugins that a configuration wants."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from medpipe_core.config.plain_values import user_path
from medpipe_core.plugins import load_plugins

if TYPE_CHECKING:
    from collections.abc import Mapping

    from medpipe_core.plugins import Registry


def registry_for(given: Mapping[str, Any]) -> Registry:
    """Load the plugins that a configuration wants.

    Args:
        given: Dotted key → value; `plugins.*` are read.
    """
    return load_plugins(
        disable=_texts(given.get("plugins.disable")),
        load=_texts(given.get("plugins.load")),
        strict=given.get("plugins.strict") is True,
    )


def _texts(value: Any) -> list[str]:
    """Return the texts of a list; what else is in it is told when the configuration is checked."""
    held = value if isinstance(value, list | tuple) else ()
    return [text for text in held if isinstance(text, str) and _is_path(text)]


def _is_path(text: str) -> bool:
    try:
        user_path(text)
    except ValueError:
        return False
    return True
