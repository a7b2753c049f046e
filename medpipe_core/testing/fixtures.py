"""A fixture that keeps installed plugins out of a test."""

from __future__ import annotations

import pkgutil
from typing import TYPE_CHECKING, Any, Protocol

import pytest

from medpipe_core.plugins import Registry, loader
from medpipe_core.testing.plugin import candidate_of

if TYPE_CHECKING:
    from medpipe_core.plugins.discovery import Candidate


class HandIn(Protocol):
    """Hands plugins in: modules, objects, classes or import strings."""

    def __call__(self, *plugins: Any, strict: bool = True) -> Registry:
        """Load just these; with `strict` a broken one is a `PluginError`."""


@pytest.fixture
def only_these_plugins(monkeypatch: pytest.MonkeyPatch) -> HandIn:
    """Let the test alone say which plugins there are; at first there are none.

    The function that it gives loads plugins and returns their registry. Until the test is over,
    `load_plugins` and everything that calls it find these, whatever is installed.
    """
    found: list[Candidate] = []
    monkeypatch.setattr(loader, "installed", lambda: list(found))

    def hand_in(*plugins: Any, strict: bool = True) -> Registry:
        found[:] = [
            candidate_of(pkgutil.resolve_name(p) if isinstance(p, str) else p, f"plugin{number}")
            for number, p in enumerate(plugins, 1)
        ]
        return loader.load_plugins(strict=strict)

    return hand_in
