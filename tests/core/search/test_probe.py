"""What a probe answers about one step, and what it leaves alone."""

from __future__ import annotations

import copy
import math
from dataclasses import replace

import pytest
import torch

from medpipe_core import Decision
from medpipe_core.computing import Computing
from medpipe_core.search import ProbeError, RandomSearcher
from medpipe_core.search.batch_norm_statistics import statistics_kept
from medpipe_core.search.settings import SearchSettings
from medpipe_core.search.step import take_step
from medpipe_core.search.training_gradient import NOT_FINITE

SETTINGS = SearchSettings(epochs=1, weights_lr=0.05)


@pytest.fixture
def state(space, start):
    return start(space, RandomSearcher, settings=SETTINGS)


def member(space, **keys):
    keys = {"augment/noise/p": "0.5", "layer": "conv", **keys}
    return space.decide(lambda choice: keys.get(choice.path, choice.keys[0]))


def probed(state, loss, ask, *, settings=SETTINGS, gates=False):
    """Take a step and return what `ask` found."""
    genotype = member(state.searcher.space)
    leaves = {path: torch.ones((), requires_grad=True) for path in genotype} if gates else {}
    found = []

    def asking(probe):
        found.append(ask(probe))
        return probe.outcome

    outcome, problem = take_step(state, Decision(genotype, leaves), settings, loss, asking)
    assert not problem
    assert outcome.train_loss is not None
    return found[0]


def everything(probe):
    """Ask all there is to ask."""
    told = [
        probe.loss(gates=True, weights=True).value,
        probe.loss(augmented=True, gates=True).value,
        probe.cosine(probe.loss(weights=True).weights),
        probe.logits(probe.validation.volumes).sum(),
        probe.logits(probe.validation.volumes, statistics="running").sum(),
    ]
    return probe.numbers(*told)


@pytest.mark.parametrize("when", ["before", "after"])
def test_questions_change_nothing_of_the_search(space, start, loss, when):
    states = []
    for asks in (False, True):
        state = start(space, RandomSearcher, settings=SETTINGS)

        def ask(probe, asks=asks):
            if when == "after":
                probe.step()
            gradient = [g.clone() for g in probe.gradient]
            if asks:
                everything(probe)
            assert all(map(torch.equal, gradient, probe.gradient))

        probed(state, loss, ask, gates=True)
        assert state.supernet.training
        states.append(state.state_dict())
    one, other = states
    assert all(
        torch.equal(value, other["supernet"][name]) for name, value in one["supernet"].items()
    )
    assert one["validation"] != other["validation"]


def test_a_probe_that_is_not_asked_takes_no_validation_batch(state, loss):
    probed(state, loss, lambda probe: None)
    assert state.validation.number == 0


def test_all_questions_of_a_step_are_about_one_validation_batch(state, loss):
    probed(state, loss, everything, gates=True)
    assert state.validation.number == 1


def test_the_weights_step_once_wherever_it_is_asked_for(space, start, loss):
    after = []
    for times in range(3):
        state = start(space, RandomSearcher, settings=SETTINGS)
        before = copy.deepcopy(state.supernet.state_dict())
        probed(state, loss, lambda probe, times=times: [probe.step() for _ in range(times)])
        after.append(state.supernet.state_dict())
    assert any(not torch.equal(value, before[name]) for name, value in after[0].items())
    for other in after[1:]:
        assert all(torch.equal(value, other[name]) for name, value in after[0].items())


def test_a_loss_can_be_of_any_batch(state, loss):
    batch = replace(state.validation.next(), labels=torch.ones(6, dtype=torch.int64))

    def ask(probe):
        own, other = probe.numbers(probe.loss().value, probe.loss(batch).value)
        with torch.no_grad(), statistics_kept([state.supernet]):
            logits = state.supernet.classify(batch.volumes, probe.decision)
        return own, other, loss(logits, batch.labels).item()

    own, other, by_hand = probed(state, loss, ask)
    assert other == pytest.approx(by_hand)
    assert own != other


