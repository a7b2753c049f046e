"""The command `medpipe-run`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medpipe_core.command.exit_codes import exit_code_of
from medpipe_core.command.pipe_safe_output import pipe_safe_output
from medpipe_core.command.single_run import run_one, tell, write_line
from medpipe_core.config.command_line import CommandLine, read_command_line
from medpipe_core.config.configuration import Configuration, read_file, resolve
from medpipe_core.config.errors import DONE, WRONG_WORDS, ConfigurationError, Interrupted
from medpipe_core.config.help_text import help_text
from medpipe_core.errors import MedpipeError
from medpipe_core.execution.registry import registry_for
from medpipe_core.record.run_folder import RunFolder, open_folder

if TYPE_CHECKING:
    from collections.abc import Sequence

    from medpipe_core.plugins import Registry


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code.

    0 done, 1 the run failed, 2 the command line or configuration is wrong, 3 a plugin that the run
    needs failed or is missing, 4 a run folder cannot be used, 75 after SIGUSR1 (run it again with
    --resume), 130 and 143 after SIGINT and SIGTERM.
    """
    words = read_command_line(sys.argv[1:] if argv is None else argv)
    with pipe_safe_output():
        try:
            return _obey(words)
        except Interrupted as stop:
            return stop.exit_code
        except KeyboardInterrupt:
            return 130
        except MedpipeError as error:
            tell(error)
            return exit_code_of(error)


def _obey(words: CommandLine) -> int:
    folder = None if words.resumed is None else open_folder(words.resumed)
    problems = list(words.problems)
    base = _base(words, problems)
    if "--help" in words.options and not problems:
        write_line(sys.stdout, help_text(_registry(words, base), next(words.runs())))
        return DONE
    configurations, registry = _resolve_all(words, base, problems)
    if "--cfg" in words.options:
        write_line(sys.stdout, "---\n".join(c.to_yaml() for c in configurations).rstrip("\n"))
        return DONE
    for record in registry.plugins:
        if record.status == "failed":
            write_line(sys.stderr, f"note: {record.error}")
    from medpipe_core.memory import use_huge_pages

    use_huge_pages()
    if "-m" in words.options:
        from medpipe_core.command.sweep import sweep

        return sweep(configurations, registry, words.swept)
    run_one(configurations[0], registry, folder)
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


def _base(words: CommandLine, problems: list[str]) -> dict[str, Any]:
    if words.file is None:
        return {}
    path = Path(words.file)
    path = path / RunFolder.CONFIG if path.is_dir() else path
    try:
        return read_file(path.read_text(encoding="utf-8"), str(path))
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        problems.append(f"configuration file {path} cannot be read: {reason}")
    except ConfigurationError as error:
        problems.extend(error.problems)
    return {}
