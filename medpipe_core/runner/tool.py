"""The command `medpipe`: what is installed, what it takes, and what a run left behind."""

from __future__ import annotations

import argparse
import contextlib
import inspect
import json
import os
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from pydantic.errors import PydanticUserError

from medpipe_core.errors import MedpipeError
from medpipe_core.plugins import (
    KINDS,
    MissingPluginError,
    ParameterError,
    UnknownNameError,
    list_parameters,
    load_plugins,
)
from medpipe_core.runner import plain
from medpipe_core.runner.command import exit_code_of
from medpipe_core.runner.errors import DONE, FAILED, WRONG_WORDS
from medpipe_core.runner.report import add_report_command
from medpipe_core.space import declared_choices

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from medpipe_core.plugins import Entry, Registry

_WHAT = "Tells what is installed, what it takes as parameters, and what a run left behind."
# What is told of these must not wait for torch, which their factories import.
_HEAVY = ("searcher", "dataset")
_WIDEST = 44


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code.

    0 done, 1 it failed, 2 the words are wrong, 3 a plugin that is needed failed or is missing, 4 a
    run folder cannot be used, 130 after SIGINT.
    """
    try:
        arguments = _parser().parse_args(argv)
        code: int = arguments.handler(arguments)
        sys.stdout.flush()
    except SystemExit as end:  # argparse has said what was wrong, or shown its help
        return int(end.code or DONE)
    except BrokenPipeError:  # what the text was piped to has read enough; Python flushes at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except KeyboardInterrupt:
        return 130
    except MedpipeError as error:
        sys.stderr.write(f"medpipe: {error}\n")
        return _exit_code(error)
    return code


def _plugins_command(commands: Any) -> None:
    parser = commands.add_parser("plugins", help="every plugin found, and why any failed")
    _set(parser, _plugins, _plugins_text)


def _list_command(commands: Any) -> None:
    parser = commands.add_parser("list", help="the registered names of a kind")
    parser.add_argument("kind", metavar="KIND", help=", ".join(KINDS))
    _set(parser, _names, _names_text)


def _show_command(commands: Any) -> None:
    parser = commands.add_parser("show", help="parameters of a name; choices and size of a space")
    parser.add_argument("kind", metavar="KIND", help=", ".join(KINDS))
    parser.add_argument("name", metavar="NAME", help="a registered name, or distribution:name")
    _set(parser, _one, _one_text)


# Each adds one subcommand, whose `handler` takes the arguments and returns the exit code.
_COMMANDS = (_plugins_command, _list_command, _show_command, add_report_command)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("medpipe", description=_WHAT, allow_abbrev=False)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for add in _COMMANDS:
        add(commands)
    return parser


def _set(
    parser: argparse.ArgumentParser,
    gather: Callable[[argparse.Namespace], Any],
    text: Callable[[Any], Iterable[str]],
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
            sys.stdout.writelines(f"{line}\n" for line in lines)
        return DONE

    parser.add_argument("--json", action="store_true", help="for other programs to read")
    parser.set_defaults(handler=handler)


def _exit_code(error: MedpipeError) -> int:
    if isinstance(error, UnknownNameError) and not isinstance(error, MissingPluginError):
        return WRONG_WORDS
    return exit_code_of(error)


def _plugins(_: argparse.Namespace) -> list[dict[str, Any]]:
    return [asdict(record) for record in load_plugins().plugins]


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
    registry = load_plugins()
    names = registry.names(arguments.kind)
    left_out = [plugin.name for plugin in registry.plugins if plugin.status == "failed"]
    if left_out:
        sys.stderr.write(f"medpipe: {', '.join(left_out)} left out; see `medpipe plugins`\n")
    if not names:
        sys.stderr.write(f"medpipe: no {arguments.kind} is registered\n")
    return [_origin(registry.entry(arguments.kind, name)) for name in names]


def _names_text(entries: list[dict[str, Any]]) -> Iterator[str]:
    return _columns(
        (entry["name"], f"{entry['distribution']} {entry['version']}", entry["summary"])
        for entry in entries
    )


def _one(arguments: argparse.Namespace) -> dict[str, Any]:
    registry = load_plugins()
    entry = registry.entry(arguments.kind, arguments.name)
    parameters = {p.name: asdict(p) for p in list_parameters(entry.parameters())}
    content = {
        **_origin(entry),
        "summary": _summary(entry),
        "parameters": parameters,
        "schema": _schema(entry),
    }
    if entry.kind == "space":
        content |= _space(registry, entry)
    if entry.kind in ("augmentation", "block"):
        content |= _searchable(entry)
    return content


def _one_text(content: dict[str, Any]) -> Iterator[str]:
    yield "{kind} {name} of {distribution} {version} (plugin {plugin})".format_map(content)
    if content["summary"]:
        yield content["summary"]
    yield from _section("parameters", map(_parameter_row, content["parameters"].values()))
    if "choices" in content:
        yield from _section("space", _space_rows(content))
        rows = ((c["path"], c["kind"], ", ".join(c["keys"])) for c in content["choices"])
        yield from _section(f"{len(content['choices'])} choices", rows)
    if "unknown" in content:
        yield from ("", f"choices and size depend on parameters: {content['unknown']}")
    searchable = content.get("searchable", {}).items()
    yield from _section("searchable", (_searchable_row(name, told) for name, told in searchable))


def _origin(entry: Entry) -> dict[str, Any]:
    return {
        "kind": entry.kind,
        "name": entry.name,
        "distribution": entry.distribution,
        "version": entry.version,
        "plugin": entry.entry_point,
        "summary": entry.summary,
    }


def _summary(entry: Entry) -> str:
    if entry.summary or entry.kind in _HEAVY:
        return entry.summary
    documented = getattr(entry.load(), "__doc__", None) or ""
    return next(iter(inspect.cleandoc(documented).splitlines()), "")


def _schema(entry: Entry) -> dict[str, Any] | None:
    """Return the JSON schema of an entry's parameters; None where a type has none."""
    try:
        return entry.parameters().model_json_schema()
    except PydanticUserError:
        return None


