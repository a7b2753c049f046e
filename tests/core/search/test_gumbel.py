from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from medpipe_core import Group, OperationChoice, Outcome, Repeat, SearchSpace, ValueChoice
from medpipe_core.plugins import UnknownNameError
from medpipe_core.search import BudgetError, GumbelSearcher
from medpipe_core.search.gumbel import gumbel_noise, straight_through


@pytest.fixture
def searcher(space):
    return GumbelSearcher(space, seed=0, steps=100, estimator="gate")


@pytest.fixture
def conditional():
    """A choice whose first key opens two more choices, and a repeated one."""
    return SearchSpace(
        "conditional",
        Group(
            {
                "method": OperationChoice(
                    {
                        "rich": Group({"a": ValueChoice(1, 2, 3), "b": ValueChoice(1, 2)}),
                        "poor": Group({"c": ValueChoice(1, 2)}),
                    }
                ),
                "often": Repeat(ValueChoice("x", "y"), (1, 3)),
            }
        ),
    )


def told(decision, **gradients):
    """Return the outcome in which the gates' gradients are 1, or as given by path."""
    reached = gradients or dict.fromkeys(decision.gates, 1.0)
    return Outcome(decision.genotype, 0, 0.5, 0.5, reached)


def logits(searcher):
    return searcher.state_dict()["theta"]


@given(
    theta=st.lists(st.floats(-30, 30), min_size=1, max_size=9),
    temperature=st.floats(0.01, 10),
    seed=st.integers(0, 2**32),
)
def test_the_gate_is_exactly_one_whatever_the_logits(theta, temperature, seed):
    theta = torch.tensor(theta, requires_grad=True)
    noise = gumbel_noise(len(theta), torch.Generator().manual_seed(seed))
    chosen = int((theta + noise).argmax())
    gate = straight_through(theta, noise, temperature, chosen)
    (gradient,) = torch.autograd.grad(gate, theta)
    assert gate.item() == 1.0
    assert gradient.isfinite().all()


def test_the_gate_is_equation_4_at_the_chosen_key():
    theta = torch.tensor([0.3, -1.0, 0.8], dtype=torch.float32, requires_grad=True)
    for seed in range(20):
        noise = gumbel_noise(3, torch.Generator().manual_seed(seed))
        p = torch.softmax(theta, 0)
        z = torch.softmax((p.log() + noise) / 0.7, 0)
        one_hot = torch.nn.functional.one_hot(z.argmax(), 3)
        literal = (one_hot - z.detach() + z)[z.argmax()]
        ours = straight_through(theta, noise, 0.7, int(z.argmax()))
        torch.testing.assert_close(
            torch.autograd.grad(ours, theta), torch.autograd.grad(literal, theta)
        )


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_keys_are_drawn_with_the_softmax_probabilities_at_any_temperature(temperature):
    space = SearchSpace("one", Group({"v": ValueChoice("a", "b", "c")}))
    searcher = GumbelSearcher(space, seed=1, steps=10, temperature=temperature)
    state = searcher.state_dict()
    state["theta"]["v"] = torch.tensor([0.6, 0.3, 0.1]).log()
    searcher.load_state_dict(state)
    drawn = Counter(searcher.decide(0).genotype["v"] for _ in range(3000))
    shares = [drawn[key] / 3000 for key in "abc"]
    assert np.allclose(shares, [0.6, 0.3, 0.1], atol=0.03)  # three standard errors


