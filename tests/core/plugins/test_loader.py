from __future__ import annotations

import subprocess
import sys

import pytest

from medpipe_core import load_plugins
from medpipe_core.plugins import KINDS, MissingPluginError, PluginError

BUNDLE = (
    "medpipe-augment3d",
    "medpipe-baselines",
    "medpipe-blocks3d",
    "medpipe-executors",
    "medpipe-folder",
    "medpipe-medmnist3d",
    "medpipe-phantom3d",
    "medpipe-planted",
    "medpipe-preparations",
    "medpipe-scans",
    "medpipe-searchers",
    "medpipe-spaces",
)


def record(registry, name):
    return next(plugin for plugin in registry.plugins if plugin.name == name)


def test_a_plugin_is_found_with_its_provenance(site, good):
    site.install("acme", good(), version="2.1")
    registry = load_plugins()
    assert registry.names("augmentation") == ["gamma"]
    assert registry.origin("augmentation", "gamma") == ("acme", "2.1")
    assert record(registry, "acme").registered == ("augmentation/gamma",)


def test_a_class_with_the_hook_is_a_plugin_too(site):
    site.install(
        "acme",
        """
        from medpipe_core import hookimpl

        class Plugin:
            @hookimpl
            def medpipe_register(self, registry):
                registry.register("dataset", "toy", "acme:Plugin")
        """,
        target="acme:Plugin",
    )
    assert load_plugins().names("dataset") == ["toy"]


