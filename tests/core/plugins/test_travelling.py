"""A registry goes to another process by names: what has none there harms nothing else."""

from __future__ import annotations

import copy
import pickle

import pytest

from medpipe_core import load_plugins
from medpipe_core.plugins import PluginError

LOCAL = """
    from medpipe_core import hookimpl

    def gamma(*, low: float = 0.5):
        return ("gamma", low)

    @hookimpl
    def medpipe_register(registry):
        registry.register("augmentation", "named", gamma)
        registry.register("augmentation", "nameless", lambda *, low=0.5: ("nameless", low))
"""


@pytest.fixture
def registry(site):
    site.install("acme", LOCAL)
    return load_plugins()


def test_what_a_module_has_by_name_works_after_a_journey(registry):
    registry.entry("augmentation", "named").parameters()  # a model made here stays here
    again = pickle.loads(pickle.dumps(registry))
    assert again.plugins == registry.plugins
    assert again.create("augmentation", "named", low=2.0) == ("gamma", 2.0)


def test_what_was_made_inside_a_function_is_told_where_it_is_asked_for(registry):
    again = pickle.loads(pickle.dumps(registry))
    with pytest.raises(PluginError, match=r"'nameless' of acme 1\.0: acme:.*<lambda> was made in"):
        again.create("augmentation", "nameless")
    assert registry.create("augmentation", "nameless") == ("nameless", 0.5)


def test_a_deep_copy_is_the_registry_itself(registry):
    assert copy.deepcopy(registry) is registry
    assert copy.deepcopy({"r": registry})["r"].create("augmentation", "nameless")
