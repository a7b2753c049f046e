"""What a description gives to an operation is checked where it is described, or bound at last."""

from __future__ import annotations

import pytest
from torch import nn

from medpipe_core import (
    Augmentation,
    Group,
    Operation,
    OperationChoice,
    Ref,
    SearchSpace,
    Shared,
    Supernet,
    ValueChoice,
    compose,
    load_plugins,
    operation,
)
from medpipe_core.space import SpaceError
from medpipe_core.supernet import BindingError


class Bias(Augmentation):
    low = ValueChoice(0.0, 0.1, ge=0)

    def __init__(self, *, order: int = 2):
        self.order = order

    def draw(self, count, generator, *, low):
        return ()

    def apply(self, volumes):
        return volumes


class Squeeze(nn.Identity):
    reduction = ValueChoice(2, 4, ge=1)

    def __init__(self, in_channels, width=1, *, kernel: int, reduction: int = 4):
        super().__init__()
        self.out_channels = in_channels


def loose(in_channels, **anything):
    return Squeeze(in_channels, kernel=3)


@pytest.fixture(scope="module")
def registry():
    known = load_plugins()
    for kind, name, factory in (
        ("augmentation", "bias", Bias), ("block", "squeeze", Squeeze), ("block", "loose", loose),
    ):  # fmt: skip
        known = known.adding(kind, name, factory)
    return known


def bind(registry, node):
    space = SearchSpace("a", Group({"part": node}), catalogue=registry)
    return Supernet(space, in_channels=1, num_classes=2)


WRONG = [
    ("augmentation", "bias", {"ordr": 3}, "it takes no parameter 'ordr'. Did you mean 'order'?"),
    ("augmentation", "bias", {"order": "x"}, "order='x': input should be a valid integer"),
    ("augmentation", "bias", {"low": -5.0}, "low: each value must be a number ≥ 0, but got -5.0"),
    ("augmentation", "bias", {"low": ValueChoice(0.1, -5.0)}, "but got -5.0"),
    ("block", "squeeze", {"kernal": 3}, "'kernal'. Did you mean 'kernel'?"),
    ("block", "squeeze", {"kernel": ValueChoice(3, "x")}, "kernel='x': input should be a valid"),
    ("block", "squeeze", {"kernel": 3, "reduction": 0}, "≥ 1, but got 0"),
    ("block", "squeeze", {}, "kernel is required"),
]


@pytest.mark.parametrize(("kind", "name", "parameters", "words"), WRONG)
def test_a_wrong_parameter_is_refused_where_the_operation_is_described(
    registry, kind, name, parameters, words
):
    with pytest.raises(SpaceError) as caught:
        operation(registry, kind, name, parameters)
    assert str(caught.value).startswith(f"{kind} '{name}'")
    assert words in str(caught.value)


@pytest.mark.parametrize(("kind", "name", "parameters", "words"), WRONG)
def test_a_wrong_parameter_of_a_bare_operation_is_refused_when_it_is_bound(
    registry, kind, name, parameters, words
):
    low = {} if kind == "block" else {"low": 0.1}
    with pytest.raises(BindingError) as caught:
        bind(registry, Operation(kind, name, {**low, **parameters}))
    assert str(caught.value).startswith(f"part: {kind} '{name}'")
    assert words in str(caught.value)
    assert "this process" in str(caught.value)  # where it is registered


def test_a_shared_value_is_checked_where_it_is_used(registry):
    conv = operation(registry, "block", "squeeze", {"kernel": Ref("kernel")})
    with pytest.raises(BindingError, match=r"part: block 'squeeze': kernel='x'"):
        bind(registry, Shared({"kernel": ValueChoice(3, "x")}, conv))


@pytest.mark.parametrize(
    ("kind", "near"), [("blok", "'block'"), ("augment", "'augmentation'"), ("lr", "Known: ")]
)
def test_an_operation_of_a_kind_that_nothing_runs_is_refused(registry, kind, near):
    node = OperationChoice({"c": Operation(kind, "conv3d", {"channels": 4})})
    with pytest.raises(BindingError, match=rf"part/c: .* of kind '{kind}'.*{near}"):
        bind(registry, node)


def test_what_is_right_binds_whoever_knows_the_operation(registry):
    p = {"p": ValueChoice(0.0, 0.5)}
    parts = {
        "one": operation(registry, "augmentation", "bias", {**p, "order": 3}),
        "two": operation(registry, "block", "squeeze", {"kernel": ValueChoice(1, 3), "width": 2}),
        "three": operation(registry, "block", "loose", {"whatever": "x"}),
    }
    bind(registry, Group(parts))
    merged = compose(
        "both",
        a=SearchSpace("a", parts["one"], catalogue=load_plugins()),
        b=SearchSpace("b", parts["two"], catalogue=registry),
    )
    Supernet(merged, in_channels=1, num_classes=2)
    wrong = Operation("block", "squeeze", {"kernal": 3})
    merged = compose(
        "both",
        a=SearchSpace("a", parts["one"], catalogue=load_plugins()),
        b=SearchSpace("b", wrong, catalogue=registry),
    )
    with pytest.raises(BindingError, match="kernal"):
        Supernet(merged, in_channels=1, num_classes=2)