BROKEN = {
    "import error": ("import there_is_no_such_module", "ModuleNotFoundError"),
    "no hook": ("x = 1", "has no function medpipe_register"),
    "wrong signature": (
        """
        from medpipe_core import hookimpl

        @hookimpl
        def medpipe_register(registry, surprise): ...
        """,
        "surprise",
    ),
    "hook of another version": (
        """
        from medpipe_core import hookimpl

        @hookimpl
        def medpipe_enrol(registry): ...
        """,
        "medpipe_enrol",
    ),
    "halfway": (
        """
        from medpipe_core import hookimpl

        @hookimpl
        def medpipe_register(registry):
            registry.register("block", "half", lambda: None)
            raise RuntimeError("out of luck")
        """,
        "RuntimeError: out of luck",
    ),
    "unknown kind": (
        """
        from medpipe_core import hookimpl

        @hookimpl
        def medpipe_register(registry):
            registry.register("augmentations", "x", lambda: None)
        """,
        "unknown kind 'augmentations'. Did you mean 'augmentation'",
    ),
    "not a factory": (
        """
        from medpipe_core import hookimpl

        @hookimpl
        def medpipe_register(registry):
            registry.register("block", "x", 3)
        """,
        "factory of 'x' is a int; give a callable or an import string",
    ),
    "exits": ("import sys; sys.exit(3)", "SystemExit: 3"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_plugin_is_left_out_whole_and_harms_no_other(site, good, case):
    code, reason = BROKEN[case]
    site.install("broken", code, version="0.3")
    site.install("working", good())
    registry = load_plugins()
    failed = record(registry, "broken")
    assert failed.status == "failed"
    assert reason in failed.error
    assert "broken 0.3" in failed.error
    assert "plugins.disable=[broken]" in failed.error
    assert registry.names("augmentation") == ["gamma"]
    assert registry.names("block") == []


def test_a_second_claim_names_both_distributions(site, good):
    site.install("first", good())
    site.install("second", good())
    registry = load_plugins()
    error = record(registry, "second").error
    assert "second 1.0 registers augmentation 'gamma', which first 1.0 has already" in error
    assert registry.origin("augmentation", "gamma") == ("first", "1.0")


def test_of_two_plugins_of_one_name_the_second_is_left_out_and_both_are_named(site, good):
    site.install("first", good("one"), entry_point="same")
    site.install("second", good("two"), entry_point="same")
    registry = load_plugins()
    assert [p.status for p in registry.plugins] == ["loaded", "failed"]
    error = registry.plugins[1].error
    assert "second 1.0 was left out: first 1.0 has a plugin of that name" in error
    assert "plugins.disable=[second]" in error
    assert load_plugins(disable=["first"]).names("augmentation") == ["two"]


def test_medpipe_comes_first_so_that_nobody_takes_its_names_away(site, good):
    site.install("acme", good("noise"))
    site.install("medpipe", good("noise"))
    registry = load_plugins()
    assert registry.origin("augmentation", "noise")[0] == "medpipe"
    assert record(registry, "acme").status == "failed"


def test_a_plugin_for_another_version_of_the_interface_is_told(site, good):
    site.install("acme", good())
    info = site.path / "acme-1.0.dist-info" / "entry_points.txt"
    info.write_text(info.read_text().replace(".v1]", ".v2]"))
    error = record(load_plugins(), "acme").error
    assert "made for the plugin interface 'medpipe.plugins.v2'" in error
    assert "this medpipe has 'medpipe.plugins.v1'" in error


def test_a_plugin_for_several_versions_of_the_interface_is_loaded_by_ours(site, good):
    site.install("acme", good())
    info = site.path / "acme-1.0.dist-info" / "entry_points.txt"
    info.write_text(f"{info.read_text()}\n[medpipe.plugins.v2]\nacme = acme.two\n")
    assert [p.status for p in load_plugins().plugins] == ["loaded"]


def test_a_disabled_plugin_is_not_even_imported(site):
    site.install("loud", "raise SystemExit('imported')")
    assert record(load_plugins(disable=["loud"]), "loud").status == "disabled"


def test_strict_raises_with_every_failure(site):
    site.install("one", "import nothing_one")
    site.install("two", "import nothing_two")
    with pytest.raises(PluginError, match=r"nothing_one.*nothing_two"):
        load_plugins(strict=True)


def test_a_plugin_can_be_one_file(site, tmp_path, good):
    site.install("acme", good("other"))
    path = tmp_path / "mine.py"
    path.write_text((tmp_path / "acme.py").read_text().replace('"other"', '"mine"'))
    registry = load_plugins(load=[path])
    assert registry.names("augmentation") == ["mine", "other"]
    assert registry.origin("augmentation", "mine")[0] == "file:mine.py"


def test_a_missing_file_is_a_failed_plugin_with_its_path(site, tmp_path):
    registry = load_plugins(load=[tmp_path / "absent.py"])
    assert "absent.py" in registry.plugins[0].error


def test_a_name_that_may_be_a_broken_plugins_says_so(site):
    site.install("broken", "import nothing")
    with pytest.raises(MissingPluginError, match=r"may belong to .*plugin 'broken'"):
        load_plugins().entry("augmentation", "acme-gamma")


def test_the_bundle_comes_in_through_its_entry_points_and_without_torch():
    code = (
        "import sys, medpipe_core as mp; r = mp.load_plugins(strict=True)\n"
        "print(*(p.name for p in r.plugins)); print('torch' in sys.modules)"
    )
    words = [sys.executable, "-c", code]
    output = subprocess.run(words, capture_output=True, text=True, check=True)
    names, heavy = output.stdout.splitlines()
    assert names.split() == sorted(BUNDLE)
    assert heavy == "False"


@pytest.mark.parametrize("plugin", BUNDLE)
def test_each_bundled_plugin_can_be_disabled_without_breaking_the_rest(plugin):
    registry = load_plugins(disable=[plugin], strict=True)
    assert {p.name for p in registry.plugins if p.status == "loaded"} == set(BUNDLE) - {plugin}
    for kind in KINDS:
        for name in registry.names(kind):
            assert callable(registry.factory(kind, name))
    assert plugin == "medpipe-spaces" or registry.space("medpipe-joint").size()


def test_every_registered_name_of_the_bundle_can_be_imported():
    registry = load_plugins(strict=True)
    for kind in KINDS:
        for name in registry.names(kind):
            assert callable(registry.factory(kind, name))
            assert registry.entry(kind, name).parameters()
