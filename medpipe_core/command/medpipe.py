"""The command `medpipe`. It begins before anything is imported, so that Ctrl-C is heard."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from medpipe_core.command.output import command_output

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code.

    0 done, 1 it failed or nobody could read it, 2 the words are wrong, 3 a plugin that is needed
    failed or is missing, 4 a run folder cannot be used, 130 after SIGINT.
    """
    with command_output() as out:
        try:
            from medpipe_core.command.inspecting import obey

            return obey(sys.argv[1:] if argv is None else argv, out)
        except KeyboardInterrupt:
            return 130
