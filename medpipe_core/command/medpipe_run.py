"""The command `medpipe-run`. It begins before anything is imported, so that Ctrl-C is heard."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from medpipe_core.command.output import command_output

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code.

    0 done, 1 the run failed, 2 the command line or configuration is wrong, 3 a plugin that the run
    needs failed or is missing, 4 a run folder cannot be used, 75 after SIGUSR1 (run it again with
    --resume), 130 and 143 after SIGINT and SIGTERM.
    """
    with command_output() as out:
        try:
            from medpipe_core.command.running import obey

            return obey(sys.argv[1:] if argv is None else argv, out)
        except KeyboardInterrupt:
            return 130
