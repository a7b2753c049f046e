"""Text that a terminal or a page shows as it stands.

Names come from other people's folders, results and plugins. An escape sequence in one could colour
the screen, hide a line or rewrite what stands above; a mark of writing direction could turn a name
round. Each such sign becomes its number in the notation of JSON, so that JSON stays what it was.
"""

from __future__ import annotations

import re

# Controls but for line breaks and tabs, marks of direction, other breaks, and lone surrogates.
_UNPRINTABLE = re.compile(
    r"[\0-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)


def printable(text: str) -> str:
    r"""Return a text with every sign replaced that is an order and no sign.

    Example:
        >>> print(printable("\x1b[2J"))
        \u001b[2J
    """
    return _UNPRINTABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
