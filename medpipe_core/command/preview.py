"""`medpipe preview`: a contact sheet of what a network is going to see."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medpipe_core.command.output import write_line
from medpipe_core.config.errors import DONE, ConfigurationError

if TYPE_CHECKING:
    import argparse

_SUFFIXES = (".html", ".png")


def preview_command(commands: Any) -> None:
    """Add the subcommand."""
    parser = commands.add_parser(
        "preview",
        help="what a network is going to see: a contact sheet of each class",
        epilog="Keys follow as those of medpipe-run: dataset=folder data.manifest=scans.csv.",
    )
    parser.add_argument(
        "--out", metavar="FILE", default="preview.html", help="a page (.html) or a picture (.png)"
    )
    parser.add_argument("--each", metavar="N", type=count, default=3, help="cases of each class")
    parser.add_argument(
        "--draws", metavar="N", type=count, default=3, help="augmented pictures of each case"
    )
    parser.set_defaults(handler=_preview)


def _preview(arguments: argparse.Namespace) -> int:
    from medpipe_core.config.command_line import read_command_line
    from medpipe_core.config.configuration import resolve
    from medpipe_core.execution.registry import registry_for

    out = Path(arguments.out).expanduser()
    problems = []
    if out.suffix.lower() not in _SUFFIXES:
        problems.append(f"--out {arguments.out}: name a file that ends in .html or .png")
    words = read_command_line(arguments.words)
    problems += words.problems
    if problems:
        raise ConfigurationError(problems)
    with contextlib.redirect_stdout(sys.stderr):  # what a plugin prints is not the answer
        given = next(words.runs())
        registry = registry_for(given)
        configuration = resolve(given, registry)
        from medpipe_core.execution.previewing import preview
        from medpipe_core.record.atomic_files import check_place, make_folder, write_atomically
        from medpipe_core.report.contact_sheet import contact_page, contact_picture

        check_place(out)
        shown = preview(configuration, registry, each=arguments.each, draws=arguments.draws)
        make = contact_page if out.suffix.lower() == ".html" else contact_picture
        content = make(shown)
        make_folder(out.parent)
        write_atomically(out, content)
    write_line(sys.stdout, str(out))
    return DONE


def count(text: str) -> int:
    """Read a whole number from 1 to 50, for argparse."""
    number = int(text)
    if not 0 < number <= 50:
        raise ValueError(text)
    return number
