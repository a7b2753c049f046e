from __future__ import annotations

import pytest

from medpipe_core import load_plugins
from medpipe_core.plugins import MissingPluginError, PluginError, UnknownNameError


def test_a_failure_says_where_in_the_plugin_it_was(site):
    site.install(
        "acme",
        """
        from medpipe_core import hookimpl

        @hookimpl
        def medpipe_register(registry):
            registry.register("block", "half", lambda: None)
            1 / 0
        """,
    )
    error = load_plugins().plugins[0].error
    assert f"ZeroDivisionError: division by zero (at {site.path / 'acme.py'}:7)" in error
    assert "\n" not in error


def test_a_signature_that_pluggy_refuses_is_told_on_one_line(site):
    site.install(
        "acme",
        """
        from medpipe_core import hookimpl

        @hookimpl
        def medpipe_register(registry, surprise): ...
        """,
    )
    error = load_plugins().plugins[0].error
    assert "surprise" in error
    assert "\n" not in error


def test_ctrl_c_while_a_plugin_loads_is_not_its_failure(site):
    site.install("acme", "raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        load_plugins()


@pytest.mark.parametrize("head", ["@hookimpl", "@staticmethod\n    @hookimpl"])
def test_a_class_whose_hook_takes_only_the_registry_is_a_plugin(site, head):
    site.install(
        "acme",
        f"""
from medpipe_core import hookimpl

class Plugin:
    {head}
    def medpipe_register(registry):
        registry.register("dataset", "toy", "acme:Plugin")
""",
        target="acme:Plugin",
    )
    assert load_plugins(strict=True).names("dataset") == ["toy"]


@pytest.mark.parametrize("name", ["", "two words", "a/b", "a:b", "-x", "a,b", "a=b", None])
def test_a_name_that_a_command_line_could_not_carry_is_refused(site, name):
    site.install(
        "acme",
        f"""
        from medpipe_core import hookimpl

        @hookimpl
        def medpipe_register(registry):
            registry.register("block", {name!r}, "acme:x")
        """,
    )
    assert f"{name!r} cannot name a block" in load_plugins().plugins[0].error


def test_a_plugin_may_not_claim_one_name_twice(site):
    site.install(
        "acme",
        """
        from medpipe_core import hookimpl

        @hookimpl
        def medpipe_register(registry):
            registry.register("block", "x", "acme:x")
            registry.register("block", "x", "acme:y")
        """,
    )
    assert "which acme 1.0 has already" in load_plugins().plugins[0].error


def test_one_name_may_be_of_several_kinds(site):
    site.install(
        "acme",
        """
        from medpipe_core import hookimpl

        @hookimpl
        def medpipe_register(registry):
            registry.register("block", "x", "acme:x")
            registry.register("model", "x", "acme:x")
        """,
    )
    registry = load_plugins(strict=True)
    assert (registry.names("block"), registry.names("model")) == (["x"], ["x"])


@pytest.mark.parametrize("off", ["acme-blocks", "point", "Acme.Blocks", ["point", "other"]])
def test_a_plugin_is_disabled_by_its_own_or_its_distributions_name(site, good, off):
    site.install("acme_blocks", good(), entry_point="point")
    registry = load_plugins(disable=off)
    assert registry.plugins[0].status == "disabled"
    with pytest.raises(MissingPluginError, match="point is disabled"):
        registry.entry("augmentation", "gamma")


def test_a_disabled_plugin_is_no_failure_even_in_strict_loading(site):
    site.install("acme", "import nothing")
    assert load_plugins(disable=["acme"], strict=True).plugins[0].error == ""


def test_without_plugins_the_registry_is_empty_and_works(site):
    registry = load_plugins(strict=True)
    assert registry.plugins == ()
    with pytest.raises(UnknownNameError) as caught:
        registry.entry("space", "medpipe-joint")
    assert not isinstance(caught.value, MissingPluginError)


def test_a_name_asked_of_the_wrong_distribution_says_whose_it_is(site, good):
    site.install("Acme_Blocks", good())
    registry = load_plugins()
    assert registry.entry("augmentation", "acme-blocks:gamma").distribution == "Acme_Blocks"
    with pytest.raises(UnknownNameError, match=r"'gamma' is of Acme_Blocks 1.0"):
        registry.entry("augmentation", "other:gamma")


def test_what_makes_no_space_is_told_as_its_plugins_fault(site):
    site.install(
        "acme",
        """
        from medpipe_core import hookimpl

        @hookimpl
        def medpipe_register(registry):
            registry.register("space", "odd", lambda: 3)
        """,
    )
    with pytest.raises(PluginError, match=r"space 'odd' of acme 1.0 made a int, not a SearchSpace"):
        load_plugins().space("odd")
