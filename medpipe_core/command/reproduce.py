"""`medpipe reproduce DIR`: a run once more, compared figure by figure."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from medpipe_core.config.errors import DONE, FAILED

if TYPE_CHECKING:
    import argparse


def reproduce_command(commands: Any) -> None:
    """Add the subcommand."""
    parser = commands.add_parser(
        "reproduce", help="run a finished run again and compare figure by figure (1 if they differ)"
    )
    parser.add_argument("folder", metavar="DIR", help="folder of a finished run")
    parser.add_argument("--out", metavar="FOLDER", help="where the new run's folder goes")
    parser.add_argument("--trust-plugins", action="store_true", help="load code that it names")
    parser.add_argument("--json", action="store_true", help="for other programs to read")
    parser.set_defaults(handler=_reproduce)


def _reproduce(arguments: argparse.Namespace) -> int:
    from medpipe_core.api import configuration_of, execute
    from medpipe_core.record.run_folder import RunFolder, open_folder
    from medpipe_core.report.progress import progress_for
    from medpipe_core.report.reproduction import compare_runs, comparison_lines, searched_as

    first = open_folder(arguments.folder)
    first.result()  # a run that is not finished has nothing to compare with
    root = arguments.out or str(first.path.absolute().parent)
    keys = {"run.root": root, **searched_as(first.events())}
    configuration, registry = configuration_of(first, keys, trust_plugins=arguments.trust_plugins)
    _take_threads(first.environment())
    progress = progress_for(sys.stderr)
    try:
        result = execute(configuration, registry, listeners=[progress])
    finally:
        progress.close()
    compared = compare_runs(first, RunFolder(result.folder))
    if arguments.json:
        text = json.dumps(compared, indent=2, ensure_ascii=False)
    else:
        text = "\n".join(comparison_lines(compared))
    sys.stdout.write(f"{text}\n")
    return DONE if compared["weights"] and not compared["differences"] else FAILED


def _take_threads(environment: dict[str, Any]) -> None:
    """Use as many threads as the run did: sums of another order are other sums."""
    import torch

    threads = environment.get("threads")
    if isinstance(threads, int) and threads > 0:
        torch.set_num_threads(threads)
