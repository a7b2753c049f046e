"""Spaces with fewer keys to choose from, against enumeration."""

from __future__ import annotations

import importlib.util
import pathlib

import pytest
from hypothesis import HealthCheck, assume, event, given, settings
from hypothesis import strategies as st

from medpipe_core import (
    Budget,
    Group,
    Limit,
    Operation,
    OperationChoice,
    Ref,
    Repeat,
    SearchSpace,
    Shared,
    SpaceError,
    ValueChoice,
    compose,
    forbid,
)

_brute = importlib.util.spec_from_file_location(
    "brute_force", pathlib.Path(__file__).with_name("brute.py")
)
brute = importlib.util.module_from_spec(_brute)
_brute.loader.exec_module(brute)

slow_to_draw = settings(suppress_health_check=list(HealthCheck))


@st.composite
def narrowings(draw):
    """Draw a space and what is to be left of it."""
    root, limits = draw(brute.constrained(largest=300))
    try:
        space = SearchSpace("random", root, constraints=limits)
    except SpaceError as error:
        assume("no genotype keeps all constraints" not in str(error))
        raise
    able = [path for path, choice in space.choices.items() if len(choice.keys) > 1]
    assume(able)
    left = {
        path: draw(st.lists(st.sampled_from(space.choices[path].keys), min_size=1, unique=True))
        for path in draw(st.lists(st.sampled_from(able), min_size=1, max_size=4, unique=True))
    }
    return space, left


@given(narrowings())
@slow_to_draw
def test_what_is_left_are_the_members_that_take_the_keys_that_are_left(narrowing):
    space, left = narrowing
    wanted = [
        member
        for member in brute.members(space.root)
        if all(brute.keeps(limit, member) for limit in space.constraints)
        and all(member[path] in left[path] for path in left if path in member)
    ]
    if not wanted:
        with pytest.raises(
            SpaceError, match=r"no genotype keeps|asks for keys that are taken away"
        ):
            space.restrict(left)
        return
    narrower = space.restrict(left)
    event("as a constraint, too" if len(narrower.constraints) > len(space.constraints) else "plain")
    found = [dict(narrower.unrank(i).choices) for i in range(narrower.size())]
    assert found == wanted
    assert narrower.distinct_size() <= space.distinct_size()
    again = SearchSpace.from_json(narrower.to_json())
    assert (again.digest, again.size()) == (narrower.digest, narrower.size())


@given(narrowings(), st.integers(0, 2**32))
@slow_to_draw
def test_genotypes_of_what_is_left_are_read_where_they_come_from_and_do_the_same(narrowing, seed):
    space, left = narrowing
    try:
        narrower = space.restrict(left)
    except SpaceError:
        assume(False)
    genotype = narrower.sample(seed=seed)
    original = space.genotype(genotype.choices)
    space.validate(original)
    assert narrower.resolve(genotype) == space.resolve(original)
    assert narrower.effective(genotype) == space.effective(original)
    assert narrower.genotype(original.choices) == genotype
    try:
        mutant = narrower.mutate(genotype, seed=seed)
    except SpaceError:
        return
    space.validate(space.genotype(mutant.choices))


@given(narrowings())
@slow_to_draw
def test_every_choice_can_be_fixed_to_what_a_member_has(narrowing):
    space, _ = narrowing
    member = space.unrank(space.size() - 1)
    alone = space.fix(member.choices)
    assert alone.size() == 1
    assert dict(alone.sample(seed=0).choices) == dict(member.choices)


def layer(*kernels):
    convolutions = {
        f"k{k}": Operation("block", "conv", {"kernel": k, "stride": ValueChoice(1, 2)})
        for k in kernels
    }
    return OperationChoice({**convolutions, "none": Operation("block", "identity")})


@pytest.fixture
def space():
    return SearchSpace(
        "net",
        Group({"stem": layer(3), "layers": Repeat(layer(3, 5), (1, 2, 3))}),
        budget=Budget(parameters=1000),
        constraints=[Limit({"layers/item?": ["none"]}, at_most=1)],
    )


def test_keys_leave_the_description_so_that_nothing_is_built_or_learnt_for_them(space):
    narrower = space.restrict({"layers": [1, 2], "layers/item?": ["k3", "none"], "*/stride": [1]})
    assert "k5" not in narrower.describe()
    assert "layers/item3" not in narrower.choices
    assert {c.keys for path, c in narrower.choices.items() if path.endswith("stride")} == {("1",)}
    assert [limit.keys for limit in narrower.constraints] == [{"layers/item?": ("none",)}]
    assert narrower.budget == space.budget


def test_what_holds_for_one_repetition_only_becomes_a_constraint(space):
    narrower = space.fix({"layers/item2": "k5"})
    assert narrower.choices["layers/item2"].keys == ("k3", "k5", "none")
    members = [narrower.unrank(i) for i in range(narrower.size())]
    assert {m["layers/item2"] for m in members if "layers/item2" in m} == {"k5"}
    assert {m["layers/item1"] for m in members} == {"k3", "k5", "none"}


