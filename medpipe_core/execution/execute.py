"""One run from its configuration: what is checked first, and in which order."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from medpipe_core.config.errors import RunFolderError
from medpipe_core.execution.checked_dataset import make_dataset
from medpipe_core.execution.configured import configured
from medpipe_core.execution.results import RunResult
from medpipe_core.execution.run_identity import differences, run_identity
from medpipe_core.plugins import REGISTRY
from medpipe_core.record.checksums import delete_files
from medpipe_core.record.environment import environment, plugin_table
from medpipe_core.record.predictions_csv import split_csv
from medpipe_core.record.run_folder import RunFolder, create_folder, usable_root
from medpipe_core.record.run_lock import RunLock
from medpipe_core.space import Genotype, SearchSpace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from medpipe_core.config.configuration import Configuration
    from medpipe_core.events import Emit
    from medpipe_core.execution.checked_dataset import CheckedDataset
    from medpipe_core.execution.checkpointing import CheckpointedMemory
    from medpipe_core.execution.context import RunContext
    from medpipe_core.execution.executor import Executor
    from medpipe_core.execution.signals import Stop
    from medpipe_core.plugins import Registry
    from medpipe_core.record.checkpoints import Checkpoint
    from medpipe_core.record.journal import Journal


def execute_run(
    configuration: Configuration,
    registry: Registry,
    *,
    listeners: Iterable[Emit] = (),
    on_folder: Callable[[RunFolder], None] | None = None,
    stop: Stop | None = None,
) -> RunResult:
    """Execute a checked configuration.

    The data are read before there is a folder, so that a run that is refused leaves none.

    Args:
        configuration: What to run.
        registry: Loaded plugins.
        listeners: Told of every event, after the journal; of `data-reading` before there is one.
        on_folder: Called with the folder as soon as there is one.
        stop: Who takes signals; None for nobody.
    """
    usable_root(configuration.keys.run.root)
    with _prepared(configuration, registry, listeners, stop) as work:
        folder = create_folder(configuration)
        with RunLock(folder.path):
            if on_folder is not None:
                on_folder(folder)
            return work.run(folder, listeners, stop, None)


def resume_run(
    folder: RunFolder,
    configuration: Configuration,
    registry: Registry,
    *,
    listeners: Iterable[Emit] = (),
    stop: Stop | None = None,
) -> RunResult:
    """Go on with a run that was stopped; the result of one that is finished is there already.

    What has happened after the last checkpoint happens once more, and what the journal says of it
    is dropped. Without a checkpoint the run begins anew in its folder.

    Args:
        folder: Its folder.
        configuration: Its configuration, as it is now.
        registry: Loaded plugins.
        listeners: Told of every event, after the journal. Those that have a method `catch_up` are
            handed the events of before.
        stop: Who takes signals; None for nobody.

    Raises:
        RunLockedError: Another process works on it.
        RunFolderError: No checkpoint is whole, or the run would not be the same any more.
    """
    with RunLock(folder.path):
        from medpipe_core.record.checkpoints import Checkpoints

        if folder.finished:  # some of its checkpoints may be left, of each perhaps a part
            delete_files(folder.path / folder.CHECKPOINTS)
        checkpoint = Checkpoints(folder.path / folder.CHECKPOINTS).newest()
        ended = checkpoint is None and (folder.path / folder.RESULT).is_file()
        if folder.finished or ended:
            content = folder.result()
            genotype = Genotype.from_dict(content["genotype"])
            return RunResult(folder.path, genotype, content)
        with _prepared(configuration, registry, listeners, stop) as work:
            return work.run(folder, listeners, stop, checkpoint)


@contextlib.contextmanager
def _prepared(
    configuration: Configuration,
    registry: Registry,
    listeners: Iterable[Emit],
    stop: Stop | None,
) -> Iterator[_Work]:
    """Check all that can be checked before there is a folder; have what a run works with.

    A signal ends this at once. Where a library swallows what it raises, it is asked for again.
    """
    check = stop.check if stop is not None else lambda: None
    space = configured_space(configuration, registry)
    _check_given(configuration, registry, space)
    dataset = make_dataset(configuration, registry)
    for listener in listeners:
        listener("data-reading")
    development = dataset.development()
    check()
    # Only now, after everything that can be checked without it was checked, does torch load.
    from medpipe_core.execution.context import RunContext
    from medpipe_core.execution.rehearsal import rehearse
    from medpipe_core.execution.volume_check import check_run_volumes

    check()
    context = RunContext.of(configuration, registry, dataset.card)
    check_run_volumes(context, development, searches=rehearse(context))
    context.check_memory()
    executor = registry.factory("executor", configuration.executor)(
        context, **configuration.parameters["executor"]
    )
    identity = run_identity(configuration, registry, space, dataset.card)
    with executor:
        check()
        yield _Work(context, dataset, executor, identity)


class _Work:
    """A run that is ready to be begun, or gone on with, in its folder."""

    def __init__(
        self,
        context: RunContext,
        dataset: CheckedDataset,
        executor: Executor,
        identity: dict[str, dict[str, Any]],
    ) -> None:
        self._context = context
        self._dataset = dataset
        self._executor = executor
        self._identity = identity

    def run(
        self,
        folder: RunFolder,
        listeners: Iterable[Emit],
        stop: Stop | None,
        checkpoint: Checkpoint | None,
    ) -> RunResult:
        """Do the work; a checkpoint is gone on from."""
        saved = None if checkpoint is None else checkpoint.state
        if saved is not None:
            _refuse_changes(folder, saved["identity"], self._identity)
        journal = folder.journal()
        with contextlib.closing(journal), ending_noted(journal):
            dropped = journal.cut(None if saved is None else saved["journal"])
            listening = [journal, *listeners]

            def emit(event: str, /, **fields: Any) -> None:
                for listener in listening:
                    listener(event, **fields)

            memory = self._memory(folder, journal, stop, saved)
            if checkpoint is None:
                self._begin(folder, emit)
                memory.save()
            else:
                self._describe(folder)  # whatever became of these files meanwhile
                catch_up(listeners, folder.events())
                emit("resumed", checkpoint=checkpoint.number, dropped=dropped)
                for problem in checkpoint.damaged:
                    emit("resume-warning", message=f"{problem}; the one before it is used")
            result = self._through(folder, emit, memory)
            emit("run-finished", test=result.content["test"])
        folder.finish()
        return result

    def _memory(
        self, folder: RunFolder, journal: Journal, stop: Stop | None, saved: Any
    ) -> CheckpointedMemory:
        from medpipe_core.execution.checkpointing import CheckpointedMemory
        from medpipe_core.record.checkpoints import Checkpoints

        checkpoints = Checkpoints(folder.path / folder.CHECKPOINTS)

        def write(run: Any) -> None:
            state = {"identity": self._identity, "journal": journal.position(), "run": run}
            checkpoints.save(state)

        earlier = None if saved is None else saved["run"]
        return CheckpointedMemory(self._context.keys.checkpoint, write, stop=stop, saved=earlier)

    def _begin(self, folder: RunFolder, emit: Emit) -> None:
        import torch

        from medpipe_core.execution.device import slow_convolutions

        context = self._context
        emit("run-started", configuration=context.configuration.flat())
        if slow := slow_convolutions(
            context.computing,
            torch_version=torch.__version__,
            cudnn_version=torch.backends.cudnn.version(),  # type: ignore[no-untyped-call]
        ):
            emit("device-warning", message=slow)
        self._describe(folder)

    def _describe(self, folder: RunFolder) -> None:
        """Write what is known before the search begins."""
        import torch

        from medpipe_core.execution.data_card import DataCard
        from medpipe_core.execution.final_test import development_rows

        context = self._context
        folder.write_json(folder.PLUGINS, plugin_table(context.registry))
        if (chain := self._dataset.preparation()) is not None:
            folder.write_json(folder.PREPARATION, chain)
        if (facts := self._dataset.scan_facts()) is not None:
            folder.write_json(folder.SCANS, facts)
        development = self._dataset.development()
        folder.write_text(folder.SPLIT, split_csv(development_rows(development, context.card)))
        card = DataCard(context.card, development, seed=context.keys.seed)
        folder.write_json(folder.DATA_CARD, card.content())
        machine = environment(device=context.device_name, threads=torch.get_num_threads())
        folder.write_json(folder.ENVIRONMENT, machine)

    def _through(self, folder: RunFolder, emit: Emit, memory: CheckpointedMemory) -> RunResult:
        from medpipe_core.execution.final_test import TorchFinalTest
        from medpipe_core.execution.pipeline import Pipeline
        from medpipe_core.execution.remembering_executor import RememberingExecutor
        from medpipe_core.execution.stages import RunStages

        configuration, dataset = self._context.configuration, self._dataset
        final_test = TorchFinalTest(configuration, dataset.card)
        stages = RunStages(self._context, RememberingExecutor(self._executor, memory))
        pipeline = Pipeline(
            configuration,
            dataset,
            stages,
            final_test,
            folder,
            emit,
            memory,
            reading=dataset.seconds,
        )
        return pipeline.run()


def catch_up(listeners: Iterable[Emit], events: Iterable[dict[str, Any]]) -> None:
    """Hand the events of before to the listeners that want to know how far a run has come."""
    before = list(events)
    for listener in listeners:
        take = getattr(listener, "catch_up", None)
        if take is not None:
            take(before)


def _refuse_changes(folder: RunFolder, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    changed = list(differences(before, now))
    if changed:
        raise RunFolderError(
            f"the run in {folder.path} cannot be gone on with, because it would not be the same: "
            f"{'; '.join(changed)}. Put that back, or start anew: medpipe-run --config "
            f"{folder.path}"
        )


def configured_space(configuration: Configuration, registry: Registry) -> SearchSpace:
    """Describe a configuration's space: only now do its parts tell what they declare.

    Raises:
        ConfigurationError: The parameters do not fit what the parts declare.
        PluginError: A part cannot be imported.
    """
    with configured(f"space={configuration.space}"):
        space: SearchSpace = registry.space(
            configuration.space, **configuration.parameters["space"]
        )
    return space


def _check_given(configuration: Configuration, registry: Registry, space: SearchSpace) -> None:
    """Ask a searcher's settings what they say of a space, before minutes go into data.

    Raises:
        ConfigurationError: They have what the space has not, or what cannot be read.
        PluginError: They failed.
    """
    name = configuration.searcher
    given, known = configuration.parameters["searcher"], {REGISTRY: registry}
    with configured(f"searcher={name}"):
        registry.entry("searcher", name).check_space(
            space, given, known, seed=configuration.keys.seed
        )


@contextlib.contextmanager
def ending_noted(journal: Emit) -> Iterator[None]:
    """Note in the journal how a run ended that did not end well."""
    try:
        yield
    except KeyboardInterrupt as stop:
        with contextlib.suppress(Exception):
            journal("interrupted", reason=str(stop) or type(stop).__name__)
        raise
    except BaseException as error:
        # Where the disk failed, the journal cannot hold it either; the error itself goes on.
        with contextlib.suppress(Exception):
            journal("run-failed", error=type(error).__name__, message=str(error))
        raise
