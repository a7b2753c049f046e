"""What can be wrong with plugins and what is asked of them."""

from __future__ import annotations

from medpipe_core.errors import MedpipeError


class PluginError(MedpipeError):
    """A plugin that cannot be loaded or used; the text names its distribution and version."""


class UnknownNameError(MedpipeError):
    """A name that no loaded plugin registered."""


class MissingPluginError(UnknownNameError):
    """A name that no loaded plugin registered, and that may be of one that is not there.

    It says which distribution it is of, and that has no plugin here; or some plugin failed or is
    disabled.

    Attributes:
        misspelt: Whether it is so near to a name that is registered that it is likelier meant.
    """

    def __init__(self, text: str, *, misspelt: bool = False) -> None:
        super().__init__(text)
        self.misspelt = misspelt


class ParameterError(MedpipeError):
    """Parameters that do not fit; `problems` has one line for each mistake."""

    def __init__(self, what: str, problems: list[str]) -> None:
        super().__init__(f"{what}: {'; '.join(problems)}")
        self.problems = problems
