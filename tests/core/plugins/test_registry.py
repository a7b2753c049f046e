from __future__ import annotations

import pytest
import torch

from medpipe_core import load_plugins
from medpipe_core.plugins import ParameterError, PluginError, UnknownNameError


@pytest.fixture
def registry(site, good):
    site.install("acme", good())
    return load_plugins()


def test_parameters_follow_from_the_signature(registry):
    model = registry.entry("augmentation", "gamma").parameters()
    assert {n: f.default for n, f in model.model_fields.items()} == {"low": 0.5, "high": 1.5}
    assert registry.create("augmentation", "gamma", high="2") == ("gamma", 0.5, 2.0)


def test_every_wrong_parameter_is_told_at_once(registry):
    with pytest.raises(ParameterError) as caught:
        registry.create("augmentation", "gamma", lwo=1, high="much")
    assert any("no key 'lwo'. Did you mean 'low'?" in p for p in caught.value.problems)
    assert any("high='much'" in p for p in caught.value.problems)


def test_a_name_may_be_qualified_by_its_distribution(registry):
    assert registry.entry("augmentation", "acme:gamma").name == "gamma"
    with pytest.raises(UnknownNameError):
        registry.entry("augmentation", "other:gamma")


@pytest.mark.parametrize("name", [":gamma", "::gamma", "acme::gamma", "acme:"])
def test_half_a_qualified_name_is_none(registry, name):
    with pytest.raises(UnknownNameError, match=f"there is no augmentation '{name}'"):
        registry.entry("augmentation", name)


def test_unknown_names_and_kinds_come_with_what_is_near(registry):
    with pytest.raises(UnknownNameError, match=r"'gama'\. Did you mean 'gamma'\?"):
        registry.entry("augmentation", "gama")
    with pytest.raises(UnknownNameError, match=r"'blocks'\. Did you mean 'block'\?"):
        registry.names("blocks")


def test_an_import_string_that_leads_nowhere_names_its_distribution(site):
    site.install(
        "acme",
        """
        from medpipe_core import hookimpl

        @hookimpl
        def medpipe_register(registry):
            registry.register("block", "gone", "acme:gone")
        """,
    )
    with pytest.raises(PluginError, match=r"block 'gone' of acme 1.0: 'acme:gone' cannot be imp"):
        load_plugins().create("block", "gone")


def test_a_model_is_made_for_the_data_with_its_own_parameters():
    def linear(*, in_channels: int, num_classes: int, bias: bool = True):
        return torch.nn.Linear(in_channels, num_classes, bias=bias)

    registry = load_plugins().adding("model", "linear", linear)
    model = registry.model("linear", in_channels=3, num_classes=2, bias=False)
    assert (model.in_features, model.out_features, model.bias) == (3, 2, None)
    with pytest.raises(ParameterError, match=r"there is no key 'bais'\. Did you mean 'bias'"):
        registry.model("linear", in_channels=3, num_classes=2, bais=False)


def test_what_is_no_network_is_no_model():
    registry = load_plugins().adding("model", "odd", lambda *, in_channels, num_classes: 3)
    with pytest.raises(PluginError, match="made a int, not a torch"):
        registry.model("odd", in_channels=1, num_classes=2)
