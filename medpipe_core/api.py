"""One run from its configuration: the same for the command line and for Python."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING, Any

from medpipe_core.config.configuration import Configuration, resolve
from medpipe_core.config.dotted_keys import flatten
from medpipe_core.execution.execute import execute_run
from medpipe_core.execution.registry import registry_for
from medpipe_core.report.progress import progress_for
from medpipe_core.report.run_report import write_report
from medpipe_core.space import SearchSpace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from medpipe_core.data import Dataset
    from medpipe_core.events import Emit
    from medpipe_core.execution.results import RunResult
    from medpipe_core.plugins import Registry
    from medpipe_core.record.run_folder import RunFolder
    from medpipe_core.search import Searcher


def run(
    *,
    space: str | SearchSpace = "medpipe-joint",
    searcher: str | type[Searcher] = "gumbel",
    dataset: str | Dataset | type[Dataset] = "phantom3d",
    seed: int = 0,
    preset: str = "quick",
    registry: Registry | None = None,
    listeners: Iterable[Emit] = (),
    progress: bool | Emit = False,
    **keys: Any,
) -> RunResult:
    """Search, evaluate, retrain and test; return the result, which is on the disk as well.

    Every figure of `result.test` carries its interval: `result.test["accuracy"]` is a dict of
    `value`, `low` and `high`.

    Args:
        space: Registered space, or one made here.
        searcher: Registered searcher, or a class; its settings are those of its signature.
        dataset: Registered dataset, one made here, or a class that makes one.
        seed: Seed of all the run's randomness.
        preset: quick, laptop or paper.
        registry: Loaded plugins; by default every installed one.
        listeners: Told of every event, beside the journal.
        progress: Quiet by default, as a library is. True shows how far the run is and how long it
            still takes: a bar on a terminal, a line for each epoch elsewhere, as in a notebook.
            A listener is told of every event.
        keys: Other keys, dotted, with `__` for the dot, or nested: `**{"search.epochs": 3}`,
            `search__epochs=3` or `search={"epochs": 3}`.

    What is made here is known by its name in this run alone: a space by `space.name`, a dataset by
    `card.name`, a class by its own. It must not be a registered one.

    Raises:
        ConfigurationError: Keys or values are wrong; the text tells all of it.
        MedpipeError: The run failed.
    """
    told = flatten({name.replace("__", "."): value for name, value in keys.items()})
    plugins = registry if registry is not None else registry_for(told)
    if isinstance(space, SearchSpace):
        described = space
        plugins, space = _added(plugins, "space", space.name, lambda: described)
    if isinstance(searcher, type):
        plugins, searcher = _added(plugins, "searcher", searcher.__name__, searcher)
    if isinstance(dataset, type):
        plugins, dataset = _added(plugins, "dataset", dataset.__name__, dataset)
    elif not isinstance(dataset, str):
        made = dataset
        plugins, dataset = _added(plugins, "dataset", dataset.card.name, lambda: made)
    given: dict[str, Any] = {
        "space": space,
        "searcher": searcher,
        "dataset": dataset,
        "seed": seed,
        "preset": preset,
        **told,
    }
    configuration = resolve(given, plugins)
    with _watching(progress) as watchers:
        return execute(configuration, plugins, listeners=(*listeners, *watchers))


@contextlib.contextmanager
def _watching(progress: bool | Emit) -> Iterator[tuple[Emit, ...]]:
    """Give who shows how far a run is, and take it off the screen afterwards."""
    if not isinstance(progress, bool):
        yield (progress,)
    elif not progress:
        yield ()
    else:
        watcher = progress_for(sys.stdout)
        try:
            yield (watcher,)
        finally:
            watcher.close()


def _added(
    registry: Registry, kind: str, name: str, factory: Callable[..., Any]
) -> tuple[Registry, str]:
    return registry.adding(kind, name, factory), name


def execute(
    configuration: Configuration,
    registry: Registry,
    *,
    listeners: Iterable[Emit] = (),
    on_folder: Callable[[RunFolder], None] | None = None,
) -> RunResult:
    """Execute a checked configuration, and write the report of the run.

    Args:
        configuration: What to run.
        registry: Loaded plugins.
        listeners: Told of every event, after the journal.
        on_folder: Called with the folder as soon as there is one.
    """
    result = execute_run(configuration, registry, listeners=listeners, on_folder=on_folder)
    write_report(result.folder)
    return result
