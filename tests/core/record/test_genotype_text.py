"""What a run says to people."""

from __future__ import annotations

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
)
from medpipe_core.execution.results import RunResult
from medpipe_core.record.genotype_text import count, label, number, policy_text, tables
from medpipe_core.report.summary import (
    CAUTION,
    data_notes,
    figures_table,
    summary_text,
    verdict,
)


def interval(value, low, high):
    return {"value": value, "low": low, "high": high}


def content(low, high, auc=None):
    return {
        "test": {"accuracy": interval(0.8, low, high), **({"auc": auc} if auc else {})},
        "validation": {"accuracy": 0.81},
        "majority": {"accuracy": interval(0.7685, 0.72, 0.81)},
        "parameters": 286_000,
        "multiply_adds": 11_200_000,
        "data": {
            "train": {"per_class": {"normal": 9, "ill": 3}, "blank": 0},
            "test": {"blank": 150},
            "test_in_train": 2,
            "test_in_validation": 0,
        },
        "card": {"notes": ["withdrawn since"]},
    }


@pytest.fixture
def space():
    rotation = {"p": ValueChoice(0.0, 0.8), "left": ValueChoice(-22.5, 0.0)}
    rotation |= {"right": ValueChoice(15.0, 30.0)}
    flip = Operation("augmentation", "v_flip", {"p": ValueChoice(0.0, 0.5)}, neutral={"p": 0.0})
    conv = Operation("block", "conv3d", {"channels": 8, "stride": ValueChoice(1, 2)})
    layer = OperationChoice({"k5": Operation("block", "mbconv3d", {"kernel": 5}), "skip": conv})
    return SearchSpace(
        "tiny",
        Group(
            {
                "augment": Group(
                    {
                        "v_flip": flip,
                        "rotation": Operation(
                            "augmentation", "v_rotation", rotation, neutral={"p": 0.0}
                        ),
                    }
                ),
                "network": Group({"stem": conv, "layer1": layer}),
                "head": Operation("optimiser", "adam", {"lr": ValueChoice(0.1)}),
            }
        ),
    )


@pytest.fixture
def genotype(space):
    chosen = {
        "augment/v_flip/p": "0", "augment/rotation/p": "0.8", "augment/rotation/left": "-22.5",
        "augment/rotation/right": "15", "network/stem/stride": "2", "network/layer1": "k5",
        "head/lr": "0.1",
    }  # fmt: skip
    return space.genotype(chosen)


def test_a_policy_names_operation_magnitude_and_probability(space, genotype):
    lines = [" ".join(line.split()) for line in policy_text(space, genotype).splitlines()]
    assert "V-flip – not used" in lines
    assert "V-rotation −22.5 to 15 0.8" in lines


def test_a_network_is_told_layer_by_layer_with_strides(space, genotype):
    lines = [" ".join(line.split()) for line in policy_text(space, genotype).splitlines()]
    assert "layer block stride settings" in lines
    assert "stem conv3d 2 channels 8" in lines
    assert "layer1 mbconv3d 1 kernel 5" in lines


def test_operations_of_other_kinds_are_told_too(space, genotype):
    text = policy_text(space, genotype)
    assert "Optimiser" in text
    assert "lr 0.1" in text


def test_crossed_bounds_are_told_in_order():
    choice = {"p": 0.5, "ratio_left": ValueChoice(1.0), "ratio_right": ValueChoice(0.3)}
    space = SearchSpace("erase", Group({"erase": Operation("augmentation", "erase", choice)}))
    assert "ratio 0.3 to 1" in policy_text(space, space.sample(seed=0))


@pytest.mark.parametrize(
    ("low", "high", "told"),
    [
        (0.77, 0.85, "better than always answering 'normal' (76.8 %"),
        (0.70, 0.76, "worse than always"),
        (0.75, 0.85, "cannot be told from always"),
    ],
)
def test_the_verdict_follows_the_interval(low, high, told):
    assert told in verdict(content(low, high))


def test_a_network_that_only_ranks_is_given_its_due():
    assert "rank volumes better" in verdict(content(0.75, 0.85, interval(0.9, 0.8, 0.95)))
    assert "rank volumes" not in verdict(content(0.75, 0.85, interval(0.6, 0.45, 0.7)))


