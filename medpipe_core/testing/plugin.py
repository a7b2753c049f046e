"""What every plugin promises: that it registers whole, and that what it registered is there."""

from __future__ import annotations

import inspect
import sys
from typing import TYPE_CHECKING, Any

import pytest

from medpipe_core.plugins import list_parameters
from medpipe_core.plugins.discovery import Candidate, installed
from medpipe_core.plugins.distribution_names import normal
from medpipe_core.plugins.loader import load_candidates
from medpipe_core.supernet import Augmentation
from medpipe_core.testing.checking import given, in_words, require
from medpipe_core.testing.elsewhere import NotPlainError, as_plain, run_elsewhere
from medpipe_core.testing.plugin_making import TRACES, problem_of_making
from medpipe_core.testing.watching import global_state_kept

if TYPE_CHECKING:
    from medpipe_core.plugins import Entry, Registry

_ONE_LINE = 120
_LIGHTLY = """
import pkgutil
from medpipe_core.plugins.discovery import Candidate
from medpipe_core.plugins.loader import load_candidates
load = lambda: pkgutil.resolve_name(asked["what"])
load_candidates([Candidate("yours", "yours", "0", asked["what"], load)], strict=True)
heavy = {"torch", "kornia", "scipy", "pandas", "sklearn", "monai"}
print("\\n" + json.dumps(sorted(heavy & set(sys.modules))))
"""


