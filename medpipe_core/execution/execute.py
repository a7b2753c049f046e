"""One run from its configuration: what is checked first, and in which order."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from medpipe_core.config.errors import ConfigurationError, Interrupted
from medpipe_core.execution.checked_dataset import make_dataset
from medpipe_core.execution.pipeline import Pipeline
from medpipe_core.record.environment import environment, plugin_table
from medpipe_core.record.run_folder import RunFolder, create_folder, usable_root
from medpipe_core.space import SearchSpace, SpaceError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from medpipe_core.config.configuration import Configuration
    from medpipe_core.events import Emit
    from medpipe_core.execution.results import RunResult
    from medpipe_core.plugins import Registry


def execute_run(
    configuration: Configuration,
    registry: Registry,
    *,
    listeners: Iterable[Emit] = (),
    on_folder: Callable[[RunFolder], None] | None = None,
) -> RunResult:
    """Execute a checked configuration.

    The data are read before there is a folder, so that a run that is refused leaves none.

    Args:
        configuration: What to run.
        registry: Loaded plugins.
        listeners: Told of every event, after the journal; of `data-reading` before there is one.
        on_folder: Called with the folder as soon as there is one.
    """
    usable_root(configuration.keys.run.root)
    configured_space(configuration, registry)
    dataset = make_dataset(configuration, registry)
    listening = tuple(listeners)
    for listener in listening:
        listener("data-reading")
    development = dataset.development()
    # Only now, after everything that can be checked without it was checked, does torch load.
    import torch

    from medpipe_core.execution.context import RunContext
    from medpipe_core.execution.final_test import TorchFinalTest
    from medpipe_core.execution.ranking import check_run_ranking
    from medpipe_core.execution.rehearsal import rehearse
    from medpipe_core.execution.stages import RunStages

    context = RunContext.of(configuration, registry, dataset.card)
    check_run_ranking(context, development)
    rehearse(context)
    context.check_memory()
    executor = registry.factory("executor", configuration.executor)(
        context, **configuration.parameters["executor"]
    )
    with executor:
        folder = create_folder(configuration)
        if on_folder is not None:
            on_folder(folder)
        folder.write_text(folder.CONFIG, configuration.to_yaml())
        folder.write_json(folder.PLUGINS, plugin_table(registry))
        if (chain := dataset.preparation()) is not None:
            folder.write_json(folder.PREPARATION, chain)
        journal = folder.journal()

        def emit(event: str, /, **fields: Any) -> None:
            for listener in (journal, *listening):
                listener(event, **fields)

        with contextlib.closing(journal), ending_noted(journal):
            emit("run-started", configuration=configuration.flat())
            machine = environment(device=context.device_name, threads=torch.get_num_threads())
            folder.write_json(folder.ENVIRONMENT, machine)
            final_test = TorchFinalTest(configuration, dataset.card)
            stages = RunStages(context, executor)
            result = Pipeline(configuration, dataset, stages, final_test, folder, emit).run()
            emit("run-finished", test=result.content["test"])
    return result


def configured_space(configuration: Configuration, registry: Registry) -> SearchSpace:
    """Describe a configuration's space: only now do its parts tell what they declare.

    Raises:
        ConfigurationError: The parameters do not fit what the parts declare.
        PluginError: A part cannot be imported.
    """
    try:
        space: SearchSpace = registry.space(
            configuration.space, **configuration.parameters["space"]
        )
    except SpaceError as error:
        raise ConfigurationError([f"space={configuration.space}: {error}"]) from error
    return space


@contextlib.contextmanager
def ending_noted(journal: Emit) -> Iterator[None]:
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