def test_logits_are_those_of_the_path_with_either_statistics(state, loss):
    def ask(probe):
        volumes, supernet = probe.validation.volumes, state.supernet
        told = probe.logits(volumes), probe.logits(volumes, statistics="running")
        with torch.no_grad(), statistics_kept([supernet]):
            batch = supernet.classify(volumes, probe.decision)
            running = supernet.eval().classify(volumes, probe.decision)
            supernet.train()
        return told, (batch, running)

    told, by_hand = probed(state, loss, ask)
    for one, other in zip(told, by_hand, strict=True):
        torch.testing.assert_close(one, other)
    assert not torch.allclose(*told)


def test_logits_of_micro_batches_are_in_the_order_of_the_volumes(space, start, loss):
    computing = Computing(torch.device("cpu"), micro_batch=2)
    state = start(space, RandomSearcher, settings=SETTINGS, computing=computing)

    def ask(probe):
        volumes = probe.validation.volumes
        with torch.no_grad():
            by_hand = state.supernet.eval().classify(volumes, probe.decision)
        return probe.logits(volumes, statistics="running"), by_hand

    torch.testing.assert_close(*probed(state, loss, ask))


def test_one_augmentation_can_be_applied_alone_to_all_volumes_or_none(state, loss):
    def ask(probe):
        volumes = torch.zeros(8, 1, 3, 3, 3)
        changed = [
            int(probe.augment(volumes, only="augment/noise", p=p).flatten(1).any(1).sum())
            for p in (0.0, 1.0, None)
        ]
        assert not volumes.any()
        return probe.augmentations, changed

    augmentations, (none, every, some) = probed(state, loss, ask)
    assert augmentations == ("augment/noise",)
    assert (none, every) == (0, 8)
    assert 0 < some < 8


def test_an_augmentation_that_the_path_has_not_is_told_with_what_is_near(state, loss):
    def ask(probe):
        with pytest.raises(ProbeError, match=r"no augmentation 'augment/nois'.*'augment/noise'"):
            probe.augment(probe.validation.volumes, only="augment/nois")

    probed(state, loss, ask)


def test_the_choices_of_a_loss_are_those_it_depends_on_directly(state, loss):
    def ask(probe):
        return probe.loss().choices, probe.loss(augmented=True).choices

    clean, augmented = probed(state, loss, ask)
    genotype = member(state.searcher.space)
    assert augmented == set(genotype)
    assert augmented - clean == {"augment/noise/p", "augment/noise/scale"}


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_number_that_is_not_finite_fails_the_step(state, loss, when):
    before = copy.deepcopy(dict(state.supernet.named_parameters()))

    def ask(probe):
        if when == "after":
            probe.step()
        (told,) = probe.numbers(probe.loss().value * math.inf)
        assert not math.isfinite(told)
        probe.step()
        return probe.outcome  # as if it had not noticed

    decision = Decision(member(state.searcher.space))
    _, problem = take_step(state, decision, SETTINGS, loss, ask)
    assert problem == NOT_FINITE
    kept = all(torch.equal(w, before[name]) for name, w in state.supernet.named_parameters())
    assert kept == (when == "before")


def test_a_measured_number_that_is_not_finite_fails_the_step(state, loss):
    def ask(probe):
        return replace(probe.outcome, measured={"mine": math.nan})

    decision = Decision(member(state.searcher.space))
    assert take_step(state, decision, SETTINGS, loss, ask)[1] == NOT_FINITE


def test_running_out_of_memory_while_asking_fails_the_step_alone(state, loss):
    def ask(probe):
        raise torch.OutOfMemoryError("CUDA out of memory")

    decision = Decision(member(state.searcher.space))
    outcome, problem = take_step(state, decision, SETTINGS, loss, ask)
    assert problem == "out of memory"
    assert outcome.train_loss is not None
