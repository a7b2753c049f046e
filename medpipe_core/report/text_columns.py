"""What listings are made of: where an entry is from, and rows in columns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from medpipe_core.plugins import Entry

_WIDEST = 44


def origin(entry: Entry) -> dict[str, Any]:
    """Return who registered an entry, and its line."""
    return {
        "kind": entry.kind,
        "name": entry.name,
        "distribution": entry.distribution,
        "version": entry.version,
        "plugin": entry.entry_point,
        "summary": entry.summary,
    }


def columns(rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    """Return rows as lines, their cells below each other."""
    held = list(rows)
    widths = [min(max(map(len, column)), _WIDEST) for column in zip(*held, strict=True)]
    for row in held:
        yield "  ".join(map(str.ljust, row, widths)).rstrip()


def section(title: str, rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    """Return a title and rows below it; nothing where there are none."""
    lines = [f"  {line}" for line in columns(rows)]
    if lines:
        yield from ("", title, *lines)
