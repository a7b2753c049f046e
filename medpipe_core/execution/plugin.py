"""The core's own executor, registered as anybody's are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from medpipe_core.plugins import hookimpl

if TYPE_CHECKING:
    from medpipe_core.plugins import Registrar


@hookimpl
def medpipe_register(registry: Registrar) -> None:
    """Register `local`."""
    registry.register(
        "executor",
        "local",
        "medpipe_core.execution.local_executor:LocalExecutor",
        parameters="medpipe_core.execution.executor_settings:LocalSettings",
        summary="on this machine: in the run's own process, or in several",
    )
