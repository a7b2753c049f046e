from __future__ import annotations

import copy
import math

import pytest
import torch

from medpipe_core import Decision, Operation, OperationChoice
from medpipe_core.computing import Computing
from medpipe_core.search import GumbelSearcher, asking_for, search
from medpipe_core.search.batch_norm_statistics import statistics_kept
from medpipe_core.search.settings import SearchSettings
from medpipe_core.search.step import take_step
from medpipe_core.search.training_gradient import OVERFLOW

SETTINGS = SearchSettings(epochs=1, weights_lr=0.05)


def block(name):
    return Operation("block", name, {})


def noisy(space):
    """Return a member whose augmentation acts on every other volume."""
    keys = {"augment/noise/p": "0.5", "layer": "conv"}
    return space.decide(lambda choice: keys.get(choice.path, choice.keys[0]))


@pytest.fixture
def state(space, start):
    return start(space, GumbelSearcher, settings=SETTINGS)


def step(state, loss, *needs, settings=SETTINGS):
    decision = Decision(noisy(state.searcher.space))
    outcome, problem = take_step(state, decision, settings, loss, asking_for(frozenset(needs)))
    assert not problem
    return outcome


def clean_loss(supernet, batch, genotype, loss):
    """Compute the loss on batch statistics without augmentation, by hand."""
    with torch.no_grad(), statistics_kept([supernet.train()]):
        return loss(supernet.classify(batch.volumes, Decision(genotype)), batch.labels).item()


def next_batch(source):
    batch = source.next()
    source.number -= 1
    return batch


def test_a_clean_validation_is_not_augmented_and_draws_nothing(state, loss):
    outcome = step(state, loss, "validation_loss", "clean_validation")
    drawn = state.generator.get_state()
    state.validation.number -= 1
    batch = state.validation.next()
    genotype = noisy(state.searcher.space)
    by_hand = clean_loss(state.supernet, batch, genotype, loss)
    assert outcome.validation_loss == pytest.approx(by_hand)
    assert torch.equal(drawn, state.generator.get_state())
    assert outcome.validated == set(genotype) - {"augment/noise/p", "augment/noise/scale"}


def test_an_augmented_validation_depends_on_all_choices(state, loss):
    outcome = step(state, loss, "validation_loss")
    assert outcome.validated == set(outcome.genotype)


def test_the_improvement_is_what_the_step_did_to_the_clean_loss(state, loss):
    genotype = noisy(state.searcher.space)
    batch = next_batch(state.validation)
    before = clean_loss(state.supernet, batch, genotype, loss)
    outcome = step(state, loss, "look_ahead")
    after = clean_loss(state.supernet, batch, genotype, loss)
    assert outcome.validation_loss == pytest.approx(before)
    assert outcome.improvement == pytest.approx(before - after, abs=1e-6)
    assert outcome.improvement != 0


def test_the_agreement_is_the_cosine_of_the_two_gradients_before_the_step(state, loss):
    genotype = noisy(state.searcher.space)
    train, validation = next_batch(state.training), next_batch(state.validation)
    supernet = state.supernet.train()
    generator = torch.Generator()
    generator.set_state(state.generator.get_state())
    augmented = supernet.augment(train.volumes, Decision(genotype), generator=generator)
    weights = list(supernet.parameters_of(genotype))

    def gradient(volumes, labels):
        with statistics_kept([supernet]):
            value = loss(supernet.classify(volumes, Decision(genotype)), labels)
        return torch.cat([g.flatten() for g in torch.autograd.grad(value, weights)])

    mine = gradient(augmented, train.labels)
    other = gradient(validation.volumes, validation.labels)
    outcome = step(state, loss, "agreement")
    expected = torch.nn.functional.cosine_similarity(mine, other, dim=0).item()
    assert outcome.agreement == pytest.approx(expected, abs=1e-5)
    assert abs(expected) > 0.01


def test_the_agreement_changes_nothing_of_the_step(space, start, loss):
    after = []
    for needs in ((), ("agreement",), ("look_ahead",), ("agreement", "look_ahead")):
        state = start(space, GumbelSearcher, settings=SETTINGS)
        step(state, loss, *needs, settings=SearchSettings(epochs=1, grad_clip=0.01))
        after.append(state.supernet.state_dict())
    for other in after[1:]:
        assert all(torch.equal(value, other[name]) for name, value in after[0].items())