class PluginContract:
    """What every plugin promises; inherit it, and say which plugin is meant.

    Attributes:
        plugin: What the entry point names: a module, an object, a class, or an import string such
            as `"acme"` or `"acme.plugin:Plugin"`.
        light: Whether registering must import nothing heavy.

    Example:
        >>> class TestSearchers(PluginContract):
        ...     plugin = "medpipe_core.search.plugin"
        >>> TestSearchers().test_it_registers_whole()
    """

    plugin: Any = None
    light: bool = True

    def test_it_registers_whole(self) -> None:
        """The loader takes it, alone and beside medpipe's own plugins, without an error."""
        registry = self.load()
        require(
            bool(registry.plugins[0].registered),
            "the plugin registers nothing. Call registry.register(kind, name, factory, "
            "summary=...) in its function medpipe_register",
        )
        own = self._medpipes_own()
        record = load_candidates([*own, self.candidate()]).plugins[-1]
        require(
            record.status == "loaded",
            f"the plugin does not load beside medpipe's own. {record.error}",
        )

    def test_everything_it_registers_can_be_imported(self) -> None:
        """Every factory loads, and is what its kind says."""
        for entry in self.entries():
            with in_words(f"the factory of {entry.kind} {entry.name!r} cannot be had."):
                factory = entry.load()
            if entry.kind == "augmentation" and inspect.isclass(factory):
                require(
                    issubclass(factory, Augmentation),
                    f"augmentation {entry.name!r} is the class {factory.__name__}, which is not "
                    "derived from medpipe_core.Augmentation",
                )

    def test_parameters_can_be_listed(self) -> None:
        """The parameters of every name are a model that help and checking can read."""
        for entry in self.entries():
            with in_words(
                f"the parameters of {entry.kind} {entry.name!r} cannot be listed. Annotate the "
                "factory's keyword arguments with types, or register a pydantic model with "
                "parameters=."
            ):
                list_parameters(entry.parameters())

    def test_everything_has_a_summary(self) -> None:
        """Every name has one line that says what it is."""
        for entry in self.entries():
            require(
                bool(entry.summary.strip())
                and "\n" not in entry.summary
                and len(entry.summary) <= _ONE_LINE,
                f"{entry.kind} {entry.name!r} has the summary {entry.summary!r}; give one line, of "
                f"{_ONE_LINE} characters at most, with summary=, for `medpipe list`",
            )

    def test_it_registers_the_same_every_time(self) -> None:
        """Loading it again registers the same names, and leaves global generators alone."""
        with global_state_kept("registering", "Draw nothing while registering"):
            first, again = (self.load().plugins[0].registered for _ in range(2))
        require(
            first == again,
            f"the plugin registers {', '.join(again)} the second time, not {', '.join(first)}. "
            "Keep nothing between calls of medpipe_register",
        )

    def test_registering_imports_nothing_heavy(self) -> None:
        """A fresh process that only registers it does not wait for torch and the like."""
        target = target_of(given(self, "plugin"))
        if not self.light or not target:
            pytest.skip("light = False, or the plugin is no importable module")
        (heavy,) = run_elsewhere(_LIGHTLY, target, f"registering {target}", imported=None)
        require(
            not heavy,
            f"registering {target} imports {' '.join(heavy)}, which every command then waits "
            "for. Register import strings, such as 'acme.gamma:Gamma', and import nothing heavy at "
            "the top of the plugin's module and its package; or set light = False in the test",
        )

    def test_importing_it_leaves_no_trace(self) -> None:
        """Importing it, and all that it registers, prints, seeds, draws and sets nothing."""
        try:
            # A text is followed in the other process alone, so that no trace is left here.
            text = isinstance(self.plugin, str)
            place = self.plugin if text else as_plain(given(self, "plugin"))
        except NotPlainError as error:
            pytest.skip(f"another process cannot import {error}")
        (found,) = run_elsewhere(TRACES, place, "importing the plugin")
        require(
            not found["printed"].strip(),
            f"the plugin prints {found['printed'].strip()[:200]!r} while it, or what it registers, "
            "is imported. Every command imports it, and what commands print is read by programs. "
            "Print nothing at the top of a module; raise an error, or warn where it is used",
        )
        require(
            not found["moved"],
            f"the plugin moves the global random state of {' and '.join(found['moved'])} while it, "
            "or what it registers, is imported, so that whoever imports it draws something else. "
            "Seed and draw nothing at the top of a module; make a generator where it is used",
        )
        require(
            not found["changed"],
            f"the plugin changes {'; '.join(found['changed'])} while it, or what it registers, is "
            "imported, which holds for everybody in the process. Leave it alone",
        )

    def test_everything_it_registers_can_be_made(self) -> None:
        """What is registered takes its parameters, at their defaults, and is what its kind says."""
        registry = load_candidates([*self._medpipes_own(), self.candidate()])
        for entry in self.entries():
            problem = problem_of_making(registry, entry)
            require(not problem, f"{entry.kind} {entry.name!r}: {problem}")

    # For tests of your own

    def candidate(self) -> Candidate:
        """Return the plugin as the loader finds one."""
        return candidate_of(given(self, "plugin"), "yours")

    def _medpipes_own(self) -> list[Candidate]:
        """Return medpipe's own plugins, without the one under test."""
        mine = target_of(given(self, "plugin"))
        return [
            candidate
            for candidate in installed()
            if normal(candidate.distribution) == "medpipe" and candidate.target != mine
        ]

    def load(self) -> Registry:
        """Load the plugin alone."""
        __tracebackhide__ = True
        registry = load_candidates([self.candidate()])
        record = registry.plugins[0]
        require(
            record.status == "loaded",
            f"the plugin does not load, and counts for nothing as a whole. {record.error}",
        )
        return registry

    def entries(self) -> list[Entry]:
        """Return what the plugin registers."""
        registry = self.load()
        names = (text.split("/", 1) for text in registry.plugins[0].registered)
        return [registry.entry(kind, name) for kind, name in names]


def candidate_of(plugin: Any, name: str) -> Candidate:
    """Return a plugin as the loader finds one, under a made-up distribution."""
    return Candidate(name, name, "0", target_of(plugin) or repr(plugin), lambda: plugin)


def target_of(plugin: Any) -> str:
    """Return the import string of a plugin; an empty text where it cannot be imported anew."""
    if inspect.ismodule(plugin):
        return plugin.__name__ if plugin.__name__ in sys.modules else ""
    module = sys.modules.get(getattr(plugin, "__module__", "") or "")
    name = getattr(plugin, "__qualname__", "")
    if module is None or getattr(module, name, None) is not plugin:
        return ""
    return f"{module.__name__}:{name}"
