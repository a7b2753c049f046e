"""What something that is registered says of what it was given, as an error of the configuration."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from medpipe_core.config.errors import ConfigurationError
from medpipe_core.errors import MedpipeError, MissingExtraError
from medpipe_core.plugins import MissingPluginError, PluginError

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def configured(who: str) -> Iterator[None]:
    """Say of an error whose keys are at fault, as `searcher=evolution`.

    What tells of a plugin that failed or is missing, or of an extra, stays what it is: no other
    value would help.

    Raises:
        ConfigurationError: Any other `MedpipeError`.
    """
    try:
        yield
    except (ConfigurationError, PluginError, MissingPluginError, MissingExtraError):
        raise
    except MedpipeError as error:
        raise ConfigurationError([f"{who}: {error}"]) from error
