"""Every number that is asked for has a range of its own, in which something is meant."""

from __future__ import annotations

import typing

import pytest
from annotated_types import Ge, Gt, Le, Lt
from pydantic import BaseModel

from medpipe_core.config.settings import Keys
from medpipe_core.search import searcher_settings as of_searchers

MODELS = [
    model
    for model in vars(of_searchers).values()
    if isinstance(model, type) and issubclass(model, BaseModel) and model is not BaseModel
]


def numbers(model, path=""):
    """Yield the name, and the bounds, of each field that is a number or may be one."""
    for name, field in model.model_fields.items():
        kinds = [field.annotation, *typing.get_args(field.annotation)]
        for kind in kinds:
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                yield from numbers(kind, f"{path}{name}.")
        bare = {typing.get_args(kind)[0] if _annotated(kind) else kind for kind in kinds}
        if bare & {int, float} and typing.get_origin(field.annotation) is not dict:
            within = [part for kind in kinds if _annotated(kind) for part in kind.__metadata__]
            yield f"{path}{name}", [*field.metadata, *within]


def _annotated(kind):
    return typing.get_origin(kind) is typing.Annotated


FIELDS = [
    pytest.param(bounds, id=f"{model.__name__}.{name}")
    for model in (Keys, *MODELS)
    for name, bounds in numbers(model)
]


def test_the_numbers_are_found():
    assert len(FIELDS) > 40
    names = {field.id for field in FIELDS}
    assert {"Keys.search.epochs", "Keys.threads", "Keys.retrain.lr", "GumbelSettings.lr"} <= names


@pytest.mark.parametrize("bounds", FIELDS)
def test_a_number_is_bounded_above_and_below(bounds):
    assert any(isinstance(bound, Le | Lt) for bound in bounds)
    assert any(isinstance(bound, Ge | Gt) for bound in bounds)
