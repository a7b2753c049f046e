"""The command `medpipe`. It takes signals before anything heavy is imported."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from medpipe_core.command.ending import ended, say_when
from medpipe_core.command.output import command_output
from medpipe_core.execution.signals import ignore_at_exit, stopping

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code.

    0 done, 1 it failed or nobody could read it, 2 the words are wrong, 3 a plugin that is needed
    failed or is missing, 4 a run folder cannot be used, 75, 130 and 143 after SIGUSR1, SIGINT and
    SIGTERM.
    """
    ignore_at_exit()
    try:
        with stopping(say_when), command_output() as out:
            from medpipe_core.command.inspecting import obey

            return obey(sys.argv[1:] if argv is None else argv, out)
    except KeyboardInterrupt as end:
        return ended("medpipe", end)
