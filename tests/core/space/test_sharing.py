from __future__ import annotations

import random

import pytest

from medpipe_core import (
    Group,
    Operation,
    OperationChoice,
    Ref,
    Repeat,
    SearchSpace,
    Shared,
    ValueChoice,
    compose,
)
from medpipe_core.space import InvalidGenotypeError, SpaceError

KERNEL = ValueChoice(3, 5, 7)


def conv(**parameters):
    return Operation("block", "conv", {"channels": 4, **parameters})


def space(root, **kwargs):
    return SearchSpace("s", root, **kwargs)


def twice(shared, **parts):
    return space(Shared(shared, Group(parts)))


@pytest.fixture
def even():
    """Two convolutions of one kernel; the second may be left out."""
    body = Group(
        {
            "first": conv(kernel=Ref("kernel"), stride=ValueChoice(1, 2)),
            "second": OperationChoice(
                {"conv": conv(kernel=Ref("kernel")), "none": Operation("block", "skip")}
            ),
        }
    )
    return space(Group({"net": Shared({"kernel": KERNEL}, body)}))


def test_a_shared_value_is_one_choice_that_every_place_reads(even):
    assert list(even.choices) == ["net/kernel", "net/first/stride", "net/second"]
    assert even.size() == 3 * 2 * 2
    genotype = even.genotype({"net/kernel": "5", "net/first/stride": "1", "net/second": "conv"})
    first, second = even.resolve(genotype)
    assert (first.parameters["kernel"], second.parameters["kernel"]) == (5, 5)
    assert first.choices == ("net/kernel", "net/first/stride")
    assert first.sources == {"kernel": "net/kernel", "stride": "net/first/stride"}
    assert second.path == "net/second/conv"
    assert second.choices == ("net/kernel", "net/second")


def test_a_shared_part_is_decided_once_and_runs_at_each_place():
    layer = OperationChoice({"conv": conv(kernel=KERNEL), "skip": Operation("block", "skip")})
    shared = twice({"layer": layer}, one=Ref("layer"), two=Ref("layer"))
    assert list(shared.choices) == ["layer", "layer/conv/kernel"]
    genotype = shared.genotype({"layer": "conv", "layer/conv/kernel": "7"})
    one, two = shared.resolve(genotype)
    assert (one.path, two.path) == ("one/conv", "two/conv")
    assert one.choices == two.choices == ("layer/conv/kernel", "layer")
    assert [step.path for step in shared.resolve(shared.genotype({"layer": "skip"}))] == [
        "one/skip",
        "two/skip",
    ]


def test_a_scope_within_a_repetition_is_decided_for_each_and_one_around_it_for_all():
    pair = Group({"x": conv(kernel=Ref("kernel")), "y": conv(kernel=Ref("kernel"))})
    each = space(Group({"r": Repeat(Shared({"kernel": KERNEL}, pair), (2,))}))
    assert list(each.choices) == ["r", "r/item1/kernel", "r/item2/kernel"]
    every = space(Group({"r": Shared({"kernel": KERNEL}, Repeat(pair, (1, 2)))}))
    assert (each.size(), every.size()) == (9, 6)
    assert len(every.resolve(every.genotype({"r": "2", "r/kernel": "3"}))) == 4


def test_a_repeated_reference_repeats_the_same_decisions():
    same = twice({"layer": conv(kernel=KERNEL)}, deep=Repeat(Ref("layer"), (1, 3)))
    steps = same.resolve(same.genotype({"layer/kernel": "5", "deep": "3"}))
    assert [step.path for step in steps] == ["deep/item1", "deep/item2", "deep/item3"]
    assert {step.parameters["kernel"] for step in steps} == {5}


def test_a_shared_node_may_use_what_was_shared_before_it():
    layer = OperationChoice({"conv": conv(kernel=Ref("kernel")), "skip": conv()})
    both = twice({"kernel": KERNEL, "layer": layer}, one=Ref("layer"), two=Ref("layer"))
    assert both.size() == 6
    assert both.distinct_size() == 4  # with skip the kernel is of no matter
    with pytest.raises(SpaceError, match=r"layer/conv/kernel refers to 'kernel'"):
        twice({"layer": layer, "kernel": KERNEL}, one=Ref("layer"))


def test_a_shared_choice_that_nothing_chosen_uses_has_no_effect():
    either = OperationChoice({"conv": conv(kernel=Ref("kernel")), "skip": conv()})
    lonely = twice({"kernel": KERNEL}, layer=either)
    one, other = ({"kernel": key, "layer": "skip"} for key in "37")
    assert lonely.canonical(lonely.genotype(one)) == lonely.canonical(lonely.genotype(other))
    assert (lonely.size(), lonely.distinct_size()) == (6, 4)
    for seed in range(20):
        assert lonely.mutate(lonely.genotype(one), seed=seed)["layer"] == "conv"


def test_a_shared_probability_makes_all_its_operations_neutral_together():
    def augmentation(**magnitudes):
        return Operation("augmentation", "a", {"p": Ref("p"), **magnitudes}, neutral={"p": 0})

    together = twice(
        {"p": ValueChoice(0, 0.5, 1)}, x=augmentation(m=ValueChoice(1, 2)), y=augmentation(m=KERNEL)
    )
    assert together.size() == 18
    assert together.distinct_size() == 1 + 2 * 6
    idle = together.genotype({"p": "0", "x/m": "2", "y/m": "7"})
    assert all(step.neutral for step in together.resolve(idle))
    assert dict(together.canonical(idle).choices) == {"p": "0", "x/m": "1", "y/m": "3"}


