"""`medpipe export`: the network of a run as files that need no medpipe."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from medpipe_core.command.output import write_line
from medpipe_core.config.errors import DONE, FAILED
from medpipe_core.report.printable import printable

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the words of the subcommand."""
    parser.add_argument("folder", metavar="DIR", help="folder of a finished run")
    parser.add_argument("--out", metavar="FOLDER", help="where the files go; DIR/export by default")
    parser.add_argument(
        "--on",
        metavar="FILE",
        nargs="+",
        help="run both networks on these, as `medpipe predict` takes them, not on noise",
    )
    parser.add_argument(
        "--trust-plugins", action="store_true", help="run plugin files that the run names"
    )


def exported(arguments: argparse.Namespace) -> dict[str, Any]:
    """Export, and return the folder with what `model.json` says.

    Raises:
        MissingExtraError: A package of the extra `export` is not installed.
        RunFolderError: The folder cannot be used.
        DataError: A file to check on cannot be used.
        ExportError: The network cannot be exported.
        StorageError: A file cannot be written.
    """
    from medpipe_core.execution.exporting import export_model

    made = export_model(
        arguments.folder,
        arguments.out,
        volumes=arguments.on,
        trust_plugins=arguments.trust_plugins,
    )
    return {"folder": str(made.folder), **made.description}


def exit_code(_arguments: argparse.Namespace, content: dict[str, Any]) -> int:
    """Return 1 if a file answers otherwise than the network; it is told by name."""
    wrong = [name for name, check in content["checks"].items() if check["agrees"] is False]
    for name in wrong:
        write_line(sys.stderr, f"medpipe: {name} does not answer as the network of the run does")
    return FAILED if wrong else DONE


def text(content: dict[str, Any]) -> Iterator[str]:
    """Iterate over the lines that say what was written, and what came of running it."""
    names = ", ".join((*content["checks"], "model.json"))
    yield printable(f"{content['folder']}: {names}")
    batch = "batch" if content["batch"] == "any" else content["batch"]
    shape = ", ".join(map(str, (batch, *content["shape"])))
    yield f"takes {content['input']} ({shape}), float32 in [0, 1]"
    yield printable(f"returns calibrated {content['output']} of {', '.join(content['classes'])}")
    if content["preparation"] is not None:
        yield "volumes have to be prepared first, as `preparation` in model.json says"
    for name, check in content["checks"].items():
        if check["agrees"] is None:
            yield printable(f"{name}: not checked, {check['ran_with']} cannot: {check['reason']}")
        else:
            yield (
                f"{name}: probabilities of {check['volumes']} volumes differ by "
                f"{check['largest_difference']:.1e} at most ({check['ran_with']})"
            )