def test_the_mean_gradient_of_theta_is_that_of_the_equations_integrated_over_the_noise():
    # Two keys whose outputs have slopes c; the difference of two Gumbels is logistic, so the mean
    # of the single-path estimate is an integral over one variable.
    theta, c, temperature = (0.4, -0.3), (2.0, -1.0), 0.8
    noise = np.linspace(-40, 40, 400_001)
    density = np.exp(-np.abs(noise)) / (1 + np.exp(-np.abs(noise))) ** 2
    z = 1 / (1 + np.exp(-(theta[0] - theta[1] + noise) / temperature))
    first = noise > theta[1] - theta[0]
    slope = z * (1 - z) / temperature * np.where(first, c[0], -c[1])
    expected = np.trapezoid(slope * density, noise)

    leaf = torch.tensor(theta, requires_grad=True)
    generator = torch.Generator().manual_seed(3)
    found = []
    for _ in range(4000):
        gumbel = gumbel_noise(2, generator)
        chosen = int((leaf + gumbel).argmax())
        gate = straight_through(leaf, gumbel, temperature, chosen)
        found.append(torch.autograd.grad(gate * c[chosen], leaf)[0])
    slopes = torch.stack(found)
    assert torch.allclose(slopes[:, 0], -slopes[:, 1], atol=1e-6)
    error = slopes[:, 0].std().item() / math.sqrt(len(slopes))
    assert abs(slopes[:, 0].mean().item() - expected) < 3 * error
    assert error < abs(expected) / 10


def test_only_active_choices_are_visited(conditional):
    searcher = GumbelSearcher(conditional, seed=0, steps=10, estimator="gate")
    seen = set()
    for step in range(40):
        decision = searcher.decide(step)
        conditional.validate(decision.genotype)
        assert set(decision.gates) == set(decision.genotype)
        assert all(gate.item() == 1.0 and gate.is_leaf for gate in decision.gates.values())
        seen.add(frozenset(decision.gates))
    assert len(seen) == 4


def test_choices_that_a_step_did_not_visit_keep_logits_and_moments(conditional):
    searcher = GumbelSearcher(conditional, seed=0, steps=100, lr=0.1, estimator="gate")
    for step in range(50):  # every choice gathers momentum
        searcher.observe(told(searcher.decide(step)))
    before = searcher.state_dict()
    decision = searcher.decide(50)
    searcher.observe(told(decision))
    after = searcher.state_dict()
    absent = set(conditional.choices) - set(decision.gates)
    assert absent
    for path in conditional.choices:
        same = torch.equal(before["theta"][path], after["theta"][path])
        assert same == (path in absent)
        if path in absent:
            moments = before["moments"][path], after["moments"][path]
            assert all(torch.equal(moments[0][what], moments[1][what]) for what in moments[0])


def test_an_active_choice_that_no_gradient_reached_stays(searcher):
    before = logits(searcher)
    decision = searcher.decide(0)
    searcher.observe(told(decision, layer=1.0))
    moved = {p for p, theta in logits(searcher).items() if not torch.equal(theta, before[p])}
    assert moved == {"layer"}


def test_a_positive_gradient_makes_the_sampled_key_less_likely(searcher):
    decision = searcher.decide(0)
    searcher.observe(told(decision, layer=1.0))
    probabilities = searcher.probabilities()["layer"]
    chosen = decision.genotype["layer"]
    assert probabilities[chosen] == min(probabilities.values()) < 1 / 3


def test_the_first_step_moves_logits_by_the_learning_rate(searcher):
    searcher.observe(told(searcher.decide(0)))
    assert logits(searcher)["layer"].abs().max() == pytest.approx(1e-3, rel=1e-3)


def test_an_outcome_of_another_path_or_a_score_teaches_nothing(searcher, space):
    before = logits(searcher)
    decision = searcher.decide(0)
    other = next(g for g in map(space.unrank, range(9)) if g != decision.genotype)
    searcher.observe(Outcome(other, 0, gate_gradients={"layer": 1.0}))
    searcher.observe(Outcome(decision.genotype, 0, score=0.9))
    assert all(torch.equal(theta, before[path]) for path, theta in logits(searcher).items())


@pytest.mark.parametrize(
    ("schedule", "middle"), [("linear", 0.55), ("exponential", math.sqrt(0.1))]
)
def test_the_temperature_goes_from_start_to_end_over_the_steps(space, schedule, middle):
    searcher = GumbelSearcher(space, seed=0, steps=11, temperature_end=0.1, schedule=schedule)
    assert searcher.temperature(0) == 1.0
    assert searcher.temperature(5) == pytest.approx(middle)
    assert searcher.temperature(10) == searcher.temperature(99) == pytest.approx(0.1)


