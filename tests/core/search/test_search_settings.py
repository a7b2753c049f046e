from __future__ import annotations

import inspect
import subprocess
import sys

import pytest
from pydantic import ValidationError

from medpipe_core import load_plugins, search
from medpipe_core.search import (
    DecoupledSearcher,
    EvolutionSearcher,
    GumbelSearcher,
    OptunaSearcher,
    RandomSearcher,
)
from medpipe_core.search.searcher_settings import (
    DecoupledSettings,
    EvolutionSettings,
    GumbelSettings,
    OptunaSettings,
    RandomSettings,
)
from medpipe_core.search.settings import SearchSettings


@pytest.mark.parametrize(
    ("factory", "settings"),
    [
        (GumbelSearcher, GumbelSettings),
        (RandomSearcher, RandomSettings),
        (EvolutionSearcher, EvolutionSettings),
        (OptunaSearcher, OptunaSettings),
    ],
)
def test_a_searcher_takes_its_settings_with_the_same_defaults(factory, settings):
    assert settings().model_dump() == keywords_of(factory)


def test_decoupled_takes_gumbels_settings_and_its_own():
    accepted = keywords_of(GumbelSearcher) | keywords_of(DecoupledSearcher)
    assert DecoupledSettings().model_dump() == {**accepted, "model_parameters": {}}


def keywords_of(factory):
    return {
        name: parameter.default
        for name, parameter in inspect.signature(factory).parameters.items()
        if parameter.kind is parameter.KEYWORD_ONLY
    }


def test_every_setting_is_described():
    searchers = (
        GumbelSettings, DecoupledSettings, RandomSettings, EvolutionSettings, OptunaSettings,
    )  # fmt: skip
    for model in (SearchSettings, *searchers):
        assert all(field.description for field in model.model_fields.values())


@pytest.mark.parametrize(
    ("model", "wrong"),
    [
        (SearchSettings, {"epochs": 0}),
        (SearchSettings, {"weights_lr": float("nan")}),
        (SearchSettings, {"batchsize": 4}),
        (GumbelSettings, {"temperature": 0}),
        (GumbelSettings, {"betas": (0.9, 1.0)}),
        (DecoupledSettings, {"first_share": 1.0}),
        (DecoupledSettings, {"first": ""}),
        (RandomSettings, {"lr": 1}),
        (EvolutionSettings, {"population": 1}),
        (EvolutionSettings, {"sample": 11}),
        (EvolutionSettings, {"mutations": 0}),
        (EvolutionSettings, {"crossover": 1.1}),
        (EvolutionSettings, {"paths": "best"}),
        (OptunaSettings, {"sampler": "cmaes"}),
        (OptunaSettings, {"startup": 1}),
    ],
)
def test_settings_that_make_no_sense_are_refused(model, wrong):
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        model(**wrong)


def test_registering_searchers_and_reading_their_settings_waits_for_no_torch():
    program = (
        "import sys, medpipe_core.search.plugin, medpipe_core.search.searcher_settings\n"
        "from medpipe_core import Outcome, Searcher\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", program], check=True)


def test_the_searchers_are_registered_with_their_settings():
    registry = load_plugins()
    assert registry.entry("searcher", "gumbel").parameters() is GumbelSettings
    assert registry.entry("searcher", "random").parameters() is RandomSettings
    assert registry.factory("searcher", "gumbel") is GumbelSearcher
    assert registry.entry("searcher", "decoupled").parameters() is DecoupledSettings
    assert registry.factory("searcher", "decoupled") is DecoupledSearcher
    assert registry.entry("searcher", "evolution").parameters() is EvolutionSettings
    assert registry.factory("searcher", "evolution") is EvolutionSearcher
    assert registry.entry("searcher", "optuna").parameters() is OptunaSettings
    assert registry.factory("searcher", "optuna") is OptunaSearcher


def test_every_public_name_is_there():
    assert all(getattr(search, name) for name in search.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'serach'"):
        _ = search.serach
