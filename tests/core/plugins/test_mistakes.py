"""Mistakes of a plugin's author are found on first use, and told with their place."""

from __future__ import annotations

import pytest

from medpipe_core.plugins import PluginError, load_plugins
from medpipe_core.space import SpaceError, operation

HEAD = "from medpipe_core import ValueChoice, hookimpl\n"
OPERATIONS = """
class Right:
    low = ValueChoice(0, 1)

    def __init__(
        self, *, order: int = 2, scale: float = 1, size: tuple[int, ...] = (1, 2),
        given: int = None, layer: type = dict, anything="x",
    ):
        pass


class WrongDefault:
    def __init__(self, *, order: int = "x", size: tuple[int, int] = (1,), fine: int = 1):
        pass


class NoDefault:
    def __init__(self, *, order: int):
        pass


@hookimpl
def medpipe_register(registry):
    registry.register("augmentation", "right", Right)
    registry.register("augmentation", "wrong-default", WrongDefault)
    registry.register("augmentation", "no-default", NoDefault)
"""
LATE = """
@hookimpl
def medpipe_register(registry):
    registry.register("augmentation", "late", "acme_body:Late")
"""
BODY = """from medpipe_core import ValueChoice


class Late:
    low = ValueChoice(0, 1)
    high = ValueChoice(-1, ge=0)
"""


@pytest.fixture
def acme(site):
    site.install("acme-work", HEAD + OPERATIONS)
    return load_plugins(strict=True)


def test_a_default_that_its_annotation_refuses_is_told_before_anything_is_made(acme):
    entry = acme.entry("augmentation", "wrong-default")
    with pytest.raises(PluginError) as caught:
        entry.parameters()
    text = str(caught.value)
    assert text.startswith("augmentation 'wrong-default' of acme-work 1.0: the signature")
    assert "order='x': input should be a valid integer" in text
    assert "size" in text
    assert "fine" not in text
    with pytest.raises(PluginError, match="order='x'"):
        operation(acme, "augmentation", "wrong-default")


def test_a_fixed_parameter_without_a_default_is_told_where_the_operation_is_described(acme):
    with pytest.raises(SpaceError, match="augmentation 'no-default': order is required"):
        operation(acme, "augmentation", "no-default")
    operation(acme, "augmentation", "no-default", {"order": 3})


def test_defaults_that_annotations_take_or_that_are_no_plain_values_are_let_through(acme):
    assert set(acme.entry("augmentation", "right").parameters().model_fields) == {
        "order", "scale", "size", "given", "layer", "anything",
    }  # fmt: skip
    operation(acme, "augmentation", "right")


def test_a_wrong_declaration_in_a_class_body_is_told_with_file_and_line(site):
    site.install("acme-late", HEAD + LATE)
    (site.path / "acme_body.py").write_text(BODY)
    registry = load_plugins(strict=True)
    with pytest.raises(PluginError) as caught:
        registry.factory("augmentation", "late")
    assert "SpaceError: each value must be a whole number ≥ 0, but got -1" in str(caught.value)
    assert "acme_body.py:6)" in str(caught.value)
