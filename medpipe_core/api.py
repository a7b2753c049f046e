"""One run from its configuration: the same for the command line and for Python."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING, Any

from medpipe_core.config.configuration import Configuration, resolve
from medpipe_core.config.dotted_keys import flatten
from medpipe_core.config.errors import WRONG_WORDS, ConfigurationError, RunFolderError
from medpipe_core.execution.execute import execute_run, resume_run
from medpipe_core.execution.registry import registry_for
from medpipe_core.record.run_folder import open_folder
from medpipe_core.report.progress import progress_for
from medpipe_core.report.run_report import write_report
from medpipe_core.space import SearchSpace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    from medpipe_core.data import Dataset
    from medpipe_core.events import Emit
    from medpipe_core.execution.results import RunResult
    from medpipe_core.execution.signals import Stop
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
    stop: Stop | None = None,
) -> RunResult:
    """Execute a checked configuration, and write the report of the run.

    Args:
        configuration: What to run.
        registry: Loaded plugins.
        listeners: Told of every event, after the journal.
        on_folder: Called with the folder as soon as there is one.
        stop: Who takes signals; None for nobody.
    """
    result = execute_run(
        configuration, registry, listeners=listeners, on_folder=on_folder, stop=stop
    )
    write_report(result.folder)
    return result


def resume(
    folder: str | Path,
    *,
    keys: Mapping[str, Any] | None = None,
    registry: Registry | None = None,
    trust_plugins: bool = False,
    listeners: Iterable[Emit] = (),
    stop: Stop | None = None,
) -> RunResult:
    """Go on with a run that was stopped, and return its result.

    Args:
        folder: The run's folder.
        keys: Keys beside its own; only those that change nothing of the result may differ.
        registry: Loaded plugins; by default those that its configuration wants.
        trust_plugins: Whether files that it names in `plugins.load`, which are code, are loaded.
        listeners: Told of every event, after the journal.
        stop: Who takes signals; None for nobody.

    Raises:
        RunFolderError: It is no run's folder, another process works on it, no checkpoint is whole,
            or the run would not be the same any more.
        MedpipeError: The run failed.
    """
    opened = open_folder(folder)
    configuration, plugins = configuration_of(
        opened, keys or {}, registry, trust_plugins=trust_plugins
    )
    return go_on(opened, configuration, plugins, listeners=listeners, stop=stop)


def go_on(
    folder: RunFolder,
    configuration: Configuration,
    registry: Registry,
    *,
    listeners: Iterable[Emit] = (),
    stop: Stop | None = None,
) -> RunResult:
    """Go on with a run whose configuration was read, and write its report; as `resume`."""
    result = resume_run(folder, configuration, registry, listeners=listeners, stop=stop)
    write_report(result.folder)
    return result


def configuration_of(
    folder: RunFolder,
    keys: Mapping[str, Any],
    registry: Registry | None = None,
    *,
    trust_plugins: bool = False,
) -> tuple[Configuration, Registry]:
    """Return the configuration of a run that there is, and the plugins that it wants.

    Args:
        folder: The run's folder.
        keys: Keys beside its own.
        registry: Loaded plugins; by default those that the configuration wants.
        trust_plugins: Whether files that it names in `plugins.load`, which are code, are loaded.

    Raises:
        RunFolderError: It cannot be read, does not fit what is installed now, or names code that
            is not to be trusted.
    """
    base = flatten(folder.configuration())
    if registry is None:
        files = base.get("plugins.load")
        if files and not trust_plugins:
            raise RunFolderError(
                f"the configuration of {folder.path} loads code from {files}; look into it, and "
                "say that you trust it (trust_plugins=True, --trust-plugins), or hand a registry in"
            )
        registry = registry_for(base)
    try:
        return resolve(keys, registry, base=base), registry
    except ConfigurationError as error:
        if keys or error.exit_code != WRONG_WORDS:
            raise
        raise RunFolderError(
            f"the configuration of {folder.path} does not fit what is installed now: {error}"
        ) from error