def test_a_choice_behind_two_parameters_governs_the_operation_once():
    tied = twice({"kernel": KERNEL}, x=conv(kernel=Ref("kernel"), dilation=Ref("kernel")))
    (step,) = tied.resolve(tied.unrank(1))
    assert step.choices == ("kernel",)
    assert (step.parameters["kernel"], step.parameters["dilation"]) == (5, 5)


def test_composition_and_parts_keep_references(even):
    both = compose("both", one=even, two=even)
    assert list(both.choices)[:2] == ["one/net/kernel", "one/net/first/stride"]
    part, share = both.part("two", both.sample(seed=0))
    assert part.digest == even.digest
    part.validate(share)


def test_a_part_that_uses_what_is_shared_outside_it_cannot_stand_alone():
    outer = twice({"kernel": KERNEL}, a=conv(kernel=Ref("kernel")), b=conv(stride=KERNEL))
    genotype = outer.sample(seed=0)
    assert dict(outer.part("b", genotype)[1].choices) == {"stride": genotype["b/stride"]}
    with pytest.raises(SpaceError, match="part 'a' of space 's' cannot stand alone"):
        outer.part("a", genotype)


def test_the_description_shows_what_is_shared_and_where(even):
    assert even.describe().splitlines() == [
        "s:",
        "  net, shared:",
        "    kernel: one of 3, 5, 7",
        "  net:",
        "    first: block conv (channels=4)",
        "      kernel: the shared kernel",
        "      stride: one of 1, 2",
        "    second: one of conv, none",
        "      conv: block conv (channels=4)",
        "        kernel: the shared kernel",
    ]


def test_sharing_changes_the_digest(even):
    apart = Group({"a": conv(kernel=KERNEL), "b": conv(kernel=KERNEL)})
    once = Group({"a": conv(kernel=Ref("k")), "b": conv(kernel=Ref("k"))})
    assert space(apart).digest != space(Shared({"k": KERNEL}, once)).digest
    assert SearchSpace.from_json(even.to_json()).digest == even.digest


def test_a_genotype_that_decides_at_the_place_of_use_is_refused_with_the_right_path(even):
    with pytest.raises(InvalidGenotypeError) as caught:
        even.genotype({"net/first/kernel": "3", "net/first/stride": "1", "net/second": "none"})
    assert "'net/first/kernel' is no choice. Did you mean 'net/kernel'" in str(caught.value)
    with pytest.raises(InvalidGenotypeError, match="'net/kernel' is missing"):
        even.genotype({"net/first/stride": "1", "net/second": "none"})


def test_a_shared_choice_is_mutated_and_inherited_as_one(even):
    rng = random.Random(0)
    one, other = even.sample(rng=rng), even.sample(rng=rng)
    for _ in range(30):
        child = even.crossover(one, even.mutate(other, rng=rng), rng=rng)
        assert len({s.parameters.get("kernel", 0) for s in even.resolve(child)} - {0}) == 1


@pytest.mark.parametrize(
    ("build", "text"),
    [
        (
            lambda: twice({"kernel": KERNEL}, x=conv(kernel=Ref("kernl"))),
            "x/kernel refers to 'kernl', which nothing around it shares. Did you mean 'kernel'?",
        ),
        (
            lambda: space(Group({"x": Ref("layer")})),
            "x refers to 'layer', which nothing around it shares. Put Shared({...}, body) around",
        ),
        (
            lambda: twice({"kernel": KERNEL}, x=conv()),
            "shares 'kernel', but nothing refers to it",
        ),
        (
            lambda: twice(
                {"k": KERNEL}, x=Shared({"k": KERNEL}, conv(kernel=Ref("k"))), y=conv(a=Ref("k"))
            ),
            "x shares 'k', which a scope around it shares already; rename one",
        ),
        (
            lambda: twice({"layer": conv()}, x=conv(kernel=Ref("layer"))),
            "x/kernel is a parameter and refers to 'layer', which is no ValueChoice but a part",
        ),
        (
            lambda: twice(
                {"p": KERNEL}, x=Operation("augmentation", "a", {"p": Ref("p")}, neutral={"p": 0})
            ),
            "x is neutral at p=0, which is not among",
        ),
        (lambda: Shared({"x": KERNEL}, Group({"x": conv()})), "'x' would name both a shared node"),
        (lambda: Shared({"item2": KERNEL}, Repeat(conv(), (1, 2))), "'item2' would name both"),
        (lambda: Shared({"a": KERNEL}, Shared({"a": KERNEL}, conv())), "'a' would name both"),
        (lambda: Shared({"a": KERNEL, "b": Ref("a")}, conv()), "nothing but Ref('a')"),
        (lambda: Shared({}, conv()), "Shared needs at least one named part"),
        (lambda: Shared({"a": KERNEL}, 3), "the body is a int, not a node"),
        (lambda: Ref("Upper"), "'Upper' cannot be a name"),
    ],
)
def test_sharing_that_makes_no_sense_is_refused_with_the_remedy(build, text):
    with pytest.raises(SpaceError) as caught:
        build()
    assert text in str(caught.value)
