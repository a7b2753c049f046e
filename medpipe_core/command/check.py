"""`medpipe check DIR`: are a run's files whole, and can it be gone on with."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from medpipe_core.config.errors import DONE, UNUSABLE_FOLDER

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from medpipe_core.report.run_check import RunCheck


def check_command(commands: Any) -> None:
    """Add the subcommand."""
    parser = commands.add_parser(
        "check", help="are a run's files whole, can it be gone on with (exit code 4 if not)"
    )
    parser.add_argument("folder", metavar="DIR", help="folder of a run")
    parser.add_argument("--trust-plugins", action="store_true", help="load code that it names")
    parser.add_argument("--json", action="store_true", help="for other programs to read")
    parser.set_defaults(handler=_check)


def _check(arguments: argparse.Namespace) -> int:
    from medpipe_core.api import configuration_of
    from medpipe_core.record.run_folder import open_folder
    from medpipe_core.report.run_check import check_run

    folder = open_folder(arguments.folder)
    trust = arguments.trust_plugins
    found = check_run(folder, lambda: configuration_of(folder, {}, trust_plugins=trust))
    if arguments.json:
        text = json.dumps(found.to_dict(), indent=2, ensure_ascii=False)
    else:
        text = "\n".join(_lines(found))
    sys.stdout.write(f"{text}\n")
    return DONE if found.whole else UNUSABLE_FOLDER


def _lines(found: RunCheck) -> Iterator[str]:
    yield f"{found.folder}: {found.state}, {'whole' if found.whole else 'not whole'}"
    yield from (f"  problem: {problem}" for problem in found.problems)
    yield from (f"  {note}" for note in found.notes)
