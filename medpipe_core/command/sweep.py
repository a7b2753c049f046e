"""A sweep: several runs, one after another, and a table of what came of each."""

from __future__ import annotations

import shlex
import sys
from typing import TYPE_CHECKING

from medpipe_core.command.output import write_line
from medpipe_core.command.single_run import run_one
from medpipe_core.command.telling import tell
from medpipe_core.config import yaml_values
from medpipe_core.config.errors import DONE, FAILED
from medpipe_core.record.genotype_text import Table, as_text
from medpipe_core.report.summary import figure

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from medpipe_core.config.configuration import Configuration
    from medpipe_core.execution.results import RunResult
    from medpipe_core.execution.signals import Stop
    from medpipe_core.plugins import Registry

_MEASURES = ("accuracy", "balanced_accuracy", "auc")


def sweep(
    configurations: Sequence[Configuration],
    registry: Registry,
    swept: Sequence[str],
    stop: Stop,
    one: Callable[[Configuration, Registry, Stop], RunResult] = run_one,
) -> int:
    """Execute configurations in turn; one that fails does not stop the others.

    Args:
        configurations: What to run.
        registry: Loaded plugins.
        swept: The keys that differ between them.
        stop: Who takes signals.
        one: Executes one.

    Returns:
        0, or 1 if any failed.
    """
    rows: list[tuple[str, ...]] = []
    folders: list[str] = []
    code = DONE
    try:
        for number, configuration in enumerate(configurations, start=1):
            flat = configuration.flat()
            labels = tuple(yaml_values.write(flat[key]) for key in swept)
            named = _named(swept, labels)
            write_line(sys.stdout, f"run {number} of {len(configurations)}: {named}")
            try:
                result = one(configuration, registry, stop)
            except Exception as error:  # the others go on whatever one of them dies of
                tell(error)
                code = FAILED
                figures = ("failed", *("–",) * len(_MEASURES[1:]), type(error).__name__)
            else:
                figures = _figures(result)
                folders.append(str(result.folder))
            rows.append((*labels, *figures))
    finally:  # an interrupted sweep still tells of the runs that are done
        headings = (*swept, *(name.replace("_", " ") for name in _MEASURES), "folder")
        table = Table("Sweep, on the test set", headings, tuple(rows))
        write_line(sys.stdout, f"\n{as_text(table)}")
        if len(folders) > 1:
            if "data.fold" in swept:
                from medpipe_core.report.comparison import compare, pooled_text

                for line in pooled_text(compare(folders)):
                    write_line(sys.stdout, line)
            together = shlex.join(["medpipe", "compare", *folders])
            write_line(sys.stdout, f"\nTo compare them: {together}")
    return code


def _figures(result: RunResult) -> tuple[str, ...]:
    return (*(figure(result.test.get(name)) for name in _MEASURES), str(result.folder))


def _named(keys: Sequence[str], values: Sequence[str]) -> str:
    return " ".join(f"{key}={value}" for key, value in zip(keys, values, strict=True))