def test_a_clean_loss_that_is_not_finite_keeps_the_weights(state, loss):
    before = copy.deepcopy(state.supernet.state_dict())
    calls = []

    def breaks(logits, labels):
        calls.append(None)
        return loss(logits, labels) if len(calls) == 1 else loss(logits, labels) * math.inf

    decision = Decision(noisy(state.searcher.space))
    _, problem = take_step(state, decision, SETTINGS, breaks, asking_for(frozenset({"agreement"})))
    assert "not finite" in problem
    assert all(
        torch.equal(value, before[name]) for name, value in state.supernet.named_parameters()
    )


@pytest.mark.parametrize("estimator", ["score", "agreement", "look-ahead"])
def test_the_score_function_finds_the_candidate_that_sees(
    space, start, loss, make_space, estimator
):
    settings = SearchSettings(epochs=20, warmup_epochs=4, weights_lr=0.1)
    state = start(space, GumbelSearcher, settings=settings, lr=0.1, estimator=estimator)
    search(state, settings=settings, loss=loss, score=lambda g, n: {"score": 0.0})
    assert state.searcher.probabilities()["layer"]["blind"] < 0.2


@pytest.mark.parametrize("estimator", ["look-ahead", "agreement", "gate", "score"])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_tells_nearly_what_float32_does(space, start, loss, estimator, dtype):
    told = []
    for computing in (None, Computing(torch.device("cpu"), dtype)):
        state = start(
            space, GumbelSearcher, settings=SETTINGS, computing=computing, estimator=estimator
        )
        outcomes = []
        for _ in range(5):
            genotype = noisy(space)
            gates = {path: torch.ones((), requires_grad=True) for path in genotype}
            decision = Decision(genotype, gates if estimator == "gate" else {})
            outcome, problem = take_step(state, decision, SETTINGS, loss, state.searcher.ask)
            assert not problem
            outcomes.append(outcome)
        told.append(outcomes[-1])
    one, half = told
    assert half.validation_loss == pytest.approx(one.validation_loss, abs=0.03)
    assert half.train_loss == pytest.approx(one.train_loss, abs=0.03)
    if estimator == "agreement":
        assert half.agreement == pytest.approx(one.agreement, abs=0.1)
    for path, gradient in one.gate_gradients.items():
        assert half.gate_gradients[path] == pytest.approx(gradient, abs=0.05)


@pytest.mark.parametrize("estimator", ["look-ahead", "agreement", "gate"])
def test_micro_batches_tell_what_whole_batches_do_without_batch_norm(
    make_space, start, loss, estimator
):
    space = make_space(layer=OperationChoice({"one": block("sees"), "other": block("sees")}))
    told = []
    for micro_batch in (None, 2):
        computing = Computing(torch.device("cpu"), micro_batch=micro_batch)
        state = start(
            space, GumbelSearcher, settings=SETTINGS, computing=computing, estimator=estimator
        )
        outcome, problem = take_step(
            state, Decision(space.sample(seed=0)), SETTINGS, loss, state.searcher.ask
        )
        assert not problem
        told.append(outcome)
    one, parts = told
    for field in ("train_loss", "validation_loss", "agreement", "improvement"):
        known = getattr(one, field)
        expected = known if known is None else pytest.approx(known, rel=1e-3)
        assert getattr(parts, field) == expected, field
    assert parts.gate_gradients == pytest.approx(one.gate_gradients, rel=1e-4)


def test_an_overflow_in_float16_lowers_the_scale_and_moves_nothing(space, start, loss):
    computing = Computing(torch.device("cpu"), torch.float16)
    state = start(space, GumbelSearcher, settings=SETTINGS, computing=computing)
    state.scaler.load_state_dict({**state.scaler.state_dict(), "scale": 2.0**60})
    before = copy.deepcopy(state.supernet.state_dict())
    outcome, problem = take_step(state, Decision(noisy(space)), SETTINGS, loss, state.searcher.ask)
    assert problem == OVERFLOW
    assert outcome.improvement is None
    assert state.scaler.get_scale() == 2.0**59
    moved = [
        name
        for name, value in state.supernet.state_dict().items()
        if "running" not in name and "num_batches" not in name and not before[name].equal(value)
    ]
    assert moved == []
