"""What `medpipe-run` does with its words."""

from __future__ import annotations

import importlib.metadata
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medpipe_core.command.exit_codes import exit_code_of
from medpipe_core.command.output import write_line
from medpipe_core.command.telling import tell
from medpipe_core.command.trust import LOAD, OPTION, foreign_plugins
from medpipe_core.config.command_line import CommandLine, read_command_line
from medpipe_core.config.configuration import Configuration, read_file, resolve
from medpipe_core.config.errors import (
    DONE,
    FAILED,
    WRONG_WORDS,
    ConfigurationError,
    RunFolderError,
)
from medpipe_core.config.yaml_values import LONGEST
from medpipe_core.errors import MedpipeError
from medpipe_core.execution.registry import registry_for
from medpipe_core.record.run_folder import RunFolder, open_folder

if TYPE_CHECKING:
    from collections.abc import Sequence

    from medpipe_core.command.output import CommandOutput
    from medpipe_core.execution.signals import Stop
    from medpipe_core.plugins import Registry


def obey(argv: Sequence[str], out: CommandOutput, stop: Stop) -> int:
    """Do what a command line says; return the exit code.

    Args:
        argv: Its words.
        out: The standard output. Where it cannot be written, a run goes on and its folder has all;
            of help and of a configuration nothing is left then, and the exit code is 1.
        stop: Who takes signals.

    Raises:
        Interrupted: A signal stops it.
    """
    words = read_command_line(argv)
    try:
        with stop.undisguised():
            code = _obey(words, stop)
    except MedpipeError as error:
        tell(error)
        code = exit_code_of(error)
    out.flush()
    if out.lost:
        write_line(sys.stderr, f"medpipe-run: standard output cannot be written: {out.lost}")
        return code or (FAILED if words.options & {"--help", "--version", "--cfg"} else DONE)
    return code


def _obey(words: CommandLine, stop: Stop) -> int:
    folder = None if words.resumed is None else open_folder(words.resumed)
    stored = {} if folder is None else folder.configuration()
    problems = list(words.problems)
    if "--version" in words.options and not problems:
        write_line(sys.stdout, f"medpipe {importlib.metadata.version('medpipe')}")
        return DONE
    base = _trusted(words, stored or _base(words, problems), problems)
    if "--help" in words.options and not problems:
        from medpipe_core.config.help_text import help_text

        write_line(sys.stdout, help_text(_registry(words, base), next(words.runs())))
        return DONE
    the_users = bool(problems or words.values)
    try:
        configurations, registry = _resolve_all(words, base, problems)
    except ConfigurationError as error:
        if folder is None or the_users or error.exit_code != WRONG_WORDS:
            raise
        raise RunFolderError(
            f"{folder.path} cannot be gone on with by its {folder.CONFIG}: {error}"
        ) from error
    if "--cfg" in words.options:
        write_line(sys.stdout, "---\n".join(c.to_yaml() for c in configurations).rstrip("\n"))
        return DONE
    for record in registry.plugins:
        if record.status == "failed":
            write_line(sys.stderr, f"note: {record.error}")
    # Only what runs imports what a run needs; help and refusals are there at once.
    from medpipe_core.memory import use_huge_pages

    use_huge_pages()
    if "-m" in words.options:
        from medpipe_core.command.sweep import sweep

        return sweep(configurations, registry, words.swept, stop)
    from medpipe_core.command.single_run import run_one

    run_one(configurations[0], registry, stop, folder)
    return DONE


def _resolve_all(
    words: CommandLine, base: dict[str, Any], problems: list[str]
) -> tuple[list[Configuration], Registry]:
    """Check every run of a command line; all that is wrong with any is told at once."""
    registry = _registry(words, base)
    configurations, code = [], WRONG_WORDS if problems else DONE
    for given in words.runs():
        try:
            configurations.append(resolve(given, registry, base=base))
        except ConfigurationError as error:
            problems += error.problems
            code = code if code == WRONG_WORDS else error.exit_code
    if problems:
        raise ConfigurationError(list(dict.fromkeys(problems)), exit_code=code)
    return configurations, registry


def _registry(words: CommandLine, base: dict[str, Any]) -> Registry:
    return registry_for({**base, **next(words.runs())})


def _trusted(words: CommandLine, base: dict[str, Any], problems: list[str]) -> dict[str, Any]:
    """Return the keys of a file, without the code that it names unless the user trusts it."""
    files, refusal = foreign_plugins(words.file or "", base, words.values)
    if not files:
        return base
    if OPTION in words.options:
        write_line(sys.stderr, f"note: loading {files}, as {words.file} asks")
        return base
    problems.extend(refusal)
    return {key: value for key, value in base.items() if key != LOAD}


def _base(words: CommandLine, problems: list[str]) -> dict[str, Any]:
    if words.file is None:
        return {}
    path = Path(words.file)
    path = path / RunFolder.CONFIG if os.path.isdir(path) else path
    try:
        with path.open("rb") as file:  # it may be a pipe, or have no end
            text = file.read(4 * LONGEST + 1).decode()
        return read_file(text, str(path))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        problems.append(f"configuration file {path} cannot be read: {reason}")
    except ConfigurationError as error:
        problems.extend(error.problems)
    return {}
