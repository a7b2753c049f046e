"""How a stage tells what it does: named events with plain fields, to whoever listens."""

from __future__ import annotations

from typing import Any, Protocol


class Emit(Protocol):
    """A listener: called with the event's name and fields that JSON can hold."""

    def __call__(self, event: str, /, **fields: Any) -> None:
        """Take one event."""


def silent(event: str, /, **fields: Any) -> None:
    """Listen to nothing."""
