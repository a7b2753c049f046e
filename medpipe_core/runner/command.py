"""The command `medpipe-run`."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medpipe_core.errors import MedpipeError
from medpipe_core.runner.api import execute, registry_for
from medpipe_core.runner.config import Configuration, read_file, resolve
from medpipe_core.runner.errors import DONE, WRONG_WORDS, ConfigurationError, Interrupted
from medpipe_core.runner.exits import exit_code_of
from medpipe_core.runner.folder import RunFolder, usable_root
from medpipe_core.runner.help import help_text
from medpipe_core.runner.interrupt import stopping
from medpipe_core.runner.outlet import unbroken_output
from medpipe_core.runner.words import Words, read_words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from medpipe_core.plugins import Registry
    from medpipe_core.runner.pipeline import RunResult


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code.

    0 done, 1 the run failed, 2 the command line or configuration is wrong, 3 a plugin that the run
    needs failed or is missing, 4 a run folder cannot be used, 130 and 143 after SIGINT and SIGTERM.
    """
    words = read_words(sys.argv[1:] if argv is None else argv)
    with unbroken_output():
        try:
            return _obey(words)
        except Interrupted as stop:
            return stop.exit_code
        except KeyboardInterrupt:
            return 130
        except MedpipeError as error:
            tell(error)
            return exit_code_of(error)


def tell(error: BaseException) -> None:
    """Write what went wrong to the standard error, one line for each problem."""
    problems = error.problems if isinstance(error, ConfigurationError) else (str(error),)
    for problem in problems:
        _write(sys.stderr, f"medpipe-run: {problem}")


def run_one(configuration: Configuration, registry: Registry) -> RunResult:
    """Execute one configuration with progress on the screen and the closing text at the end.

    Raises:
        Interrupted: A signal came.
        MedpipeError: The run failed.
    """
    from medpipe_core.runner.closing import closing_text
    from medpipe_core.runner.progress import progress_for

    place: list[RunFolder] = []

    def arrived(folder: RunFolder) -> None:
        place.append(folder)
        _write(sys.stdout, f"run folder: {folder.path}")

    def close(result: RunResult, space: Any) -> None:
        progress.close()
        _write(sys.stdout, f"\n{closing_text(result, space)}")

    def stopped(_: int) -> None:
        # Nothing that buffers may be used here: the signal may have come while it was writing.
        with contextlib.suppress(OSError):
            os.write(
                2, b"stopping at the next step; press again, or signal again, to stop at once\n"
            )

    usable_root(configuration.keys.run.root)
    # Torch's threads wait for each other by spinning, which on a machine shared with other work
    # costs several times the run. It has to be said before torch is imported.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    with stopping(stopped) as stop:
        progress = progress_for(sys.stdout)
        try:
            return execute(
                configuration,
                registry,
                listeners=(progress, stop),
                on_folder=arrived,
                on_result=close,
            )
        except BaseException as end:
            progress.close()
            how = "interrupted" if isinstance(end, Interrupted | KeyboardInterrupt) else "failed"
            if place:
                _write(sys.stderr, f"{how}; what there is of the run is in {place[0].path}")
            raise


def _obey(words: Words) -> int:
    problems = list(words.problems)
    base = _base(words, problems)
    if "--help" in words.options and not problems:
        _write(sys.stdout, help_text(_registry(words, base), next(words.runs())))
        return DONE
    configurations, registry = _resolve_all(words, base, problems)
    if "--cfg" in words.options:
        _write(sys.stdout, "---\n".join(c.to_yaml() for c in configurations).rstrip("\n"))
        return DONE
    for record in registry.plugins:
        if record.status == "failed":
            _write(sys.stderr, f"note: {record.error}")
    from medpipe_core.memory import use_huge_pages

    use_huge_pages()
    if "-m" in words.options:
        from medpipe_core.runner.sweep import sweep

        return sweep(configurations, registry, words.swept)
    run_one(configurations[0], registry)
    return DONE


def _resolve_all(
    words: Words, base: dict[str, Any], problems: list[str]
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


def _registry(words: Words, base: dict[str, Any]) -> Registry:
    return registry_for({**base, **next(words.runs())})


def _base(words: Words, problems: list[str]) -> dict[str, Any]:
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


def _write(stream: Any, text: str) -> None:
    stream.write(f"{text}\n")
    stream.flush()
