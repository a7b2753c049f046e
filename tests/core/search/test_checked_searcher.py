"""What the loop makes of a searcher that answers what it must not."""

from __future__ import annotations

import pytest

from medpipe_core import Budget, Decision, ResourceMeter, SearchSpace
from medpipe_core.search import BudgetError, RandomSearcher, SearcherError, search
from medpipe_core.search.checked_searcher import CheckedSearcher
from medpipe_core.search.settings import SearchSettings
from medpipe_core.space import Limit

SETTINGS = SearchSettings(epochs=1, candidates=2)


class Careless(RandomSearcher):
    """Answers right, but for what a test gives."""

    def __init__(self, space, *, answers=None, **given):
        super().__init__(space, **given)
        self.answers = answers or {}

    def decide(self, step):
        return self.answer("decide", super().decide, step)

    def propose(self, count):
        return self.answer("propose", super().propose, count)

    def best(self):
        return self.answer("best", super().best)

    def answer(self, question, usual, *args):
        found = self.answers.get(question, usual)
        return found(*args) if callable(found) else found


def run(start, loss, space, **answers):
    state = start(space, Careless, settings=SETTINGS, answers=answers)
    return search(state, settings=SETTINGS, loss=loss, score=lambda *_: {"score": 0.5})


@pytest.fixture
def tight(space):
    """The same space with a budget that its largest network breaks, and that genotype."""
    limited = SearchSpace(
        "tight", space.root, budget=Budget(parameters=100), catalogue=space.catalogue
    )
    meter = ResourceMeter(limited, in_channels=1, num_classes=2, size=(3, 3, 3))
    genotypes = map(limited.unrank, range(limited.size()))
    return limited, meter, next(g for g in genotypes if not meter.admits(g))


@pytest.mark.parametrize("question", ["decide", "propose", "best"])
def test_a_genotype_above_the_budget_is_refused_whatever_the_searcher_thinks(
    tight, start, loss, question
):
    space, meter, large = tight
    answers = {
        "decide": lambda step: Decision(large),
        "propose": lambda count: [large],
        "best": lambda: large,
    }
    state = start(
        space, Careless, settings=SETTINGS, admit=meter.admits,
        answers={question: answers[question]},
    )  # fmt: skip
    state.admit, state.who = meter.admits, "searcher 'careless' of acme 1.0"
    with pytest.raises(SearcherError) as caught:
        search(state, settings=SETTINGS, loss=loss, score=lambda *_: {"score": 0.5})
    text = str(caught.value)
    assert text.startswith(f"searcher 'careless' of acme 1.0: {question}(")
    assert "Budget(parameters=100" in text
    assert "self.admitted(draw)" in text
    assert large.digest in text


def test_a_searcher_that_is_asked_alone_answers_for_its_own_budget(tight):
    space, meter, large = tight
    searcher = Careless(space, seed=0, steps=1, admit=meter.admits, answers={"best": lambda: large})
    with pytest.raises(SearcherError, match=r"Careless \(.*test_checked_searcher\): best\(\) gave"):
        CheckedSearcher(searcher, space).best()
    assert meter.admits(CheckedSearcher(searcher, space, admit=meter.admits).decide(0).genotype)


def test_a_broken_constraint_is_told_with_its_reason(space, start, loss):
    limit = Limit({"layer": ["blind"]}, at_most=0, reason="it hands on nothing")
    bound = SearchSpace("bound", space.root, constraints=[limit], catalogue=space.catalogue)
    keys = {"layer": "blind"}
    blind = bound.decide(lambda choice: keys.get(choice.path, choice.keys[0]))
    with pytest.raises(SearcherError, match="it hands on nothing"):
        run(start, loss, bound, decide=lambda step: Decision(blind))


@pytest.mark.parametrize(
    ("question", "answer", "words"),
    [
        ("decide", lambda step: None, r"decide\(0\) returned nothing \(None\), not a Decision"),
        ("propose", lambda count: None, r"propose\(2\) returned nothing \(None\), not a list"),
        ("propose", lambda count: ["x"], r"propose\(2\) returned a str, not a Genotype"),
        ("best", lambda: None, r"best\(\) returned nothing \(None\), not a Genotype"),
    ],
)
def test_an_answer_of_another_type_names_the_searcher_and_what_is_asked(
    space, start, loss, question, answer, words
):
    with pytest.raises(SearcherError, match=f"searcher Careless .*{words}"):
        run(start, loss, space, **{question: answer})


def test_a_genotype_in_place_of_a_decision_is_told_with_the_remedy(space, start, loss):
    with pytest.raises(SearcherError, match=r"a Genotype, not a Decision. Return Decision\("):
        run(start, loss, space, decide=space.unrank)


def test_a_genotype_of_another_space_is_refused(space, start, loss):
    other = SearchSpace("other", space.root, budget=Budget(parameters=10**9))
    with pytest.raises(SearcherError, match=r"best\(\) gave what is no member .* digest"):
        run(start, loss, space, best=lambda: other.sample(seed=0))


def test_a_searcher_that_answers_right_is_left_alone(space, start, loss):
    assert len(run(start, loss, space)) == 2


def test_asking_for_what_was_just_admitted_measures_nothing_again(tight, monkeypatch):
    space, meter, _ = tight
    searcher = RandomSearcher(space, seed=0, steps=1, admit=meter.admits)
    measured = []
    real = ResourceMeter.__call__
    monkeypatch.setattr(
        ResourceMeter, "__call__", lambda self, g: (measured.append(g), real(self, g))[1]
    )
    decided = CheckedSearcher(searcher, space, admit=meter.admits).decide(0).genotype
    assert measured.count(decided) == 1


def stumbles(*_):
    return {}["missing"]


@pytest.mark.parametrize("question", ["decide", "propose", "best", "observe", "insight"])
def test_an_error_in_a_searcher_names_it_the_place_and_keeps_its_cause(
    space, start, loss, monkeypatch, question
):
    state = start(space, Careless, settings=SETTINGS)
    state.who = "searcher 'careless' of acme 1.0"
    monkeypatch.setattr(Careless, question, stumbles)
    with pytest.raises(SearcherError) as caught:
        search(state, settings=SETTINGS, loss=loss, score=lambda *_: {"score": 0.5})
    text = str(caught.value)
    assert text.startswith(f"searcher 'careless' of acme 1.0: {question}(")
    assert "failed: KeyError: 'missing' (at " in text
    assert "test_checked_searcher.py:" in text
    assert "SearcherContract" in text
    assert isinstance(caught.value.__cause__, KeyError)
    assert caught.value.__cause__.__traceback__ is not None


def test_what_a_searcher_says_on_purpose_is_told_as_it_is(space, start, loss):
    def hopeless(step):
        raise BudgetError("nothing keeps the budget")

    with pytest.raises(BudgetError, match=r"^nothing keeps the budget$"):
        run(start, loss, space, decide=hopeless)


def test_a_signal_passes_through_a_searcher(space, start, loss):
    def stopped(step):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(start, loss, space, decide=stopped)
