"""What went wrong, told on the standard error."""

from __future__ import annotations

import sys

from medpipe_core.command.output import write_line
from medpipe_core.config.errors import ConfigurationError

# More of a text that somebody gave nobody reads; what was wrong with it stands before.
_LONGEST = 4000


def tell(error: BaseException) -> None:
    """Write what went wrong to the standard error, one line for each problem."""
    problems = error.problems if isinstance(error, ConfigurationError) else (str(error),)
    for problem in problems:
        text = problem if len(problem) <= _LONGEST else f"{problem[:_LONGEST]}…"
        write_line(sys.stderr, f"medpipe-run: {text}")
