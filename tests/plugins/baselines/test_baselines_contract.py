"""The bundled models hold to what every model promises."""

from __future__ import annotations

from medpipe_core import load_plugins
from medpipe_core.testing import ModelContract
from medpipe_plugins.baselines import resnet


class TestResNet183D(ModelContract):
    model = resnet.resnet18_3d
    parameters = {"width": 4}


class TestResNet1825D(ModelContract):
    model = resnet.resnet18_25d
    parameters = {"width": 4}


class TestResNet18ACS(ModelContract):
    model = resnet.resnet18_acs
    parameters = {"width": 5}


def test_no_model_is_without_a_contract():
    registry = load_plugins()
    tested = {c.model for c in globals().values() if hasattr(c, "model")}
    assert {registry.factory("model", name) for name in registry.names("model")} <= tested