def test_the_temperature_is_constant_by_default(searcher):
    assert {searcher.temperature(step) for step in range(200)} == {1.0}


_PROGRAM = """
from medpipe_core import Group, SearchSpace, ValueChoice
from medpipe_core.search import GumbelSearcher, RandomSearcher
space = SearchSpace("s", Group({f"v{i}": ValueChoice(*range(5)) for i in range(6)}))
for searcher in (GumbelSearcher, RandomSearcher):
    made = searcher(space, seed=11, steps=5)
    print([made.decide(step).genotype.digest for step in range(5)])
"""


def test_the_same_seed_decides_the_same_in_another_process(capsys, forked):
    exec(compile(_PROGRAM, "program", "exec"), {})
    here = capsys.readouterr().out
    assert forked(_PROGRAM).output == here
    assert len(set(here.splitlines())) == 2


def prefer(searcher, **keys):
    """Make one key of each named choice the likeliest by far."""
    state = searcher.state_dict()
    for path, key in keys.items():
        state["theta"][path][searcher.space.choices[path].keys.index(key)] = 4.0
    searcher.load_state_dict(state)


def test_the_best_takes_the_likeliest_key_of_each_choice(searcher):
    prefer(searcher, layer="blind", deep="conv", **{"deep/conv/kernel": "3"})
    best = searcher.best()
    assert (best["layer"], best["deep"], best["deep/conv/kernel"]) == ("blind", "conv", "3")


def test_every_decision_proposal_and_best_keeps_the_budget(space):
    def admit(genotype):
        return genotype["layer"] != "conv" and genotype["deep"] != "conv"

    searcher = GumbelSearcher(space, seed=0, steps=10, admit=admit)
    prefer(searcher, layer="conv", deep="conv")
    assert all(admit(searcher.decide(step).genotype) for step in range(20))
    assert all(map(admit, searcher.propose(4)))
    assert admit(searcher.best())


def test_a_budget_that_nothing_keeps_says_what_to_do(space):
    searcher = GumbelSearcher(space, seed=0, steps=10, admit=lambda genotype: False)
    for ask in (lambda: searcher.decide(0), searcher.best):
        with pytest.raises(BudgetError, match=r"none of 2000 .* 'planted' keeps .* raise the"):
            ask()


def test_proposals_begin_with_the_best_and_differ_in_what_they_do(searcher, space):
    proposed = searcher.propose(6)
    assert proposed[0] == searcher.best()
    assert len({space.canonical(genotype) for genotype in proposed}) == 6
    assert len(searcher.propose(40)) <= space.distinct_size() < 40


def test_where_no_more_can_be_proposed_nothing_is_drawn():
    single = SearchSpace("single", Group({"a": ValueChoice(1)}))
    searcher = GumbelSearcher(single, seed=0, steps=1)
    before = searcher.state_dict()["generator"]
    assert searcher.propose(5) == [single.unrank(0)]
    assert torch.equal(searcher.state_dict()["generator"], before)


def test_probabilities_begin_uniform_and_entropy_falls(searcher):
    assert searcher.probabilities()["layer"] == pytest.approx(
        dict.fromkeys(("sees", "blind", "conv"), 1 / 3)
    )
    assert searcher.insight()["entropy"] == pytest.approx(1)
    prefer(searcher, layer="sees", deep="plain")
    assert searcher.insight()["entropy"] < 0.8


def test_what_it_needs_is_what_its_estimator_needs(searcher):
    assert searcher.needs == {"gate_gradients"}
    with pytest.raises(UnknownNameError, match=r"no estimator 'gates' .* Did you mean 'gate'\?"):
        GumbelSearcher(searcher.space, seed=0, steps=1, estimator="gates")
