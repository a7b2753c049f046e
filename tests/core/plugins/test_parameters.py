from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from pydantic import BaseModel, ConfigDict, Field, field_validator

from medpipe_core.errors import MedpipeError
from medpipe_core.plugins import Entry, ParameterError, PluginError, Registry

if TYPE_CHECKING:
    from nowhere import Mystery

UNSET = object()


class Inner(BaseModel):
    model_config = ConfigDict(extra="forbid")

    sizes: tuple[int, ...] = (1, 2)
    rate: float = Field(0.5, gt=0)


class Settings(BaseModel):
    model_config = ConfigDict(extra="forbid")

    inner: Inner = Inner()
    count: int | str = 3
    name: str

    @field_validator("name")
    @classmethod
    def _short(cls, name: str) -> str:
        if len(name) > 5:
            raise ValueError("At most five letters")
        return name


class Careless(BaseModel):
    width: int = Field(3, alias="w")


def entry_of(factory, parameters=None):
    return Entry("block", "it", "acme", "1.0", "acme", "", factory, parameters)


def create(factory, *args, parameters=None, **given):
    registry = Registry({("block", "it"): entry_of(factory, parameters)}, ())
    return registry.create("block", "it", *args, **given)


def problems(factory, *, parameters=None, **given):
    with pytest.raises(ParameterError) as caught:
        create(factory, parameters=parameters, **given)
    return caught.value.problems


def anything(**given):
    return given


def test_settings_are_what_is_keyword_only_or_has_a_default():
    def factory(in_channels, /, also_handed, kernel=3, *rest, channels: int, _own=0, **more): ...

    assert list(entry_of(factory).parameters().model_fields) == ["kernel", "channels"]


def test_what_the_framework_hands_over_comes_first():
    def factory(in_channels, *, channels: int):
        return in_channels, channels

    assert create(factory, 8, channels=16) == (8, 16)
    assert problems(factory) == ["channels is required"]


def test_a_handed_parameter_may_have_a_default():
    def factory(in_channels=1, *, channels: int = 4):
        return in_channels, channels

    assert create(factory, 8) == (8, 4)


def test_a_default_is_the_factorys_own_object():
    def factory(*, limit: Any = UNSET):
        return limit

    assert create(factory) is UNSET


def test_an_annotation_for_type_checkers_only_allows_anything_and_spoils_no_other():
    def factory(*, odd: Mystery = None, count: int = 0):
        return odd, count

    assert create(factory, odd="x", count="3") == ("x", 3)
    assert len(problems(factory, count="many")) == 1


def test_a_parameter_may_be_called_as_a_method_of_models_is():
    def factory(*, copy: bool = False, schema: str = ""):
        return copy, schema

    assert create(factory, copy=True, schema="s") == (True, "s")


def test_a_class_is_a_factory_by_its_constructor():
    class Block:
        def __init__(self, in_channels: int, *, channels: int = 2) -> None:
            self.shape = in_channels, channels

    assert create(Block, 1, channels=7).shape == (1, 7)


def test_a_signature_that_cannot_be_read_is_told_with_the_remedy():
    with pytest.raises(PluginError, match=r"block 'it' of acme 1.0.*register a pydantic model"):
        entry_of(dict).parameters()


def test_the_model_of_a_signature_is_made_once():
    entry = entry_of(anything)
    assert entry.parameters() is entry.parameters()


def test_a_registered_model_gives_its_defaults_to_the_factory():
    made = create(anything, parameters=Settings, name="abc")
    assert made == {"inner": Inner(), "count": 3, "name": "abc"}


def test_every_mistake_is_told_with_its_dotted_path_value_and_what_is_near():
    told = problems(
        anything,
        parameters=Settings,
        inner={"sizes": [1, "two"], "rat": 1, "rate": -1},
        count=[],
        nmae="x",
    )
    assert told == [
        "inner.sizes.1='two': input should be a valid integer, unable to parse string as an "
        "integer",
        "inner.rate=-1: input should be greater than 0",
        "there is no key 'inner.rat'. Did you mean 'rate'?",
        "count=[]: input should be a valid integer",
        "count=[]: input should be a valid string",
        "name is required",
        "there is no key 'nmae'. Did you mean 'name'?",
    ]


def test_a_models_own_complaint_is_told_in_its_words():
    assert problems(anything, parameters=Settings, name="a" * 900) == [
        "name='aaaaaaaaaaaa...aaaaaaaaaaaaa': at most five letters"
    ]


def test_a_model_that_passes_over_what_it_does_not_know_is_not_let():
    assert problems(anything, parameters=Careless, widht=3) == [
        "there is no key 'widht'. Did you mean 'width'?"
    ]
    assert create(anything, parameters=Careless, w=3) == {"width": 3}


def test_where_there_are_no_parameters_that_is_said():
    assert problems(lambda: 0, p=1) == ["there is no key 'p'. It takes no parameters."]


def test_a_model_may_be_an_import_string():
    entry = entry_of(anything, "medpipe_core.search.searcher_settings:RandomSettings")
    assert entry.parameters().__name__ == "RandomSettings"
    made = create(anything, parameters="medpipe_core.search.searcher_settings:RandomSettings")
    assert made == {"prior_active": 0.0, "known": ()}


@pytest.mark.parametrize(
    ("factory", "parameters", "reason"),
    [
        (anything, "medpipe_core.errors:MedpipeError", "not a pydantic model"),
        (anything, "medpipe_core.errors:Nothing", "cannot be imported"),
        ("medpipe_core.space:__all__", None, "is a list, not callable"),
    ],
)
def test_an_import_string_of_something_else_is_told(factory, parameters, reason):
    with pytest.raises(PluginError, match=rf"block 'it' of acme 1.0.*{reason}"):
        create(factory, parameters=parameters)


def test_an_import_string_may_lead_into_a_class():
    assert entry_of("medpipe_core.space:SearchSpace.from_json").load().__name__ == "from_json"


def test_an_error_of_the_factory_names_its_distribution_and_stays_its_cause():
    def factory():
        raise OSError("no such scan")

    with pytest.raises(
        PluginError, match=r"of acme 1.0 could not be made: OSError: no such scan"
    ) as e:
        create(factory)
    assert isinstance(e.value.__cause__, OSError)


def test_an_error_that_medpipe_raises_on_purpose_passes_unchanged():
    class MissingDataError(MedpipeError):
        pass

    def factory():
        raise MissingDataError("download it first")

    with pytest.raises(MissingDataError):
        create(factory)


def test_an_error_of_the_factory_says_which_line_of_the_plugin_it_was(tmp_path):
    path = tmp_path / "acme_wrong.py"
    path.write_text("import json\n\ndef factory():\n    return json.loads('{')\n")
    names = {"__name__": "acme_wrong"}
    exec(compile(path.read_text(), str(path), "exec"), names)
    with pytest.raises(PluginError, match=r"JSONDecodeError.*\(at .*acme_wrong\.py:4\)"):
        create(names["factory"])
