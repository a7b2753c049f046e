"""Values that no key takes are refused with words, whichever way they come."""

from __future__ import annotations

import pytest

from medpipe_core.command.medpipe_run import main
from medpipe_core.config import ConfigurationError, resolve
from medpipe_core.config.plain_values import impossible, user_path
from medpipe_core.execution.registry import registry_for
from medpipe_core.plugins import load_plugins

TOY = {"space": "toy", "searcher": "random", "dataset": "toy"}


def nested(depth):
    value = 1
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("seed", True, "seed: give a number (given true)"),
        ("search.weights_lr", True, "search.weights_lr: give a number (given true)"),
        ("space.shifts", [0.1, True], "space.shifts: give a number (given true)"),
        ("plugins.strict", 1, "plugins.strict: give true or false (given 1)"),
        ("plugins.strict", "yes", "plugins.strict: give true or false (given yes)"),
        ("evaluate.inherit", "on", "evaluate.inherit: give true or false (given on)"),
        ("device", "auto:3", "device: give auto"),
        ("device", "cpu:99999999999", "device: give auto"),
        ("device", "cuda:٣", "device: give auto"),
        ("threads", 2**31, "threads: Input should be less than"),
        ("test.resamples", 1e12, "test.resamples: Input should be less than"),
        ("search.batch_size", 10**12, "search.batch_size: Input should be less than"),
        ("search.weights_lr", 1e300, "search.weights_lr: Input should be less than"),
        ("search.weights_lr", float("nan"), "search.weights_lr: not a number"),
        ("dataset.count", 10**400, "dataset.count: larger than any number"),
        ("run.root", "~no-such-user-anywhere/x", "run.root: there is no user whose home"),
        ("run.root", "x" * 5000, "run.root: a text of 5000 characters"),
        ("run.root", "x" * 300, "longer than a file's name"),
        ("run.root", "a\0b", "run.root: there is a sign in it"),
        ("data.root", "a\udcffb", "data.root: there is a sign in it"),
        ("plugins.load", ["~no-such-user-anywhere/x.py"], "plugins.load: there is no user"),
        ("space.shifts", nested(50), "space.shifts: more than"),
        ("space.shifts", [0.1] * 20_000, "space.shifts: more than"),
        ("a." * 3000 + "b", 1, "longer or deeper than any key"),
        ("searcher", ":gumbel", "searcher: give a name, or distribution:name"),
        ("searcher", "medpipe:", "searcher: give a name, or distribution:name"),
        ("dataset", ["toy"], "dataset: give a name, or distribution:name"),
    ],
)
def test_a_value_that_no_key_takes_is_refused(registry, key, value, told):
    for given, base in (({**TOY, key: value}, {}), ({}, {**TOY, key: value})):
        with pytest.raises(ConfigurationError) as caught:
            resolve(given, registry, base=base)
        assert told in str(caught.value)


def test_what_is_taken_stays_as_it_was_given(registry):
    given = {**TOY, "evaluate.inherit": True, "run.root": "scans #2", "device": "cuda:3"}
    keys = resolve({**given, "seed": 2**63 - 1}, registry).keys
    assert (keys.evaluate.inherit, keys.run.root, keys.device) == (True, "scans #2", "cuda:3")
    assert keys.seed == 2**63 - 1


def test_impossible_says_nothing_of_what_is_possible():
    for value in (None, True, -3, 0.5, float("inf"), "text", [1, {"a": [None]}], object()):
        assert impossible("key", value) == ""


def test_a_path_to_a_home_that_is_there_is_expanded(monkeypatch):
    monkeypatch.setenv("HOME", "/home/somebody")
    assert str(user_path("~/runs")) == "/home/somebody/runs"


def test_plugin_files_that_cannot_be_are_left_to_the_check_of_the_configuration():
    given = {"plugins.load": ["~no-such-user-anywhere/x.py", 3, "a\0b"]}
    assert len(registry_for(given).plugins) == len(load_plugins().plugins)


@pytest.mark.parametrize(
    "text",
    ["&a [*a]", "a: &x [1]\nb: *x\n", "seed: !!int 3\n", "a: " + "[" * 40 + "]" * 40, "- 3\n",
     "seed: " + "9" * 5000, "seed: 1e400\n", "a: [" + "1," * 100_000 + "]"],
    ids=["recursive", "alias", "tag", "deep", "list", "digits", "overflow", "long"],
)  # fmt: skip
def test_a_hostile_configuration_file_is_refused_at_once(tmp_path, capsys, text):
    path = tmp_path / "config.yaml"
    path.write_text(text)
    assert main(["--config", str(path), "--cfg"]) == 2
    assert str(path) in capsys.readouterr().err


def test_a_configuration_without_an_end_is_refused(capsys):
    assert main(["--config", "/dev/zero"]) == 2
    assert "/dev/zero" in capsys.readouterr().err
