from __future__ import annotations

import copy
import json
import math

import pytest
import torch

from medpipe_core import Decision, Operation, OperationChoice
from medpipe_core.search import (
    BudgetError,
    GumbelSearcher,
    NoBatches,
    RandomSearcher,
    ScoreError,
    Searcher,
    SearchFailedError,
    advance,
    search,
)
from medpipe_core.search.settings import SearchSettings


def score(genotype, network):
    """Rate a network by the sum of its weights, so that scores differ."""
    return {"score": float(sum(weight.detach().sum() for weight in network.parameters()))}


def one_of(*names):
    return OperationChoice({name: Operation("block", name) for name in names})


class Fixed(Searcher):
    """Decides for the genotypes of a list, in turns, and keeps what it is told."""

    def __init__(self, space, *, turns, needs=(), **kwargs):
        super().__init__(space, **kwargs)
        self.turns, self.needs, self.outcomes = turns, frozenset(needs), []

    def decide(self, step):
        genotype = self.turns[step % len(self.turns)]
        self.gates = {path: torch.ones((), requires_grad=True) for path in genotype}
        return Decision(genotype, self.gates)

    def observe(self, outcome):
        self.outcomes.append(outcome)

    def best(self):
        return self.turns[0]

    def state_dict(self):
        return {}

    def load_state_dict(self, state):
        pass


def member(space, **keys):
    """Return the genotype with these keys, and the first key of every other choice."""
    return space.decide(lambda choice: keys.get(choice.path, choice.keys[0]))


def changed(before, module):
    return {
        name for name, value in module.state_dict().items() if not torch.equal(value, before[name])
    }


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("names", [("blind", "sees"), ("sees", "blind")])
def test_the_gate_finds_the_candidate_that_sees(make_space, start, loss, names, seed):
    space = make_space(layer=one_of(*names))
    # Weights first: while the classifier is wrong, seeing makes it worse.
    settings = SearchSettings(epochs=20, warmup_epochs=8, weights_lr=0.1)
    state = start(space, GumbelSearcher, settings=settings, lr=0.1, seed=seed, estimator="gate")
    search(state, settings=settings, loss=loss, score=score)
    assert state.searcher.probabilities()["layer"]["sees"] > 0.8
    assert state.searcher.best()["layer"] == "sees"


def test_weights_that_a_step_did_not_sample_get_no_gradient_no_decay_and_no_momentum(
    space, start, loss
):
    settings = SearchSettings(epochs=1, weight_decay=0.5, weights_lr=0.1)
    turns = [member(space, layer="sees"), member(space, layer="conv")]
    state = start(space, Fixed, settings=settings, turns=turns)
    steps = []

    def listen(event, /, **fields):
        if event == "search-step":
            saved = state.state_dict()
            steps.append(copy.deepcopy({k: saved[k] for k in ("supernet", "optimiser")}))

    search(state, settings=settings, loss=loss, score=score, emit=listen)
    sees, conv, never = (
        [n for n, _ in state.supernet.named_parameters() if f"layer/{key}" in n]
        for key in ("sees", "conv", "blind")
    )
    # Steps 0 and 2 ran `sees`, steps 1 and 3 `conv`.
    one, two, three = (step["supernet"] for step in steps[1:])
    assert all(torch.equal(one[n], two[n]) for n in conv)
    assert all(torch.equal(two[n], three[n]) for n in sees)
    assert not any(torch.equal(two[n], three[n]) for n in conv)
    moments = [step["optimiser"] for step in steps]
    assert all(moments[1][n]["step"] == moments[2][n]["step"] == 1 for n in conv)
    assert all(torch.equal(moments[1][n]["exp_avg"], moments[2][n]["exp_avg"]) for n in conv)
    assert not any(n in moments[3] for n in never)


def test_the_searchers_pass_changes_no_weight_gradient_and_no_statistic(space, start, loss):
    conv = member(space, layer="conv")
    informed, blind = (
        start(space, Fixed, turns=[conv], needs=needs) for needs in (["gate_gradients"], [])
    )
    # With p = 0 nothing is drawn, so both see the same training batches through the same path.
    for state in (informed, blind):
        search(state, settings=SearchSettings(epochs=2), loss=loss, score=score)
    assert informed.validation.number == 8
    assert blind.validation.number == 0
    assert not changed(informed.supernet.state_dict(), blind.supernet)
    assert all(gate.grad is None for gate in informed.searcher.gates.values())


