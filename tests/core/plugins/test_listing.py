from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

import pytest
from annotated_types import Ge, Lt
from pydantic import BaseModel, Field

from medpipe_core.plugins import list_parameters
from medpipe_core.plugins.parameter_listing import type_text


class Inner(BaseModel):
    width: Annotated[int, Ge(1)] = 8
    rates: tuple[Annotated[float, Ge(0), Lt(1)], ...] = Field((0.5,), description="one a layer")


class Outer(BaseModel):
    name: str
    inner: Inner = Inner(width=16)
    perhaps: Inner | None = None
    several: tuple[Inner, ...] = ()
    made: list[int] = Field(default_factory=lambda: [1, 2])
    odd: Any = Field(default_factory=object)


@pytest.mark.parametrize(
    ("annotation", "text"),
    [
        (int, "int"),
        (None, "None"),
        (type(None), "None"),
        (int | None, "int | None"),
        (tuple[int, ...], "tuple[int, ...]"),
        (dict[str, list[float]], "dict[str, list[float]]"),
        (Literal["a", 3], "'a' | 3"),
        (Annotated[int, Ge(0)], "int"),
        (Callable[[int], str], "Callable[[int], str]"),
        (Any, "Any"),
        ("Mystery", "Mystery"),
    ],
)
def test_types_are_told_as_an_author_would_write_them(annotation, text):
    assert type_text(annotation) == text


def test_parameters_inside_others_are_told_by_dotted_names():
    names = [parameter.name for parameter in list_parameters(Outer)]
    assert names == ["name", "inner.width", "inner.rates", "perhaps", "several", "made", "odd"]


def test_limits_defaults_and_descriptions_are_told():
    told = {parameter.name: parameter for parameter in list_parameters(Outer)}
    assert (told["name"].required, told["name"].default) == (True, None)
    assert (told["inner.width"].default, told["inner.width"].limits) == (16, "≥ 1")
    assert told["inner.rates"].limits == "≥ 0, < 1"
    assert told["inner.rates"].default == [0.5]
    assert told["inner.rates"].description == "one a layer"
    assert told["made"].default == [1, 2]
    assert told["odd"].default.startswith("<object object")
    assert (told["perhaps"].type, told["perhaps"].default) == ("Inner | None", None)
