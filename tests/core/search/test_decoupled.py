"""Two stages: the first part on a fixed network, then the rest on the supernet."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from medpipe_core import Group, Limit, Operation, OperationChoice, SearchSpace, ValueChoice, forbid
from medpipe_core.search import (
    BudgetError,
    DecoupledSearcher,
    Outcome,
    StagesError,
    advance,
    search,
)
from medpipe_core.search.settings import SearchSettings

SETTINGS = SearchSettings(epochs=4, candidates=2, weights_lr=0.01)
STEPS = 16  # four epochs of four batches
ESTIMATORS = ("gate", "score", "agreement", "look-ahead")


class Small(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm3d(1)
        self.linear = nn.Linear(1, 2)

    def forward(self, x):
        return self.linear(self.norm(x).flatten(2).mean(-1))


def fixed(name="fixed"):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return {name: Small()}


def score(genotype, network):
    return {"score": float(sum(weight.detach().sum() for weight in network.parameters()))}


@pytest.fixture
def begin(space, start):
    def make(**more):
        given = {"settings": SETTINGS, "model": "fixed", "fixed": fixed(), "lr": 0.1, **more}
        return start(space, DecoupledSearcher, **given)

    return make


@pytest.fixture
def work(loss):
    return {"settings": SETTINGS, "loss": loss, "score": score}


def made(space, **more):
    given = {"seed": 0, "steps": STEPS, "model": "fixed", "estimator": "gate", **more}
    return DecoupledSearcher(space, **given)


def told(decision, step=0, gradient=1.0):
    gradients = dict.fromkeys(decision.gates, gradient)
    return Outcome(decision.genotype, step, 0.5, 0.5, gradients)


def everything(state):
    """Return weights, statistics and logits by name, as copies."""
    theta = state.searcher.state_dict()["theta"]
    return copy.deepcopy({**state.supernet.state_dict(), **theta})


def moved(before, after):
    return {name for name, value in after.items() if not torch.equal(value, before[name])}


def in_first(path):
    return path.startswith("augment/")


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_the_first_stage_trains_the_fixed_network_and_moves_no_block_and_no_other_logit(
    begin, work, estimator
):
    state = begin(estimator=estimator)
    before = everything(state)
    while state.epoch < 2:
        advance(state, **work)
    after = everything(state)
    names = moved(before, after)
    weights = {name for name in names if name in state.supernet.state_dict()}
    assert weights == {name for name in before if name.startswith("fixed.")}
    logits = names - weights
    assert logits
    assert all(map(in_first, logits))


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_the_second_stage_moves_no_fixed_weight_and_no_logit_of_the_first_part(
    begin, work, estimator
):
    state = begin(estimator=estimator)
    while state.epoch < 2:
        advance(state, **work)
    before = everything(state)
    search(state, **work)
    names = moved(before, everything(state))
    assert not any(name.startswith("fixed.") or in_first(name) for name in names)
    assert "head.linear.weight" in names
    assert {"layer", "deep"} & names


def test_the_validation_loss_of_a_fixed_network_says_nothing_of_blocks(begin, work):
    state = begin(estimator="score")
    observe, told = state.searcher.observe, []
    state.searcher.observe = lambda outcome: (told.append(outcome), observe(outcome))
    while state.step < 9:
        advance(state, **work)
    assert all(outcome.validated and all(map(in_first, outcome.validated)) for outcome in told[:8])
    assert "layer" in told[8].validated


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("estimator", ["agreement", "look-ahead"])
def test_each_stage_finds_what_is_good_in_its_part(make_space, start, loss, seed, estimator):
    # Noise of 30 leaves nothing to learn; a blind layer hands nothing on.
    noise = Operation("augmentation", "noise", {"p": 1.0, "scale": ValueChoice(0.1, 30.0)})
    layer = OperationChoice({name: Operation("block", name) for name in ("blind", "sees")})
    space = make_space(augment=Group({"noise": noise}), layer=layer)
    settings = SearchSettings(epochs=60, weights_lr=0.1)
    given = {"model": "fixed", "fixed": fixed(), "lr": 0.05, "estimator": estimator}
    state = start(space, DecoupledSearcher, settings=settings, seed=seed, **given)
    search(state, settings=settings, loss=loss, score=score)
    best = state.searcher.best()
    assert dict(best.choices) == {"augment/noise/scale": "0.1", "layer": "sees"}


def test_the_second_stage_begins_with_a_fresh_baseline(space):
    searcher = made(space, estimator="score")
    fresh = searcher.state_dict()["estimator"]
    for step in range(8):
        decision = searcher.decide(step)
        validated = frozenset(decision.genotype)
        searcher.observe(Outcome(decision.genotype, step, 1.0, 1.0 + step, validated=validated))
    assert searcher.state_dict()["estimator"] != fresh
    searcher.decide(8)
    assert searcher.state_dict()["estimator"] == fresh


def test_the_first_stage_scores_nothing_and_its_epochs_are_told(begin, work, journal):
    state = begin()
    found = search(state, **work, emit=journal)
    assert {candidate.epoch for candidate in found} == {3, 4}
    epochs = journal.of("search-epoch")
    assert [entry["epoch"] for entry in epochs] == [1, 2, 3, 3, 4, 4]
    assert ["genotype" in entry for entry in epochs] == [False, False, True, True, True, True]
    assert [entry["insight"]["stage"] for entry in epochs] == [1, 1, 2, 2, 2, 2]
    networks = [entry.get("network") for entry in journal.of("search-step")]
    assert networks == ["fixed"] * 8 + [None] * 8


def test_what_the_first_stage_ends_with_is_kept_at_its_most_probable_keys(space):
    searcher = made(space)
    for step in range(8):
        decision = searcher.decide(step)
        assert decision.network == "fixed"
        assert decision.gates
        assert all(map(in_first, decision.gates))
        touched = decision.genotype["augment/noise/p"] == "0.5"
        searcher.observe(told(decision, step, 1.0 if touched else -1.0))
    likely = {path: max(keys, key=keys.get) for path, keys in searcher.probabilities().items()}
    assert likely["augment/noise/p"] == "0"
    genotypes = []
    for step in range(8, 16):
        decision = searcher.decide(step)
        assert decision.network is None
        assert decision.gates
        assert not any(map(in_first, decision.gates))
        searcher.observe(told(decision, step))
        genotypes += [decision.genotype, searcher.best(), *searcher.propose(3)]
    for path in filter(in_first, space.choices):
        assert {genotype[path] for genotype in genotypes} == {likely[path]}
    assert len({genotype["layer"] for genotype in genotypes}) > 1
    assert searcher.probabilities()["augment/noise/p"] == {"0": 1.0, "0.5": 0.0}


@pytest.mark.parametrize("estimator", ["gate", "look-ahead"])
@pytest.mark.parametrize("stop", [3, 9, 10, 11, 19])
def test_going_on_from_a_saved_state_in_either_stage_equals_never_having_stopped(
    begin, work, plain, stop, estimator
):
    whole = begin(estimator=estimator)
    search(whole, **work)
    half = begin(estimator=estimator)
    for _ in range(stop):
        advance(half, **work)
    state = half.state_dict()
    assert plain(state)
    other = begin(seed=77, estimator=estimator)
    other.load_state_dict(copy.deepcopy(state))
    search(other, **work)
    assert not moved(everything(whole), everything(other))
    assert other.candidates == whole.candidates
    assert other.searcher.best() == whole.searcher.best()


def test_stages_may_meet_within_an_epoch_and_the_last_epoch_is_always_scored(begin, loss):
    one = SearchSettings(epochs=1)
    state = begin(settings=one)
    found = search(state, settings=one, loss=loss, score=score)
    assert [candidate.epoch for candidate in found] == [1]


def test_it_takes_the_settings_of_gumbel(space):
    searcher = made(space, estimator="score", temperature=2.0)
    assert searcher.needs == {"validation_loss"}
    assert searcher.temperature(0) == 2.0


def test_a_schedule_of_the_temperature_runs_once_in_each_stage(space):
    searcher = made(space, first_share=0.25, temperature_end=0.1, schedule="linear")
    assert [searcher.temperature(step) for step in (0, 3, 4, 15, 99)] == pytest.approx(
        [1.0, 0.1, 1.0, 0.1, 0.1]
    )


def test_it_says_which_network_it_needs(space):
    searcher = made(space, model="acme", model_parameters={"width": 8})
    assert searcher.networks == {"acme": {"width": 8}}
    assert searcher.decide(0).network in searcher.networks


def test_a_part_that_is_not_there_is_refused_with_those_that_are(space):
    with pytest.raises(StagesError, match=r"'augmet'.*'planted'.*searcher\.first: augment, layer"):
        made(space, first="augmet")


def test_a_part_that_is_the_whole_space_is_refused():
    space = SearchSpace("alone", Group({"augment": Group({"p": ValueChoice(0.0, 0.5)})}))
    with pytest.raises(StagesError, match=r"all that space 'alone' has .* searcher=gumbel"):
        made(space)


def test_a_part_of_blocks_is_refused(space):
    with pytest.raises(StagesError, match=r"'deep' .* decides about blocks, which no fixed"):
        made(space, first="deep")


@pytest.mark.parametrize(("share", "steps"), [(0.5, 1), (0.01, 16), (0.99, 16)])
def test_a_stage_without_a_step_is_refused(space, share, steps):
    with pytest.raises(StagesError, match=rf"{share} of {steps} steps .* search\.epochs"):
        made(space, first_share=share, steps=steps)


@pytest.fixture
def tight(space):
    """What the augmentations are decides what the network may be, and nearly all is too large."""
    conv = Operation("block", "conv", {"kernel": ValueChoice(1, 3)})
    names = [f"layer{number}" for number in range(6)]
    noise = Operation("augmentation", "noise", {"p": ValueChoice(0.0, 0.5), "scale": 0.1})
    root = Group({"augment": Group({"noise": noise}), "net": Group(dict.fromkeys(names, conv))})
    kernels = {"net/*/kernel": [3]}
    return SearchSpace(
        "tight",
        root,
        constraints=[
            Limit(kernels, at_most=4),
            forbid({"augment/noise/p": [0.5], "net/layer0/kernel": [3]}),
        ],
        catalogue=space.catalogue,
    )


def likes(searcher, path, key):
    state = searcher.state_dict()
    state["theta"][path][searcher.space.choices[path].keys.index(key)] = 8.0
    searcher.load_state_dict(state)


@pytest.mark.parametrize("constrained", [True, False])
def test_constraints_and_budget_are_kept_beside_what_the_first_stage_found(tight, constrained):
    def admit(genotype):
        return list(genotype.choices.values()).count("3") <= 1

    limits = tight.constraints if constrained else ()
    space = SearchSpace("tight", tight.root, constraints=limits, catalogue=tight.catalogue)
    searcher = made(space, admit=admit)
    likes(searcher, "augment/noise/p", "0.5")
    searcher.decide(8)
    for number in range(6):
        likes(searcher, f"net/layer{number}/kernel", "3")
    found = [searcher.decide(step).genotype for step in range(9, 16)]
    found += [searcher.best(), *searcher.propose(3)]
    for genotype in found:
        space.validate(genotype)
        assert admit(genotype)
        assert genotype["augment/noise/p"] == "0.5"
    assert searcher.best()["net/layer0/kernel"] == "1" or not constrained
    assert "3" in searcher.best().choices.values()


def test_a_budget_that_nothing_keeps_is_an_error_in_either_stage(space):
    allowed = [True]
    searcher = made(space, admit=lambda genotype: allowed[0])
    searcher.decide(8)
    allowed[0] = False
    for ask in (lambda: searcher.decide(9), searcher.best):
        with pytest.raises(BudgetError, match="none of 2000"):
            ask()
