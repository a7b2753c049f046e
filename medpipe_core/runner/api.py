"""One run from its configuration: the same for the command line and for Python."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from medpipe_core.plugins import load_plugins
from medpipe_core.runner.config import Configuration, resolve
from medpipe_core.runner.dataset import make_dataset
from medpipe_core.runner.environment import environment, plugin_table
from medpipe_core.runner.errors import ConfigurationError, Interrupted
from medpipe_core.runner.folder import RunFolder, create_folder
from medpipe_core.runner.keys import flatten
from medpipe_core.runner.pipeline import Pipeline, RunResult
from medpipe_core.runner.report import write_report
from medpipe_core.space import SearchSpace, SpaceError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from medpipe_core.data import Dataset
    from medpipe_core.events import Emit
    from medpipe_core.plugins import Registry
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
    **keys: Any,
) -> RunResult:
    """Search, evaluate, retrain and test; return the result, which is on the disk as well.

    Args:
        space: Registered space, or one made here.
        searcher: Registered searcher, or a class; its settings are those of its signature.
        dataset: Registered dataset, one made here, or a class that makes one.
        seed: Seed of all the run's randomness.
        preset: quick, laptop or paper.
        registry: Loaded plugins; by default every installed one.
        listeners: Told of every event, beside the journal.
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
    return execute(resolve(given, plugins), plugins, listeners=listeners)


def _added(
    registry: Registry, kind: str, name: str, factory: Callable[..., Any]
) -> tuple[Registry, str]:
    return registry.adding(kind, name, factory), name


def registry_for(given: Mapping[str, Any]) -> Registry:
    """Load the plugins that a configuration wants."""
    return load_plugins(
        disable=_texts(given.get("plugins.disable")),
        load=_texts(given.get("plugins.load")),
        strict=given.get("plugins.strict") is True,
    )


def execute(
    configuration: Configuration,
    registry: Registry,
    *,
    listeners: Iterable[Emit] = (),
    on_folder: Callable[[RunFolder], None] | None = None,
    on_result: Callable[[RunResult, Any], None] | None = None,
) -> RunResult:
    """Execute a checked configuration.

    Args:
        configuration: What to run.
        registry: Loaded plugins.
        listeners: Told of every event, after the journal.
        on_folder: Called with the folder as soon as there is one.
        on_result: Called with the result and the space at the end.
    """
    _check_space(configuration, registry)
    dataset = make_dataset(configuration, registry)
    # Only now, after everything that can be checked without it was checked, does torch load.
    from medpipe_core.runner.final import TorchFinalTest
    from medpipe_core.runner.rehearsal import rehearse
    from medpipe_core.runner.stages import TorchStages

    stages = TorchStages(configuration, registry, dataset.card)
    rehearse(configuration, registry, stages.space, dataset.card)
    stages.check_memory()
    folder = create_folder(configuration)
    if on_folder is not None:
        on_folder(folder)
    folder.write_text(folder.CONFIG, configuration.to_yaml())
    folder.write_json(folder.PLUGINS, plugin_table(registry))
    journal = folder.journal()
    listening = (journal, *listeners)

    def emit(event: str, /, **fields: Any) -> None:
        for listener in listening:
            listener(event, **fields)

    with contextlib.closing(journal), _told(journal):
        emit("run-started", configuration=configuration.flat())
        folder.write_json(
            folder.ENVIRONMENT, environment(device=stages.device_name, threads=stages.threads)
        )
        final_test = TorchFinalTest(configuration, dataset.card)
        result = Pipeline(configuration, dataset, stages, final_test, folder, emit).run()
        emit("run-finished", test=result.content["test"])
    write_report(folder.path)
    if on_result is not None:
        on_result(result, stages.space)
    return result


def _check_space(configuration: Configuration, registry: Registry) -> None:
    """Describe the space before anything is written: only now do its parts tell what they declare.

    Raises:
        ConfigurationError: The parameters do not fit what the parts declare.
        PluginError: A part cannot be imported.
    """
    try:
        registry.space(configuration.space, **configuration.parameters["space"])
    except SpaceError as error:
        raise ConfigurationError([f"space={configuration.space}: {error}"]) from error


@contextlib.contextmanager
def _told(journal: Emit) -> Any:
    """Note in the journal how a run ended that did not end well."""
    try:
        yield
    except (Interrupted, KeyboardInterrupt) as stop:
        with contextlib.suppress(Exception):
            journal("interrupted", reason=str(stop) or type(stop).__name__)
        raise
    except BaseException as error:
        # Where the disk failed, the journal cannot hold it either; the error itself goes on.
        with contextlib.suppress(Exception):
            journal("run-failed", error=type(error).__name__, message=str(error))
        raise


def _texts(value: Any) -> list[str]:
    return [str(v) for v in value] if isinstance(value, list | tuple) else []
