"""Estimators are found by name among what is registered, and without a registry in the core."""

from __future__ import annotations

import json

import pytest

from medpipe_core import load_plugins
from medpipe_core.plugins import ParameterError, PluginError, UnknownNameError
from medpipe_core.search import (
    Estimator,
    EstimatorError,
    GumbelSearcher,
    LookAheadEstimator,
    SearcherError,
    search,
)
from medpipe_core.search.registered_estimator import CORE, make_estimator
from medpipe_core.search.searcher_settings import DecoupledSettings, GumbelSettings
from medpipe_core.search.settings import SearchSettings


class Patient(LookAheadEstimator):
    """Looks ahead, but learns nothing before a step."""

    def __init__(self, space, *, patience: int = 3):
        super().__init__(space)
        self.patience = patience

    def surrogate(self, sample, outcome):
        return None if outcome.step < self.patience else super().surrogate(sample, outcome)


@pytest.fixture
def registry():
    return load_plugins().adding("estimator", "acme-patient", Patient)


def test_the_core_registers_its_estimators_as_anybody_does():
    registry = load_plugins()
    assert registry.names("estimator") == sorted(CORE)
    for name in CORE:
        entry = registry.entry("estimator", name)
        assert entry.distribution == "medpipe"
        assert issubclass(entry.load(), Estimator)
        assert type(make_estimator(name, None)) is entry.load()


@pytest.mark.parametrize("searcher", ["gumbel", "decoupled"])
def test_an_estimator_of_another_package_is_made_by_its_name(space, registry, searcher):
    made = _made(registry, searcher, space)
    assert isinstance(made._estimator, Patient)
    assert made._estimator.patience == 7
    assert made._estimator.space is space


def _made(registry, searcher, space):
    given = {"estimator": "acme-patient", "estimator_parameters": {"patience": 7}}
    entry = registry.entry("searcher", searcher)
    arguments = entry.arguments(given, {"registry": registry})
    return entry.make(space, seed=0, steps=10, **arguments)


@pytest.mark.parametrize("settings", [GumbelSettings, DecoupledSettings])
def test_a_misspelt_estimator_is_refused_with_the_nearest_names(registry, settings):
    for wrong, near in (("gates", "gate"), ("acme-patent", "acme-patient")):
        with pytest.raises(ValueError, match=rf"no estimator '{wrong}'. Did you mean .*'{near}'"):
            settings.model_validate({"estimator": wrong}, context={"registry": registry})


def test_parameters_of_an_estimator_are_checked_by_whoever_registered_it(registry):
    entry = registry.entry("searcher", "gumbel")
    context = {"registry": registry}
    for given, words in (
        ({"estimator": "acme-patient", "estimator_parameters": {"patienc": 1}}, "'patience'"),
        ({"estimator": "gate", "estimator_parameters": {"patience": 1}}, "takes no parameters"),
    ):
        with pytest.raises(ParameterError, match=words):
            entry.arguments(given, context)


def test_settings_are_written_as_the_name_that_was_given(registry):
    for given in ({}, {"estimator": "acme-patient"}):
        settings = GumbelSettings.model_validate(given, context={"registry": registry})
        written = settings.model_dump(mode="json")
        assert type(written["estimator"]) is str
        assert written["estimator"] == given.get("estimator", "look-ahead")
        assert json.loads(json.dumps(written)) == {**written, "betas": [0.9, 0.999]}


def test_a_class_can_be_handed_over_in_place_of_a_name(space):
    made = GumbelSearcher(
        space, seed=0, steps=1, estimator=Patient, estimator_parameters={"patience": 2}
    )
    assert made._estimator.patience == 2


def test_a_name_that_only_a_registry_knows_is_told_with_the_remedy(space):
    with pytest.raises(UnknownNameError, match=r"'acme-x' in the core.*registry.create"):
        GumbelSearcher(space, seed=0, steps=1, estimator="acme-x")


def test_what_makes_no_estimator_is_refused(space):
    with pytest.raises(EstimatorError, match=r"made a dict, not a medpipe_core.search.Estimator"):
        GumbelSearcher(space, seed=0, steps=1, estimator=lambda space: {})


def test_an_estimator_that_fails_to_be_made_names_its_distribution(space):
    def broken(space):
        raise KeyError("oh")

    registry = load_plugins().adding("estimator", "broken", broken)
    entry = registry.entry("searcher", "gumbel")
    arguments = entry.arguments({"estimator": "broken"}, {"registry": registry})
    with pytest.raises(PluginError, match=r"estimator 'broken' of this process .*KeyError: 'oh'"):
        entry.make(space, seed=0, steps=1, **arguments)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (lambda probe: None, r"ask\(probe\) returned nothing \(None\), not an Outcome"),
        (lambda probe: 0.5, r"ask\(probe\) returned a float, not an Outcome"),
        (lambda probe: {}["missing"], r"ask\(probe\) failed: KeyError: 'missing'"),
    ],
)
def test_an_estimator_that_asks_wrongly_is_told_with_its_place(space, start, loss, asked, words):
    class Wrong(Patient):
        def ask(self, probe):
            return asked(probe)

    settings = SearchSettings(epochs=1)
    state = start(space, GumbelSearcher, settings=settings, estimator=Wrong)
    with pytest.raises(SearcherError, match=words):
        search(state, settings=settings, loss=loss, score=lambda *_: {"score": 0.5})


def test_a_surrogate_that_is_not_finite_never_reaches_the_logits(space, start, loss):
    class Wrong(Patient):
        def surrogate(self, sample, outcome):
            return sum(sample.log_p.values()) * float("nan")

    settings = SearchSettings(epochs=1)
    state = start(space, GumbelSearcher, settings=settings, estimator=Wrong)
    with pytest.raises(EstimatorError, match=r"Wrong .*surrogate\(...\) gave nan"):
        search(state, settings=settings, loss=loss, score=lambda *_: {"score": 0.5})
    assert not any(theta.any() for theta in state.searcher.state_dict()["theta"].values())


def test_a_sample_has_the_probabilities_of_all_keys(space, start, loss):
    seen = []

    class Sees(Patient):
        def surrogate(self, sample, outcome):
            seen.append(sample)
            return super().surrogate(sample, outcome)

    settings = SearchSettings(epochs=1)
    state = start(space, GumbelSearcher, settings=settings, estimator=Sees)
    search(state, settings=settings, loss=loss, score=lambda *_: {"score": 0.5})
    for sample in seen:
        for path, key in sample.genotype.choices.items():
            every = sample.log_p_of_keys[path]
            assert every.exp().sum().item() == pytest.approx(1)
            assert every[space.choices[path].keys.index(key)] == sample.log_p[path]
