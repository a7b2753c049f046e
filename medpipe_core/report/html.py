"""Pages of HTML that need nothing else, and tables on them."""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING

from medpipe_core.report.printable import printable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from medpipe_core.record.genotype_text import Table

_INTERVAL = re.compile(r"\([^()]{1,40} to [^()]{1,40}\)")
_STYLE = """
:root { color-scheme: light dark }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem;
  overflow-wrap: break-word }
h1 { font-size: 1.5rem } h2 { font-size: 1.15rem; margin-top: 2rem }
table { border-collapse: collapse; font-variant-numeric: tabular-nums }
th, td { text-align: left; padding: .25rem .9rem .25rem 0; border-bottom: 1px solid #8884 }
svg { width: 100%; height: auto } svg text { font-size: 11px; fill: currentColor }
svg .grid { stroke: #8884 } .legend span { margin-right: 1.2rem; display: inline-block }
.legend svg { width: 1.5rem; margin-right: .35rem; vertical-align: middle }
.verdict { font-size: 1.1rem } .caution { border-left: 4px solid #c2410c; padding-left: .8rem }
.scroll { overflow-x: auto } .together { white-space: nowrap }
.c0 { color: #0b6e99 } .c1 { color: #c2410c } .c2 { color: #4d7c0f }
.c3 { color: #7e22ce } .c4 { color: #a16207 } .c5 { color: #be123c }
@media (prefers-color-scheme: dark) {
  .c0 { color: #56bfe8 } .c1 { color: #f28b52 } .c2 { color: #9ccc4a }
  .c3 { color: #c79bff } .c4 { color: #e3b341 } .c5 { color: #ff7b93 }
}
"""


def escape(text: str) -> str:
    """Return a text for a page: nothing in it is markup, and nothing a control."""
    return html.escape(printable(text))


def html_page(title: str, body: Iterable[str]) -> str:
    """Return a page; its title is escaped here, its parts are HTML already."""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style></head>\n<body>\n"
        + "\n".join(body)
        + "\n</body></html>\n"
    )


COLOURS = 6
"""How many colours a page has for curves: classes `c0` and on, in light and dark."""


def html_table(table: Table) -> str:
    """Return a table under its title, everything escaped."""
    head = "".join(f"<th>{escape(text)}</th>" for text in table.headings)
    rows = (
        "<tr>" + "".join(f"<td>{_cell(text)}</td>" for text in row) + "</tr>" for row in table.rows
    )
    return (
        f'<h2>{escape(table.title)}</h2>\n<div class="scroll"><table>'
        f"<thead><tr>{head}</tr></thead>\n<tbody>{''.join(rows)}</tbody></table></div>"
    )


def _cell(text: str) -> str:
    """Return a cell's text; an interval goes to the next line whole."""
    return _INTERVAL.sub(lambda found: f'<span class="together">{found[0]}</span>', escape(text))
