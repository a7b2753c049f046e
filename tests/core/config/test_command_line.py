"""The words of a command line."""

from __future__ import annotations

import pytest

from medpipe_core.config.command_line import read_command_line, split_list


def test_words_become_options_and_values():
    words = read_command_line(
        ["--cfg", "seed=3", "space.augment.layers=[noise, blur]", "space=toy"]
    )
    assert words.options == {"--cfg"}
    assert list(words.runs()) == [
        {"seed": 3, "space.augment.layers": ["noise", "blur"], "space": "toy"}
    ]
    assert not words.problems


def test_a_groups_name_is_never_read_as_a_number():
    assert next(read_command_line(["space=3"]).runs()) == {"space": "3"}


def test_a_sweep_is_the_product_of_its_lists():
    words = read_command_line(["-m", "seed=0,1", "searcher=gumbel,random", "space.channels=[8,16]"])
    runs = list(words.runs())
    assert [(r["seed"], r["searcher"]) for r in runs] == [
        (0, "gumbel"), (0, "random"), (1, "gumbel"), (1, "random"),
    ]  # fmt: skip
    assert all(r["space.channels"] == [8, 16] for r in runs)
    assert words.swept == ("seed", "searcher")


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("a,b", ["a", "b"]),
        ("[1,2],[3]", ["[1,2]", "[3]"]),
        ("'a,b',c", ["'a,b'", "c"]),
        ("{a: [1,2]}, x", ["{a: [1,2]}", "x"]),
        ("a", ["a"]),
    ],
)
def test_lists_are_split_outside_brackets_and_quotes(text, parts):
    assert split_list(text) == parts


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("--hepl", "'--help'"),
        ("quick", "expected group=name"),
        ("=3", "expected group=name"),
        ("a..b=3", "expected group=name"),
        ("seed=[1", "cannot be read"),
        ("--cfg=3", "takes no value"),
        ("--config", "say which file"),
        ("space=", "say which"),
    ],
)
def test_a_wrong_word_is_told(word, told):
    (problem,) = read_command_line([word]).problems
    assert told in problem


def test_all_wrong_words_are_told():
    words = read_command_line(["--wat", "x", "seed=1", "seed=2", "--config", "a.yaml", "b.yaml"])
    assert len(words.problems) == 4
    assert any("given twice" in problem for problem in words.problems)
    assert any("two configuration files" in problem for problem in words.problems)


def test_the_same_value_twice_in_a_sweep_is_told():
    assert "twice" in read_command_line(["-m", "seed=1,1"]).problems[0]


def test_a_sweep_that_nobody_can_mean_is_told_and_not_enumerated():
    lists = [f"key{number}={','.join(map(str, range(100)))}" for number in range(20)]
    words = read_command_line(["-m", *lists])
    (problem,) = words.problems
    assert "at most 1,000 at a time" in problem
    assert len(list(words.runs())) == 1