def test_digest_follows_from_what_is_left_and_not_from_how_it_was_asked_for(space):
    assert space.restrict({}).digest == space.digest
    assert space.restrict({"stem": ["k3", "none"]}).digest == space.digest
    one = space.fix({"stem": "none", "layers": 2})
    other = space.fix({"layers": "2"}).restrict(stem=["none"])
    assert one.digest == other.digest != space.digest


def test_declarations_and_values_stay():
    space = SearchSpace("s", Group({"p": ValueChoice(0.1, 0.5, 2.0, ge=0, unit="voxels")}))
    narrower = space.restrict(p=[0.5, 2.0])
    assert narrower.root.children["p"].declaration == space.root.children["p"].declaration
    assert narrower.value(narrower.unrank(1), "p") == 2.0


def test_an_operation_that_can_no_longer_do_nothing_is_never_neutral():
    flip = Operation("augmentation", "flip", {"p": ValueChoice(0, 1)}, neutral={"p": 0})
    shared = Shared(
        {"p": ValueChoice(0, 1)},
        Operation("augmentation", "flip", {"p": Ref("p")}, neutral={"p": 0}),
    )
    space = SearchSpace("s", Group({"own": flip, "shared": shared}))
    narrower = space.fix({"own/p": 1, "shared/p": 1})
    assert not any(step.neutral for step in narrower.resolve(narrower.sample(seed=0)))


def test_what_is_shared_narrows_what_is_repeated_no_more():
    blur = Operation("augmentation", "blur", {"p": Ref("often")}, neutral={"p": 0})
    body = Group({"first": ValueChoice(1, 2), "more": Repeat(blur, (0, 1))})
    space = SearchSpace("s", Shared({"often": ValueChoice(0, 2)}, body))
    member = space.decide(lambda choice: choice.keys[-1 if choice.path == "often" else 0])
    alone = space.fix(member.choices)
    assert alone.size() == 1
    assert dict(alone.sample(seed=0).choices) == dict(member.choices)


def test_what_is_shared_stays_where_its_last_use_is_taken_away():
    uses = Operation("block", "conv", {"kernel": Ref("kernel")})
    body = Group({"x": OperationChoice({"uses": uses, "none": Operation("block", "identity")})})
    space = SearchSpace("s", Shared({"kernel": ValueChoice(3, 5)}, body))
    narrower = space.fix(x="none")
    assert [dict(narrower.unrank(i).choices) for i in range(narrower.size())] == [
        {"kernel": "3", "x": "none"},
        {"kernel": "5", "x": "none"},
    ]


def test_a_constraint_about_what_is_gone_goes_where_it_can_no_longer_be_broken():
    choice = ValueChoice("on", "off")
    space = SearchSpace(
        "s", Group({"a": choice, "b": choice}), constraints=[forbid({"a": ["on"], "b": ["on"]})]
    )
    assert space.fix(a="off", b="off").constraints == ()
    assert space.fix(a="on").size() == 1
    with pytest.raises(SpaceError, match="no genotype keeps all constraints"):
        space.fix({"*": "on"})


def test_a_narrowed_space_can_be_composed_and_narrowed_by_the_joint_paths(space):
    joint = compose("joint", one=space, two=space.fix(stem="none"), budget=Budget())
    assert joint.fix({"one/stem": "none"}).size() == space.fix(stem="none").size() ** 2


@pytest.mark.parametrize(
    ("ask", "words"),
    [
        (lambda s: s.fix(stm="none"), "space 'net': no choice 'stm'. Did you mean 'stem'"),
        (lambda s: s.fix(stem="nome"), "'stem' cannot be 'nome'. Did you mean 'none'"),
        (lambda s: s.restrict(stem="none"), "'stem' needs a list of keys, such as"),
        (lambda s: s.restrict(stem=[]), "'stem' needs a list of keys"),
        (lambda s: s.restrict(["stem"]), r"restrict needs paths with keys.*got \['stem'\]"),
        (lambda s: s.fix({3: "none"}), "the path of a choice must be a text, but is 3"),
        (lambda s: s.fix({"stem": "none"}, stem="k3"), "fix: 'stem' is there twice"),
        (lambda s: s.fix({"stem": "none", "s*m": "k3"}), "nothing is left of 'stem', which can be"),
        (lambda s: s.restrict({"*": ["k5"]}), "nothing is left of 'stem', which can be k3 or none"),
        (lambda s: s.fix(layers=4), "'layers' cannot be '4'"),
        (lambda s: s.fix(layers=object()), "is no plain value"),
        (
            lambda s: s.fix({"layers": 3, "layers/item?": "none"}),
            "space 'net': no genotype keeps all constraints",
        ),
    ],
)
def test_what_cannot_be_left_is_told_with_what_is_near(space, ask, words):
    with pytest.raises(SpaceError, match=words):
        ask(space)


def test_a_constraint_that_asks_for_what_is_taken_away_is_named():
    choice = ValueChoice("on", "off")
    space = SearchSpace(
        "s", Group({"a": choice, "b": choice}), constraints=[Limit({"*": ["on"]}, at_least=1)]
    )
    with pytest.raises(SpaceError, match=r"1 of \(\* = on\)' asks for keys that are taken"):
        space.fix({"*": "off"})
    assert space.fix(a="off").size() == 1
