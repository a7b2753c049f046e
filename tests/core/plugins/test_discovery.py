from __future__ import annotations

import importlib.metadata
import sys

import pytest

from medpipe_core import load_plugins
from medpipe_core.plugins import parameters
from medpipe_core.plugins.discovery import installed
from medpipe_core.plugins.distribution_names import normal

HOOK = """
from medpipe_core import hookimpl

@hookimpl
def medpipe_register(registry): ...
"""


def found():
    return [(candidate.distribution, candidate.name) for candidate in installed()]


def test_plugins_come_by_distribution_and_then_by_name(site):
    for distribution in ("zeta", "Beta", "alpha"):
        site.install(distribution, HOOK)
    points = site.path / "Beta-1.0.dist-info" / "entry_points.txt"
    points.write_text("[medpipe.plugins.v1]\nz = Beta\na = Beta\n\n[console_scripts]\nb = x:y\n")
    assert found() == [("alpha", "alpha"), ("Beta", "a"), ("Beta", "z"), ("zeta", "zeta")]
    records = load_plugins().plugins
    assert [record.name for record in records] == ["alpha", "a", "z", "zeta"]
    assert load_plugins().plugins == records


def test_of_a_distribution_that_is_there_twice_the_first_on_the_path_counts(site, monkeypatch):
    site.install("acme", HOOK, version="2.0")
    old = site.path / "old"
    old.mkdir()
    site.path, path = old, site.path
    site.install("acme", HOOK, version="1.0")
    discover = importlib.metadata.Distribution.discover
    monkeypatch.setattr(
        importlib.metadata, "distributions", lambda: discover(path=[str(path), str(old)])
    )
    assert [candidate.version for candidate in installed()] == ["2.0"]


@pytest.mark.parametrize(
    ("file", "text", "reason"),
    [
        ("entry_points.txt", "[medpipe.plugins.v1]\nno equals sign\n", "TypeError"),
        ("METADATA", "Metadata-Version: 2.1\n", "METADATA has no Name"),
    ],
)
def test_damaged_metadata_hides_no_other_distribution(site, good, file, text, reason):
    site.install("acme", HOOK)
    site.install("sound", good())
    folder = site.path / "acme-1.0.dist-info"
    (folder / file).write_text(text)
    registry = load_plugins()
    assert registry.names("augmentation") == ["gamma"]
    (failed,) = [record for record in registry.plugins if record.status == "failed"]
    assert str(folder) in failed.error
    assert reason in failed.error


def test_a_distribution_without_a_version_is_loaded_all_the_same(site, good):
    site.install("acme", good())
    (site.path / "acme-1.0.dist-info" / "METADATA").write_text("Name: acme\n")
    assert load_plugins().origin("augmentation", "gamma") == ("acme", "?")


def test_discovery_imports_no_plugin_and_loading_makes_no_model(site, good, monkeypatch):
    site.install("acme", good())
    installed()
    assert "acme" not in sys.modules
    monkeypatch.setattr(parameters, "create_model", lambda *_, **__: pytest.fail("made a model"))
    assert load_plugins().names("augmentation") == ["gamma"]


def test_spellings_of_a_distribution_are_one():
    assert {normal(name) for name in ("Acme_Blocks", "acme.blocks", "acme--blocks")} == {
        "acme-blocks"
    }
