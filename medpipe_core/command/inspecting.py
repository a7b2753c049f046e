"""What `medpipe` does with its words: what is installed, and what a run left behind.

It has to answer at once, however many plugins there are: each subcommand imports what it needs.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.metadata
import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from medpipe_core.command import export, predict
from medpipe_core.command.check import check_command
from medpipe_core.command.output import write_line
from medpipe_core.command.preview import preview_command
from medpipe_core.command.reproduce import reproduce_command
from medpipe_core.config.errors import BROKEN_PLUGIN, DONE, FAILED, WRONG_WORDS
from medpipe_core.errors import MedpipeError
from medpipe_core.plugins import (
    KINDS,
    MissingPluginError,
    UnknownNameError,
    import_all,
    load_plugins,
)
from medpipe_core.report.printable import printable
from medpipe_core.report.text_columns import columns, origin

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from medpipe_core.command.output import CommandOutput
    from medpipe_core.plugins import Registry

_KEYS = "Keys may follow: plugins.load=[my_plugin.py], plugins.disable=[acme]."
_WITH_KEYS = ("plugins", "list", "show", "preview")
_WHAT = "Tells what is installed, what it takes as parameters, and what a run left behind."


def obey(argv: Sequence[str], out: CommandOutput) -> int:
    """Do what a command line says; return the exit code.

    Args:
        argv: Its words.
        out: The standard output; where nobody reads it, or it cannot be written, the code is 1.

    Raises:
        Interrupted: A signal stops it.
    """
    try:
        arguments = _read(argv)
        code: int = arguments.handler(arguments)
    except SystemExit as end:  # argparse has said what was wrong, or shown its help
        code = int(end.code or DONE)
    except MedpipeError as error:
        write_line(sys.stderr, f"medpipe: {error}")
        code = _exit_code(error)
    out.flush()
    if out.lost:
        write_line(sys.stderr, f"medpipe: standard output cannot be written: {out.lost}")
    return code or (FAILED if out.lost or out.left else DONE)


def _plugins_command(commands: Any) -> None:
    parser = commands.add_parser(
        "plugins", help="every plugin found, and why any failed", epilog=_KEYS
    )
    parser.add_argument(
        "--strict", action="store_true", help="import all they register; exit code 3 if any failed"
    )
    _set(parser, _plugins, _plugins_text, _plugins_code)


def _list_command(commands: Any) -> None:
    parser = commands.add_parser("list", help="the registered names of a kind", epilog=_KEYS)
    parser.add_argument("kind", metavar="KIND", help=", ".join(KINDS))
    _set(parser, _names, _names_text)


def _show_command(commands: Any) -> None:
    parser = commands.add_parser(
        "show",
        help="parameters of a name; choices and size of a space",
        epilog=f"{_KEYS} For a space, its own keys and preset=NAME, too: channels=[4,8].",
    )
    parser.add_argument("kind", metavar="KIND", help=", ".join(KINDS))
    parser.add_argument("name", metavar="NAME", help="a registered name, or distribution:name")
    _set(parser, _one, _one_text)


def _report_command(commands: Any) -> None:
    parser = commands.add_parser("report", help="write a run's report again")
    parser.add_argument("folder", metavar="DIR", help="folder of a finished run")
    parser.set_defaults(handler=_report)


def _compare_command(commands: Any) -> None:
    parser = commands.add_parser("compare", help="what runs found, at what cost, and how surely")
    parser.add_argument(
        "folders", metavar="DIR", nargs="+", help="folder of a finished run, or one that holds runs"
    )
    parser.add_argument("--out", metavar="FOLDER", help="write JSON, a page and CSV there as well")
    parser.add_argument(
        "--ignore",
        metavar="KEY",
        action="append",
        default=[],
        help="setting that makes no groups",
    )
    _set(parser, _comparison, _comparison_text)


def _predict_command(commands: Any) -> None:
    parser = commands.add_parser("predict", help="what a run's network answers for new files")
    predict.add_arguments(parser)
    _set(parser, predict.answers, predict.text, predict.exit_code)


def _export_command(commands: Any) -> None:
    parser = commands.add_parser("export", help="a run's network as torch.export and ONNX")
    export.add_arguments(parser)
    _set(parser, export.exported, export.text, export.exit_code)


# Each adds one subcommand, whose `handler` takes the arguments and returns the exit code.
_COMMANDS = (
    _plugins_command,
    _list_command,
    _show_command,
    _report_command,
    _compare_command,
    _predict_command,
    _export_command,
    check_command,
    preview_command,
    reproduce_command,
)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("medpipe", description=_WHAT, allow_abbrev=False)
    version = f"medpipe {importlib.metadata.version('medpipe')}"
    parser.add_argument("--version", action="version", version=version)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for add in _COMMANDS:
        add(commands)
    return parser


def _read(argv: Sequence[str]) -> argparse.Namespace:
    """Read the words; those of the form key=value are kept as `words`."""
    parser = _parser()
    arguments, words = parser.parse_known_args(argv)
    arguments.words = words
    takes_keys = arguments.command in _WITH_KEYS
    if words and (not takes_keys or any(word.startswith("-") for word in words)):
        parser.error(f"unrecognized arguments: {' '.join(words)}")
    return arguments


def _set(
    parser: argparse.ArgumentParser,
    gather: Callable[[argparse.Namespace], Any],
    text: Callable[[Any], Iterable[str]],
    code: Callable[[argparse.Namespace, Any], int] = lambda _arguments, _gathered: DONE,
) -> None:
    """Let a subcommand tell what `gather` returns, as JSON or as the lines that `text` makes."""

    def handler(arguments: argparse.Namespace) -> int:
        # A plugin that prints while it is imported would spoil what another program reads.
        with contextlib.redirect_stdout(sys.stderr):
            gathered = gather(arguments)
        with _numbers_of_any_length():
            if arguments.json:
                lines: Iterable[str] = [json.dumps(gathered, indent=2, ensure_ascii=False)]
            else:
                lines = text(gathered)
            sys.stdout.writelines(f"{printable(line)}\n" for line in lines)
        return code(arguments, gathered)

    parser.add_argument("--json", action="store_true", help="for other programs to read")
    parser.set_defaults(handler=handler)


def _report(arguments: argparse.Namespace) -> int:
    from medpipe_core.report.run_report import write_report

    write_line(sys.stdout, str(write_report(arguments.folder)))
    return DONE


def _comparison(arguments: argparse.Namespace) -> dict[str, Any]:
    from medpipe_core.report.comparison import compare, write_comparison

    content = compare(arguments.folders, ignore=arguments.ignore)
    if arguments.out is not None:
        write_line(sys.stderr, f"medpipe: wrote {write_comparison(content, arguments.out)}")
    return content


def _comparison_text(content: dict[str, Any]) -> Iterator[str]:
    from medpipe_core.report.comparison import comparison_text

    return comparison_text(content)


def _exit_code(error: MedpipeError) -> int:
    from medpipe_core.command.exit_codes import exit_code_of

    if isinstance(error, UnknownNameError):
        missing = isinstance(error, MissingPluginError) and not error.misspelt
        return BROKEN_PLUGIN if missing else WRONG_WORDS
    return exit_code_of(error)


def _registry(arguments: argparse.Namespace) -> Registry:
    if not arguments.words:
        return load_plugins()
    from medpipe_core.command.inspection_keys import read_inspection_keys, refuse_other_keys

    registry, others = read_inspection_keys(arguments.words)
    refuse_other_keys(others)
    return registry


def _plugins(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    registry = _registry(arguments)
    records = import_all(registry) if arguments.strict else registry.plugins
    return [asdict(record) for record in records]


def _plugins_code(arguments: argparse.Namespace, plugins: list[dict[str, Any]]) -> int:
    failed = any(plugin["status"] == "failed" for plugin in plugins)
    return BROKEN_PLUGIN if arguments.strict and failed else DONE


def _plugins_text(plugins: list[dict[str, Any]]) -> Iterator[str]:
    for plugin in plugins:
        yield "{name} of {distribution} {version}: {status}".format_map(plugin)
        for kind in KINDS:
            names = [n.removeprefix(f"{kind}/") for n in plugin["registered"] if _is(n, kind)]
            if names:
                yield f"  {kind}: {', '.join(names)}"
        if plugin["error"]:
            yield f"  {plugin['error']}"


def _is(registered: str, kind: str) -> bool:
    return registered.startswith(f"{kind}/")


def _names(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    registry = _registry(arguments)
    names = registry.names(arguments.kind)
    left_out = [plugin.name for plugin in registry.plugins if plugin.status == "failed"]
    if left_out:
        write_line(sys.stderr, f"medpipe: {', '.join(left_out)} left out; see `medpipe plugins`")
    if not names:
        write_line(sys.stderr, f"medpipe: no {arguments.kind} is registered")
    return [origin(registry.entry(arguments.kind, name)) for name in names]


def _names_text(entries: list[dict[str, Any]]) -> Iterator[str]:
    return columns(
        (entry["name"], f"{entry['distribution']} {entry['version']}", entry["summary"])
        for entry in entries
    )


def _one(arguments: argparse.Namespace) -> dict[str, Any]:
    from medpipe_core.command.show import content

    kind, name = arguments.kind, arguments.name
    if kind != "space" or not arguments.words:
        return content(_registry(arguments), kind, name)
    from medpipe_core.command.inspection_keys import read_inspection_keys, space_settings

    registry, values = read_inspection_keys(arguments.words)
    return content(registry, kind, name, space_settings(registry, name, values))


def _one_text(content: dict[str, Any]) -> Iterator[str]:
    from medpipe_core.command.show import lines

    return lines(content)


@contextlib.contextmanager
def _numbers_of_any_length() -> Iterator[None]:
    """Lift Python's limit of 4300 digits: the size of a wide space has more."""
    limit = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(0)
    try:
        yield
    finally:
        sys.set_int_max_str_digits(limit)
