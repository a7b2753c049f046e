"""What can be wrong with plugins and what is asked of them."""

from __future__ import annotations

import sys
import traceback

from medpipe_core.errors import MedpipeError

# Frames of these modules are how a plugin was reached, not where it failed.
_MACHINERY = {"pluggy", "medpipe_core", *sys.stdlib_module_names}


class PluginError(MedpipeError):
    """A plugin that cannot be loaded or used; the text names its distribution and version."""


class UnknownNameError(MedpipeError):
    """A name that no loaded plugin registered."""


class MissingPluginError(UnknownNameError):
    """A name that no loaded plugin registered, while some plugin failed or is disabled."""


class ParameterError(MedpipeError):
    """Parameters that do not fit; `problems` has one line for each mistake."""

    def __init__(self, what: str, problems: list[str]) -> None:
        super().__init__(f"{what}: {'; '.join(problems)}")
        self.problems = problems


def place_of(error: BaseException) -> str:
    """Return where in a plugin an error came up, as ` (at file:line)`.

    It is the innermost frame of the package that was entered first outside of medpipe, not where a
    library that the plugin calls raised. The text is empty where the plugin never began to run.
    """
    package = place = ""
    for frame, line in traceback.walk_tb(error.__traceback__):
        module = frame.f_globals.get("__name__", "")
        top = module.partition(".")[0]
        if top in _MACHINERY or (package and top != package):
            continue
        package, place = top, f" (at {frame.f_code.co_filename}:{line})"
    return place
