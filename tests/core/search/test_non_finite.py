"""A step that fails names the augmentation that made it fail."""

from __future__ import annotations

import pytest
import torch

from medpipe_core import Augmentation, Group, Operation, SearchSpace, ValueChoice
from medpipe_core.search import RandomSearcher, SearchFailedError, search
from medpipe_core.search.settings import SearchSettings

SETTINGS = SearchSettings(epochs=4)


class Breaks(Augmentation):
    """Divides by nothing in one volume of ten."""

    def draw(self, count, generator):
        return torch.rand(count, generator=generator)

    def apply(self, volumes, amount):
        return volumes / (amount > 0.1).view(-1, 1, 1, 1, 1).float()


class Shelf:
    def __init__(self, other):
        self._other = other

    def factory(self, kind, name):
        return Breaks if name == "breaks" else self._other.factory(kind, name)

    def origin(self, kind, name):
        return ("shelf", "1.0")

    def versions(self):
        return {"shelf": "1.0"}


@pytest.fixture
def breaking(space):
    p = {"p": ValueChoice(0.0, 0.5)}
    root = Group(
        {
            "noise": Operation("augmentation", "noise", {**p, "scale": 0.1}),
            "broken": Operation("augmentation", "breaks", p),
            "net": Operation("block", "conv"),
        }
    )
    return SearchSpace("breaking", root, catalogue=Shelf(space.catalogue))


def test_the_augmentation_that_made_values_that_are_not_finite_is_named(
    breaking, start, loss, journal
):
    state = start(breaking, RandomSearcher, settings=SETTINGS)
    search(state, settings=SETTINGS, loss=loss, score=lambda *_: {"score": 0.5}, emit=journal)
    failed = [step for step in journal.of("search-step") if "failed" in step]
    assert failed
    assert {step["failed"] for step in failed} == {
        "the loss or its gradient is not finite: augmentation 'breaks' of shelf 1.0 (broken) made "
        "values that are not finite"
    }
    assert {step["choices"]["broken/p"] for step in failed} == {"0.5"}


def test_naming_it_draws_nothing_from_the_search(breaking, start, loss, monkeypatch):
    after = []
    for named in (True, False):
        if not named:
            monkeypatch.setattr(
                "medpipe_core.search.training_gradient.not_finite_from", lambda *_: ""
            )
        state = start(breaking, RandomSearcher, settings=SETTINGS)
        search(state, settings=SETTINGS, loss=loss, score=lambda *_: {"score": 0.5})
        after.append(state.generator.get_state())
    assert torch.equal(*after)


def test_a_batch_that_is_not_finite_is_told_apart(space, start, loss, journal):
    state = start(space, RandomSearcher, settings=SETTINGS)
    real = state.training.next

    def poisoned():
        batch = real()
        batch.volumes[0] = torch.nan
        return batch

    state.training.next = poisoned
    search(state, settings=SETTINGS, loss=loss, score=lambda *_: {"score": 0.5}, emit=journal)
    told = {step.get("failed", "") for step in journal.of("search-step")}
    assert told == {
        "the loss or its gradient is not finite: the batch itself has values that are not finite"
    }


def test_a_search_that_only_fails_names_the_augmentation(space, start, loss):
    node = Operation("augmentation", "breaks", {"p": 1.0})
    root = Group({"broken": node, "net": Operation("block", "conv")})
    always = SearchSpace("always", root, catalogue=Shelf(space.catalogue))
    settings = SearchSettings(epochs=40)
    state = start(always, RandomSearcher, settings=settings)
    state.training.size = 200
    with pytest.raises(SearchFailedError, match="augmentation 'breaks'"):
        search(state, settings=settings, loss=loss, score=lambda *_: {"score": 0.5})


def test_a_score_that_is_not_finite_says_which_other_figures_are_not(space, start, loss, journal):
    def score(genotype, network):
        return {"accuracy": 0.5, "auc": float("nan"), "score": float("nan")}

    settings = SearchSettings(epochs=1)
    state = start(space, RandomSearcher, settings=settings)
    search(state, settings=settings, loss=loss, score=score, emit=journal)
    assert journal.of("search-epoch")[0]["failed"] == "the score is not finite, nor is auc"
