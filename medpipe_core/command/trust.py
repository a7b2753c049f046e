"""Files of code that a configuration file asks for: loaded only where the user says so.

A plugin's file runs as the user. On one's own command line `plugins.load` is one's own word; in a
configuration that came from somebody else it is theirs.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from medpipe_core.config.plain_values import user_path

if TYPE_CHECKING:
    from collections.abc import Mapping

LOAD = "plugins.load"
OPTION = "--trust-plugins"
_LARGEST = 16 * 2**20


def foreign_plugins(
    name: str, base: Mapping[str, Any], given: Mapping[str, Any]
) -> tuple[str, list[str]]:
    """Return what a configuration file would load that the command line does not name.

    Args:
        name: The file.
        base: Its keys.
        given: The keys of the command line, which replace the file's.

    Returns:
        What would be loaded, in words, each with its SHA-256; empty where it is nothing. And what
        to do about it.
    """
    asked = base.get(LOAD)
    if LOAD in given or not asked or not isinstance(asked, list | tuple):
        return "", []
    files = ", ".join(f"{_absolute(one)} (SHA-256 {_digest(one)})" for one in map(str, asked))
    return files, [
        f"{name}: {LOAD} would run code from {files}. Look into it; then say {OPTION} to load it, "
        f"or {LOAD}=[] to do without"
    ]


def _absolute(text: str) -> str:
    try:
        return str(user_path(text).absolute())
    except ValueError:
        return text


def _digest(text: str) -> str:
    try:
        path = user_path(text)
        if not path.is_file() or path.stat().st_size > _LARGEST:
            return "not to be had: there is no such file, or it is too large"
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except (OSError, ValueError) as error:
        return f"not to be had: {getattr(error, 'strerror', None) or error}"