def test_what_is_odd_about_the_data_is_said():
    assert data_notes(content(0, 1)) == [
        "withdrawn since",
        "150 volumes of the test set have one value only.",
        "2 volumes of the test set are in the train set as well.",
    ]


def test_without_an_interval_nothing_is_claimed():
    plain = content(0, 1) | {"test": {"accuracy": 0.9}}
    assert "nothing can be said" in verdict(plain)


def test_the_closing_text_says_what_how_good_where_and_beware(space, genotype, tmp_path):
    text = summary_text(RunResult(tmp_path, genotype, content(0.77, 0.85)), space)
    assert "V-rotation" in text
    assert "0.800 (0.770 to 0.850)" in text
    assert "286 k parameters" in text
    assert "11.2 M multiply-adds" in text
    assert str(tmp_path) in text
    assert CAUTION in text


@pytest.mark.parametrize(
    ("name", "shown"),
    [("v_flip", "V-flip"), ("color_jitter", "color jitter"), ("noise", "noise"), ("p", "p")],
)
def test_names_read_as_people_write_them(name, shown):
    assert label(name) == shown


def test_numbers_are_short():
    assert (number(-22.5), number(0.30000000000000004), number(True)) == ("−22.5", "0.3", "True")
    assert (count(950), count(1_500_000), count(2 * 10**9)) == ("950", "1.5 M", "2 G")


def test_items_of_a_repetition_and_shared_candidates_are_told_by_their_places():
    layer = OperationChoice({"k1": Operation("block", "one"), "k3": Operation("block", "three")})
    root = Shared(
        {"kind": layer},
        Group({"first": Ref("kind"), "rest": Repeat(Ref("kind"), (2,))}),
    )
    space = SearchSpace("shared", root)
    [table] = tables(space, space.sample(seed=0))
    assert [row[0] for row in table.rows] == ["first", "rest/item1", "rest/item2"]


def test_a_choice_without_effect_is_told_nowhere():
    blur = Operation(
        "augmentation", "blur", {"p": ValueChoice(0.0, 0.5), "kernel": ValueChoice(3, 5)},
        neutral={"p": 0.0},
    )  # fmt: skip
    layer = OperationChoice(
        {
            "conv": Operation("block", "conv3d", {"kernel": Ref("kernel")}),
            "skip": Operation("block", "skip"),
        }
    )
    body = Group({"augment": Group({"blur": blur}), "layer": layer, "lr": ValueChoice(0.1, 0.2)})
    space = SearchSpace("idle", Shared({"kernel": ValueChoice(7, 9)}, body))
    idle = space.genotype(
        {"augment/blur/p": "0", "augment/blur/kernel": "5", "layer": "skip", "lr": "0.2",
         "kernel": "9"}
    )  # fmt: skip
    text = policy_text(space, idle)
    assert not set("579") & set(text.split("\n", 1)[1])
    told = [path for table in tables(space, idle) for path in table.choices]
    assert sorted(told) == ["augment/blur/p", "layer", "lr"]
    used = space.genotype({**idle.choices, "augment/blur/p": "0.5", "layer": "conv"})
    told = [path for table in tables(space, used) for path in table.choices]
    assert sorted(told) == sorted(used.choices)
    assert "kernel 9" in policy_text(space, used)


@pytest.mark.parametrize(
    ("classes", "names"),
    [
        (["normal", "ill"], ["sensitivity of 'ill'", "specificity of 'ill'", "precision of 'ill'"]),
        (
            ["a", "b", "c"],
            [
                "sensitivity, mean over classes",
                "specificity, mean over classes",
                "precision, mean over classes",
            ],
        ),
    ],
)
def test_figures_of_a_class_say_of_which(classes, names):
    figures = {"accuracy": 0.8, "sensitivity": 0.5, "specificity": 0.7, "precision": 0.4}
    told = {**content(0.7, 0.9), "classes": classes, "test": figures, "validation": figures}
    assert [row[0] for row in figures_table(told).rows] == ["accuracy", *names]
