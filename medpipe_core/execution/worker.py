"""A worker process: makes what a run's configuration names, and runs the trials it is sent.

It is started as `python -m medpipe_core.execution.worker`, reads messages from its standard input
and answers on what was its standard output; what plugins print goes to the standard error.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING, Any

from medpipe_core.config.configuration import read_file, resolve
from medpipe_core.errors import MedpipeError
from medpipe_core.execution.registry import registry_for

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import BinaryIO

    from medpipe_core.execution.trial import TrialRunner


def main() -> int:
    """Work until the run closes the standard input; return 0."""
    # A signal to the whole group is the run's to answer; it ends its workers.
    for name in ("SIGINT", "SIGTERM", "SIGUSR1"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb", buffering=0)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    orders = os.fdopen(sys.stdin.fileno(), "rb", buffering=0, closefd=False)
    try:
        _work(orders, answers)
    except BrokenPipeError:  # the run is gone
        return 1
    return 0


def _work(orders: BinaryIO, answers: BinaryIO) -> None:
    from medpipe_core.execution.run_memory import RunMemory
    from medpipe_core.execution.worker_messages import read_trial, receive, record_message, send
    from medpipe_core.record.journal import plain_fields

    def emit(event: str, /, **fields: Any) -> None:
        send(answers, {"event": event, "fields": plain_fields(fields)})

    class Memory(RunMemory):
        def waiting(self) -> None:
            if os.getppid() != run:  # the run is gone, and nobody waits for this
                os._exit(1)

        between_steps = waiting

    run = os.getppid()
    memory = Memory()
    runner: TrialRunner | None = None
    while (message := receive(orders)) is not None:
        order, tensors = message
        try:
            if runner is None:
                runner = _runner(order)
                send(answers, {"ready": True})
                continue
            record = runner.run(read_trial(order, tensors), emit, memory)
        except MedpipeError as error:
            send(answers, {"error": str(error)})
            return
        send(answers, {"record": record_message(record)}, record.weights)


def _runner(order: Mapping[str, Any]) -> TrialRunner:
    import torch

    from medpipe_core.execution.checked_dataset import make_dataset
    from medpipe_core.execution.context import RunContext
    from medpipe_core.execution.trial import TrialRunner
    from medpipe_core.memory import use_huge_pages

    use_huge_pages()
    torch.set_num_threads(order["threads"])
    base = read_file(order["configuration"], "the run's configuration")
    registry = registry_for(base)
    configuration = resolve({}, registry, base=base)
    dataset = make_dataset(configuration, registry)
    context = RunContext.of(configuration, registry, dataset.card)
    return TrialRunner(context, dataset.development())


if __name__ == "__main__":
    sys.exit(main())
