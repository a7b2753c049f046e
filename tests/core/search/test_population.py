"""Population-based augmentation: who is kept, who is copied, and what is perturbed."""

from __future__ import annotations

import pytest

from medpipe_core import Group, Operation, Outcome, SearchSpace, ValueChoice
from medpipe_core.search import PopulationSearcher
from medpipe_core.search.population import PopulationError


@pytest.fixture
def space():
    def layer(name):
        parameters = {"p": ValueChoice(0.0, 0.2, 0.5, 0.8), "size": ValueChoice(*range(9))}
        return Operation("augmentation", name, parameters, neutral={"p": 0.0})

    layers = Group({f"layer{number}": layer(f"a{number}") for number in range(4)})
    block = Operation("block", "conv", {"channels": ValueChoice(*range(1, 20))})
    return SearchSpace("joint", Group({"augment": layers, "network": Group({"b": block})}))


def score_all(searcher, members, scores):
    for member, score in zip(members, scores, strict=True):
        if score is not None:
            searcher.observe(Outcome(member, 0, score=score))


def test_the_better_half_goes_on_and_the_rest_copies_it_perturbed(space):
    searcher = PopulationSearcher(space, seed=0, steps=0, mutations=2, resample=0.0)
    first = searcher.propose(6)
    assert [searcher.parent(member) for member in first] == [None] * 6
    score_all(searcher, first, [0.1, 0.9, 0.3, 0.8, 0.7, 0.2])
    assert searcher.best() == first[1]
    second = searcher.propose(6)
    kept = [first[1], first[3], first[4]]
    assert second[:3] == kept
    assert [searcher.parent(member) for member in kept] == [member.digest for member in kept]
    for child in second[3:]:
        parent = next(member for member in kept if member.digest == searcher.parent(child))
        changed = [path for path in child if child[path] != parent[path]]
        assert 1 <= len(changed) <= 2
        assert all(path.startswith("augment/") for path in changed)
        for path in changed:  # to the value before or after
            keys = space.choices[path].keys
            assert abs(keys.index(child[path]) - keys.index(parent[path])) == 1
    assert searcher.insight()["copied"] == 3


def test_members_that_failed_are_the_worst_and_where_all_did_it_begins_anew(space):
    searcher = PopulationSearcher(space, seed=0, steps=0)
    first = searcher.propose(4)
    score_all(searcher, first, [None, 0.2, None, None])
    second = searcher.propose(4)
    assert second[0] == first[1]
    assert {searcher.parent(member) for member in second} == {first[1].digest}
    third = searcher.propose(4)
    assert [searcher.parent(member) for member in third] == [None] * 4
    assert not set(third) & set(second)


def test_the_best_is_of_the_last_stretch_though_an_earlier_one_scored_more(space):
    searcher = PopulationSearcher(space, seed=0, steps=0)
    score_all(searcher, searcher.propose(2), [0.9, 0.8])
    second = searcher.propose(2)
    score_all(searcher, second, [0.4, 0.6])
    assert searcher.best() == second[1]
    restored = PopulationSearcher(space, seed=0, steps=0)
    restored.load_state_dict(searcher.state_dict())
    assert restored.best() == second[1]
    assert restored.propose(2) == searcher.propose(2)


def test_the_schedule_is_what_the_best_network_has_been_trained_with(space):
    searcher = PopulationSearcher(space, seed=0, steps=0, answer="schedule")
    generations, parents = [], {}
    for scores in ([0.1, 0.9, 0.3, 0.8], [0.2, 0.3, 0.9, 0.1], [0.5, 0.6, 0.4, 0.7]):
        members = searcher.propose(4)
        parents |= {(len(generations), m.digest): searcher.parent(m) for m in members}
        score_all(searcher, members, scores)
        generations.append({member.digest: member for member in members})
    schedule = searcher.schedule()
    assert len(schedule) == 3
    assert schedule[-1] == searcher.best()
    for number in (2, 1):
        parent = parents[number, schedule[number].digest]
        assert schedule[number - 1] == generations[number - 1][parent]
    restored = PopulationSearcher(space, seed=0, steps=0, answer="schedule")
    restored.load_state_dict(searcher.state_dict())
    assert restored.schedule() == schedule
    for one in (searcher, restored):
        score_all(one, one.propose(4), [0.1, 0.2, 0.9, 0.3])
    assert restored.schedule() == searcher.schedule()
    assert len(searcher.schedule()) == 4


def test_by_default_the_answer_is_the_last_policy(space):
    searcher = PopulationSearcher(space, seed=0, steps=0)
    score_all(searcher, searcher.propose(2), [0.9, 0.8])
    assert searcher.schedule() == ()


def test_where_all_failed_a_schedule_begins_anew(space):
    searcher = PopulationSearcher(space, seed=0, steps=0, answer="schedule")
    score_all(searcher, searcher.propose(4), [0.1, 0.2, 0.3, 0.4])
    score_all(searcher, searcher.propose(4), [None] * 4)
    third = searcher.propose(4)
    score_all(searcher, third, [0.1, 0.2, 0.3, 0.4])
    assert searcher.schedule() == (third[3],)


@pytest.mark.parametrize(
    ("part", "said"),
    [("network", "weights cannot be copied to other blocks"), ("augmnt", "Did you mean 'augment'")],
)
def test_a_part_that_cannot_be_perturbed_is_refused(space, part, said):
    with pytest.raises(PopulationError, match=said):
        PopulationSearcher(space, seed=0, steps=0, part=part)