def test_gradients_are_those_of_the_validation_loss_on_batch_statistics(space, start, loss):
    genotype = member(space, layer="conv")
    settings = SearchSettings(epochs=1)
    state = start(space, Fixed, settings=settings, turns=[genotype], needs=["gate_gradients"])
    told = state.searcher.outcomes
    search(state, settings=settings, loss=loss, score=score)
    # The last step's, again by hand: the supernet has not changed since.
    state.validation.number -= 1
    batch = state.validation.next()
    decision = state.searcher.decide(0)
    value = loss(state.supernet(batch.volumes, decision), batch.labels)
    gates = list(decision.gates)
    by_hand = torch.autograd.grad(value, list(decision.gates.values()), allow_unused=True)
    last = told[-2]
    assert last.validation_loss == pytest.approx(value.item())
    for path, gradient in zip(gates, by_hand, strict=True):
        if gradient is not None:
            assert last.gate_gradients[path] == pytest.approx(gradient.item(), abs=1e-6)
    assert last.gate_gradients.keys() <= set(gates)
    assert {"layer", "deep"} <= last.gate_gradients.keys()


def test_a_searcher_that_needs_the_loss_alone_gets_no_gradient(space, start, loss):
    state = start(space, Fixed, turns=[member(space)], needs=["validation_loss"])
    search(state, settings=SearchSettings(epochs=1), loss=loss, score=score)
    assert [o.gate_gradients for o in state.searcher.outcomes] == [{}] * 5
    assert all(math.isfinite(o.validation_loss) for o in state.searcher.outcomes[:-1])


def test_warm_up_trains_weights_and_teaches_the_searcher_nothing(space, start, loss):
    settings = SearchSettings(epochs=3, warmup_epochs=2)
    state = start(space, GumbelSearcher, settings=settings, lr=0.1)
    before = copy.deepcopy(state.supernet.state_dict())
    for epochs in (1, 2, 3):
        part = settings.model_copy(update={"epochs": epochs})
        search(state, settings=part, loss=loss, score=score)
        assert (state.searcher.insight()["entropy"] == pytest.approx(1)) == (epochs < 3)
    assert changed(before, state.supernet)
    assert state.validation.number == 4


def test_a_poisoned_path_fails_alone_and_is_named(make_space, start, loss, journal):
    space = make_space(
        stem=Operation("block", "conv"), layer=one_of("sees", "poison"), last=one_of("conv")
    )
    settings = SearchSettings(epochs=2)
    turns = [member(space, layer=key) for key in ("sees", "poison")]
    state = start(space, Fixed, settings=settings, turns=turns, needs=["gate_gradients"])
    search(state, settings=settings, loss=loss, score=score, emit=journal)
    failed = [step for step in journal.of("search-step") if "failed" in step]
    assert [step["step"] for step in failed] == [1, 3, 5, 7]
    assert failed[0]["choices"]["layer"] == "poison"
    assert "not finite" in failed[0]["failed"]
    assert {o.genotype for o in state.searcher.outcomes} == {turns[0]}
    assert all(value.isfinite().all() for value in state.supernet.state_dict().values())
    assert len(state.candidates) == 2


def test_an_infinite_gradient_steps_no_weight(space, start):
    def steep(logits, labels):
        return (logits.sum() * 0).sqrt()  # value 0, slope infinite

    settings = SearchSettings(epochs=1)
    state = start(space, Fixed, settings=settings, turns=[member(space)])
    before = copy.deepcopy(dict(state.supernet.named_parameters()))
    search(state, settings=settings, loss=steep, score=score)
    assert all(
        torch.equal(value, before[name]) for name, value in state.supernet.named_parameters()
    )
    assert [outcome.score is None for outcome in state.searcher.outcomes] == [False]


def test_a_gate_gradient_that_is_not_finite_never_reaches_the_searcher(space, start, loss, journal):
    calls = []

    def steep_in_validation(logits, labels):
        calls.append(None)
        return loss(logits, labels) if len(calls) % 2 else (logits.sum() * 0).sqrt()

    settings = SearchSettings(epochs=1)
    state = start(space, Fixed, settings=settings, turns=[member(space)], needs=["gate_gradients"])
    search(state, settings=settings, loss=steep_in_validation, score=score, emit=journal)
    assert all("not finite" in step["failed"] for step in journal.of("search-step"))
    assert [outcome.score is None for outcome in state.searcher.outcomes] == [False]