def _space(registry: Registry, entry: Entry) -> dict[str, Any]:
    try:
        space = registry.space(entry.name)
    except ParameterError as error:  # it has parameters without a default
        return {"unknown": "; ".join(error.problems)}
    return {
        "size": space.size(),
        "distinct_size": space.distinct_size(),
        "digest": space.digest,
        "budget": space.budget and asdict(space.budget),
        "constraints": list(map(str, space.constraints)),
        "choices": [
            {"path": choice.path, "kind": choice.kind, "keys": list(choice.keys)}
            for choice in space.choices.values()
        ],
    }


def _searchable(entry: Entry) -> dict[str, Any]:
    """Tell the searchable parameters that an operation declares."""
    return {
        "searchable": {
            name: {
                "values": list(choice.keys),
                "limits": choice.declaration.limits,
                "unit": choice.declaration.unit,
                "description": choice.declaration.description,
                "schema": choice.declaration.schema(),
            }
            for name, choice in declared_choices(entry.load()).items()
        }
    }


def _searchable_row(name: str, told: dict[str, Any]) -> tuple[str, ...]:
    return name, ", ".join(told["values"]), told["unit"], told["limits"], told["description"]


def _parameter_row(parameter: dict[str, Any]) -> tuple[str, ...]:
    default = "required" if parameter["required"] else plain.write(parameter["default"])
    kind = f"{parameter['type']} {parameter['limits']}".rstrip()
    return parameter["name"], kind, default, parameter["description"]


def _space_rows(content: dict[str, Any]) -> Iterator[tuple[str, str]]:
    yield "size", f"{content['size']:,}"
    yield "distinct", f"{content['distinct_size']:,}, an operation that does nothing counted once"
    yield "digest", content["digest"]
    for name, limit in (content["budget"] or {}).items():
        if limit is not None:
            yield "budget", f"at most {limit:,} {name.replace('_', '-')}"
    for constraint in content["constraints"]:
        yield "constraint", constraint


def _section(title: str, rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    lines = [f"  {line}" for line in _columns(rows)]
    if lines:
        yield from ("", title, *lines)


def _columns(rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    held = list(rows)
    widths = [min(max(map(len, column)), _WIDEST) for column in zip(*held, strict=True)]
    for row in held:
        yield "  ".join(map(str.ljust, row, widths)).rstrip()


@contextlib.contextmanager
def _numbers_of_any_length() -> Iterator[None]:
    """Lift Python's limit of 4300 digits: the size of a wide space has more."""
    limit = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(0)
    try:
        yield
    finally:
        sys.set_int_max_str_digits(limit)
