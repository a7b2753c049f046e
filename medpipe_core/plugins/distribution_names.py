"""How distributions are called: medpipe itself, plugins that are files, the spellings of a name."""

from __future__ import annotations

import re

PROJECT = "medpipe"
FILE = "file:"  # what the distribution of a plugin that is a file begins with


def normal(distribution: str) -> str:
    """Return a distribution's name in the one spelling that all its spellings stand for."""
    return re.sub(r"[-_.]+", "-", distribution).lower()