@pytest.mark.parametrize("layer", ["hungry", "lacking"])
def test_a_path_that_needs_too_much_memory_fails_alone(make_space, start, loss, journal, layer):
    space = make_space(layer=one_of("sees", layer))
    settings = SearchSettings(epochs=1)
    turns = [member(space, layer=key) for key in ("sees", layer)]
    state = start(space, Fixed, settings=settings, turns=turns)
    search(state, settings=settings, loss=loss, score=score, emit=journal)
    problems = [step.get("failed") for step in journal.of("search-step")]
    assert problems == [None, "out of memory", None, "out of memory"]


def test_a_path_whose_block_raises_fails_alone_and_is_named(make_space, start, loss, journal):
    space = make_space(layer=one_of("sees", "faulty"))
    settings = SearchSettings(epochs=1)
    turns = [member(space, layer=key) for key in ("sees", "faulty")]
    state = start(space, Fixed, settings=settings, turns=turns)
    search(state, settings=settings, loss=loss, score=score, emit=journal)
    problems = [step.get("failed", "") for step in journal.of("search-step")]
    assert [bool(problem) for problem in problems] == [False, True, False, True]
    assert "block 'faulty'" in problems[1]
    assert "KeyError: 'missing'" in problems[1]


def test_other_errors_are_not_taken_for_memory(space, start):
    def broken(logits, labels):
        raise RuntimeError("shapes do not match")

    state = start(space, Fixed, turns=[member(space)])
    with pytest.raises(RuntimeError, match="shapes do not match"):
        search(state, settings=SearchSettings(epochs=1), loss=broken, score=score)


def test_a_search_that_only_fails_ends_with_advice(make_space, start, loss, journal):
    space = make_space(layer=one_of("poison"))
    state = start(space, GumbelSearcher)
    with pytest.raises(SearchFailedError, match=r"last 25 search steps failed .* Lower"):
        search(state, settings=SearchSettings(epochs=9), loss=loss, score=score, emit=journal)
    assert len(journal.of("search-step")) == 25


@pytest.mark.parametrize("problem", ["out of memory", "the score is not finite"])
def test_a_candidate_that_cannot_be_scored_is_told_and_left_out(
    space, start, loss, journal, problem
):
    def fail(genotype, network):
        if problem == "out of memory":
            raise torch.OutOfMemoryError("CUDA out of memory")
        return {"score": float("nan")}

    settings = SearchSettings(epochs=1)
    state = start(space, Fixed, settings=settings, turns=[member(space)])
    assert search(state, settings=settings, loss=loss, score=fail, emit=journal) == []
    assert [entry["failed"] for entry in journal.of("search-epoch")] == [problem]
    assert all(outcome.score is None for outcome in state.searcher.outcomes)


def test_what_is_scored_is_the_frozen_candidate_with_the_weights_of_now(space, start, loss):
    settings = SearchSettings(epochs=2, candidates=3)
    state = start(space, RandomSearcher, settings=settings)
    scored = []

    def check(genotype, network):
        volumes = torch.rand(2, 1, 3, 3, 3)
        state.supernet.eval()
        assert torch.equal(network.eval()(volumes), state.supernet(volumes, genotype))
        with torch.no_grad():
            for weight in network.parameters():
                weight.zero_()  # a copy: the supernet does not notice
        scored.append(genotype)
        return {"score": float(len(scored)), "accuracy": 0.5}

    found = search(state, settings=settings, loss=loss, score=check)
    assert [candidate.genotype for candidate in found] == scored
    assert [candidate.epoch for candidate in found] == [1, 1, 1, 2, 2, 2]
    assert [candidate.score for candidate in found] == [1, 2, 3, 4, 5, 6]
    assert state.searcher.best() == scored[-1]
    assert any(weight.abs().sum() > 0 for weight in state.supernet.parameters())


def test_every_step_and_candidate_is_an_event_that_json_can_hold(space, start, loss, journal):
    settings = SearchSettings(epochs=2)
    state = start(space, GumbelSearcher, settings=settings)
    search(state, settings=settings, loss=loss, score=score, emit=journal)
    assert [step["step"] for step in journal.of("search-step")] == list(range(8))
    epochs = journal.of("search-epoch")
    assert [epoch["epoch"] for epoch in epochs] == [1, 2]
    assert epochs[0]["insight"]["entropy"] == pytest.approx(1, abs=1e-3)
    assert epochs[1]["choices"] == dict(state.candidates[1].genotype.choices)
    json.dumps(journal.events, allow_nan=False)


