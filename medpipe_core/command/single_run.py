"""One run on the command line: progress, the closing text, and what went wrong."""

from __future__ import annotations

import os
import shlex
import sys
from typing import TYPE_CHECKING, Any

from medpipe_core.api import execute, go_on
from medpipe_core.command.output import write_line
from medpipe_core.execution.execute import configured_space

if TYPE_CHECKING:
    from medpipe_core.config.configuration import Configuration
    from medpipe_core.execution.results import RunResult
    from medpipe_core.execution.signals import Stop
    from medpipe_core.plugins import Registry
    from medpipe_core.record.run_folder import RunFolder


def run_one(
    configuration: Configuration,
    registry: Registry,
    stop: Stop,
    folder: RunFolder | None = None,
) -> RunResult:
    """Execute one configuration with progress on the screen and the closing text at the end.

    Args:
        configuration: What to run.
        registry: Loaded plugins.
        stop: Who takes signals.
        folder: The folder of the run where it was stopped and is gone on with.

    Raises:
        Interrupted: A signal came.
        MedpipeError: The run failed.
    """
    from medpipe_core.report.progress import progress_for
    from medpipe_core.report.summary import summary_text

    place: list[RunFolder] = []

    def arrived(folder: RunFolder) -> None:
        place.append(folder)
        write_line(sys.stdout, f"run folder: {folder.path}")

    def begin(**heard: Any) -> RunResult:
        if folder is None:
            return execute(configuration, registry, on_folder=arrived, **heard)
        arrived(folder)
        return go_on(folder, configuration, registry, **heard)

    # Torch's threads wait for each other by spinning, which on a machine shared with other work
    # costs several times the run. It has to be said before torch is imported.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    stop.check()  # one that came while something was imported may have been lost there
    progress = progress_for(sys.stdout)
    try:
        with stop.undisguised():
            result = begin(listeners=[progress], stop=stop)
        progress.close()
        space = configured_space(configuration, registry)
        write_line(sys.stdout, f"\n{summary_text(result, space)}")
        return result
    except BaseException as end:
        progress.close()
        how = "interrupted" if isinstance(end, KeyboardInterrupt) else "failed"
        if place:
            where = place[0].path
            write_line(
                sys.stderr,
                f"{how}; what there is of the run is in {where}; to go on with it: "
                f"medpipe-run --resume {shlex.quote(str(where))}",
            )
        raise
