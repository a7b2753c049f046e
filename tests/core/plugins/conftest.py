"""Small distributions on a path of their own, as installing would leave them."""

from __future__ import annotations

import importlib
import importlib.metadata
import sys
from textwrap import dedent

import pytest


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A folder of installed distributions; the real ones are out of sight."""
    monkeypatch.syspath_prepend(str(tmp_path))
    real = importlib.metadata.distributions

    def only_here(**kwargs):
        return real(path=[str(tmp_path)], **kwargs)

    monkeypatch.setattr(importlib.metadata, "distributions", only_here)
    yield Site(tmp_path)
    # Only these: a library that was first imported here must not be there twice afterwards.
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", None) or "").startswith(str(tmp_path)):
            del sys.modules[name]


class Site:
    def __init__(self, path):
        self.path = path

    def install(self, distribution, code, *, version="1.0", entry_point=None, target=None):
        """Install a distribution with one module and one entry point."""
        module = distribution.replace("-", "_")
        (self.path / f"{module}.py").write_text(dedent(code))
        info = self.path / f"{module}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n"
        )
        (info / "entry_points.txt").write_text(
            f"[medpipe.plugins.v1]\n{entry_point or distribution} = {target or module}\n"
        )
        importlib.invalidate_caches()


GOOD = """
    from medpipe_core import hookimpl

    def gamma(*, low: float = 0.5, high: float = 1.5):
        return ("gamma", low, high)

    @hookimpl
    def medpipe_register(registry):
        registry.register("augmentation", "{name}", gamma, summary="gamma contrast")
"""


@pytest.fixture
def good():
    """Return the code of a plugin that registers one augmentation."""
    return lambda name="gamma": GOOD.replace("{name}", name)