@pytest.mark.parametrize("searcher", [GumbelSearcher, RandomSearcher])
def test_every_epoch_tells_the_best_by_then_and_what_it_cost(space, start, loss, journal, searcher):
    settings = SearchSettings(epochs=3, candidates=2)
    state = start(space, searcher, settings=settings)
    search(state, settings=settings, loss=loss, score=score, emit=journal)
    told = journal.of("search-best")
    assert [(fields["epoch"], fields["steps"]) for fields in told] == [(1, 4), (2, 8), (3, 12)]
    best = state.searcher.best()
    assert (told[-1]["genotype"], told[-1]["choices"]) == (best.digest, dict(best.choices))
    assert told[-1]["insight"] == state.searcher.insight()
    seconds = [fields["seconds"] for fields in told]
    assert seconds == sorted(seconds)
    assert seconds[-1] == state.seconds
    spent = sum(fields["seconds"] for fields in journal.of("search-step"))
    assert spent <= seconds[-1]


def test_a_search_goes_on_where_no_best_is_known_yet(space, start, loss, journal):
    class Shy(Fixed):
        def best(self):
            raise BudgetError("nothing keeps the budget")

        def propose(self, count):
            return []

    settings = SearchSettings(epochs=2)
    state = start(space, Shy, settings=settings, turns=[member(space)])
    search(state, settings=settings, loss=loss, score=score, emit=journal)
    assert [fields["failed"] for fields in journal.of("search-best")] == [
        "nothing keeps the budget"
    ] * 2
    assert state.epoch == 2


@pytest.mark.parametrize("searcher", [GumbelSearcher, RandomSearcher])
@pytest.mark.parametrize("stop", [1, 4, 5, 7])
def test_going_on_from_a_saved_state_equals_never_having_stopped(
    space, start, loss, plain, searcher, stop
):
    settings = SearchSettings(epochs=2, candidates=2, weights_lr=0.01)
    work = {"settings": settings, "loss": loss, "score": score}
    whole = start(space, searcher, settings=settings)
    search(whole, **work)

    half = start(space, searcher, settings=settings)
    for _ in range(stop):
        advance(half, **work)
    state = half.state_dict()
    assert plain(state)
    other = start(space, searcher, settings=settings, seed=77)
    other.load_state_dict(copy.deepcopy(state))
    search(other, **work)
    assert not changed(whole.supernet.state_dict(), other.supernet)
    assert other.candidates == whole.candidates
    assert other.seconds > state["seconds"] > 0
    assert other.searcher.best() == whole.searcher.best()


def test_clipping_bounds_the_gradient_of_the_path(space, start, loss):
    moved = {}
    for clip in (None, 1e-9):
        settings = SearchSettings(epochs=1, grad_clip=clip)
        state = start(space, Fixed, settings=settings, turns=[member(space)])
        before = copy.deepcopy(dict(state.supernet.named_parameters()))
        search(state, settings=settings, loss=loss, score=score)
        moved[clip] = max(
            (value - before[name]).abs().max().item()
            for name, value in state.supernet.named_parameters()
        )
    assert moved[1e-9] < moved[None] / 5  # Adam's epsilon shows through


def test_a_score_may_say_why_a_candidate_cannot_be_scored(space, start, loss, journal):
    def fail(genotype, network):
        raise ScoreError("its training diverged")

    settings = SearchSettings(epochs=1)
    state = start(space, Fixed, settings=settings, turns=[member(space)])
    assert search(state, settings=settings, loss=loss, score=fail, emit=journal) == []
    assert [entry["failed"] for entry in journal.of("search-epoch")] == ["its training diverged"]


def test_a_search_without_batches_scores_and_trains_nothing(space, start, loss, journal):
    settings = SearchSettings(epochs=3, candidates=2)
    state = start(space, RandomSearcher, settings=settings)
    state.training = state.validation = NoBatches()
    before = copy.deepcopy(state.supernet.state_dict())
    found = search(state, settings=settings, loss=loss, score=score, emit=journal)
    assert [candidate.epoch for candidate in found] == [1, 1, 2, 2, 3, 3]
    assert not journal.of("search-step")
    assert not changed(before, state.supernet)
    state.load_state_dict(copy.deepcopy(state.state_dict()))
    assert state.epoch == 3
