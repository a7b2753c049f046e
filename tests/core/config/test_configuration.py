"""Configurations: resolved, checked, written and read again."""

from __future__ import annotations

import pytest
import yaml

from medpipe_core.config import ConfigurationError, resolve
from medpipe_core.config.configuration import read_file
from medpipe_core.config.help_text import help_text
from medpipe_core.config.presets import PRESETS, SUMMARIES
from medpipe_core.plugins import load_plugins
from medpipe_core.search.searcher_settings import GumbelSettings

TOY = {"space": "toy", "searcher": "random", "dataset": "toy"}


def problems_of(given, registry, **more):
    with pytest.raises(ConfigurationError) as caught:
        resolve(given, registry, **more)
    return caught.value


def test_a_preset_applies_before_the_users_keys(registry):
    quick = resolve({**TOY, "retrain.epochs": 7}, registry)
    assert quick.keys.search.epochs == PRESETS["quick"]["search.epochs"]
    assert quick.keys.retrain.epochs == 7


def test_a_space_brings_its_own_part_of_a_preset(registry):
    assert resolve(TOY, registry).parameters["space"]["width"] == 3
    assert resolve({**TOY, "preset": "paper"}, registry).parameters["space"]["width"] == 4
    assert resolve({**TOY, "space.width": 9}, registry).parameters["space"]["width"] == 9


def test_a_member_brings_keys_of_the_run_for_a_preset(registry):
    gumbel = {**TOY, "searcher": "gumbel"}
    brought = GumbelSettings.run_presets["quick"]
    quick = resolve(gumbel, registry).keys
    assert quick.search.epochs == brought["search.epochs"] != PRESETS["quick"]["search.epochs"]
    assert quick.evaluate.top_k == 1
    assert resolve({**gumbel, "search.epochs": 3}, registry).keys.search.epochs == 3
    laptop = resolve({**gumbel, "preset": "laptop"}, registry).keys
    assert laptop.search.epochs == PRESETS["laptop"]["search.epochs"]
    assert resolve(TOY, registry).keys.evaluate.top_k == PRESETS["quick"]["evaluate.top_k"]


def test_halving_brings_the_race_that_was_measured_on_a_small_machine(registry):
    halving = resolve({**TOY, "searcher": "halving", "preset": "laptop"}, registry)
    search = halving.keys.search
    assert (search.candidates, search.rungs, search.brackets) == (8, 2, 1)
    assert (search.scores, halving.keys.evaluate.top_k) == ("trained", 1)
    assert halving.parameters["searcher"]["prior_active"] == 2
    assert resolve({**TOY, "searcher": "halving"}, registry).keys.search.candidates == 17


def test_epochs_that_are_given_outdo_the_least_steps_of_a_preset(registry):
    assert resolve(TOY, registry).keys.retrain.min_steps == 1400
    given = resolve({**TOY, "retrain.epochs": 7}, registry).keys
    assert (given.retrain.min_steps, given.evaluate.min_steps) == (0, 180)
    both = resolve({**TOY, "retrain.epochs": 7, "retrain.min_steps": 30}, registry).keys
    assert (both.retrain.epochs, both.retrain.min_steps) == (7, 30)


def test_the_help_shows_the_keys_that_suit_the_chosen_members(registry):
    for searcher, told in (("halving", "search.scores=trained"), ("gumbel", "evaluate.top_k=1 ")):
        assert told in help_text(registry, {"searcher": searcher})
        assert told not in help_text(registry, {"searcher": "random"})


def test_the_last_epoch_always_teaches_the_searcher(registry):
    for epochs, warmup in ((1, 0), (2, 1), (9, 2)):
        keys = resolve({**TOY, "searcher": "gumbel", "search.epochs": epochs}, registry).keys
        assert keys.search.warmup_epochs == warmup


def test_the_paper_preset_has_the_papers_figures(registry):
    keys = resolve({**TOY, "preset": "paper"}, registry).keys
    assert (keys.search.epochs, keys.search.weights_lr) == (50, 3e-4)
    assert (keys.evaluate.top_k, keys.retrain.epochs, keys.retrain.lr) == (5, 200, 1e-3)
    gumbel = resolve({**TOY, "searcher": "gumbel", "preset": "paper"}, registry)
    assert gumbel.parameters["searcher"]["lr"] == 1e-3


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_is_valid_and_summarised(registry, preset):
    assert resolve({**TOY, "preset": preset}, registry).preset == preset
    assert SUMMARIES[preset]


def test_a_written_configuration_is_read_back_as_it_was(registry):
    first = resolve({**TOY, "space.shifts": [0.1, 0.3], "seed": 5}, registry)
    again = resolve({}, registry, base=read_file(first.to_yaml(), "config.yaml"))
    assert again == first
    assert again.to_yaml() == first.to_yaml()
    assert yaml.safe_load(first.to_yaml())["space.shifts"] == [0.1, 0.3]


def test_a_configuration_file_may_be_nested(registry):
    text = "seed: 3\nsearch: {epochs: 2}\nsearcher: random\nspace: toy\ndataset: toy\n"
    assert resolve({}, registry, base=read_file(text, "my.yaml")).keys.search.epochs == 2


def test_another_space_drops_the_files_parameters_of_the_old_one(registry):
    base = {**TOY, "space.width": 9, "seed": 3}
    other = resolve({"space": "toy-two"}, _with_second_toy(registry), base=base)
    assert (other.space, other.keys.seed) == ("toy-two", 3)
    assert "width" not in other.parameters["space"]


def test_a_preset_over_a_complete_file_is_refused(registry):
    error = problems_of({"preset": "paper"}, registry, base={**TOY, "preset": "quick"})
    assert "changes nothing" in str(error)


def test_everything_wrong_is_told_at_once_with_what_is_near(registry):
    error = problems_of(
        {
            "space": "toj",
            "searcher": "random",
            "dataset": "toy",
            "preset": "quik",
            "serch.epochs": 3,
            "search.epoch": 3,
            "seed": -1,
            "device": "gpu",
            "dataset.count": "many",
        },
        registry,
    )
    assert error.exit_code == 2
    text = str(error)
    for part in (
        "space=toj", "'toy'", "'quick'", "'serch.epochs'", "'search.epochs'", "'search.epoch'",
        "seed: ", "(given -1)", "device: give auto", "dataset.count: ", "(given many)",
    ):  # fmt: skip
        assert part in text
    assert len(error.problems) == 7


def test_a_nested_wrong_value_is_told_by_its_dotted_key(registry):
    error = problems_of({**TOY, "space.shifts": [0.1, "far"]}, registry)
    assert error.problems == (
        "space.shifts: Input should be a valid number, unable to parse string as a number "
        "(given far)",
    )


def test_keys_that_the_run_fills_in_are_refused(registry):
    error = problems_of({**TOY, "dataset.root": "x", "searcher.seed": 4}, registry)
    assert "give data.root instead" in str(error)
    assert "searcher.seed is the run's to give" in str(error)


def test_an_evaluation_that_compares_nothing_is_refused(registry):
    error = problems_of({**TOY, "evaluate.epochs": 0, "evaluate.inherit": False}, registry)
    assert "nothing to compare" in str(error)


def test_a_member_of_a_missing_distribution_is_a_plugin_problem(registry):
    error = problems_of({**TOY, "space": "acme:big"}, registry)
    assert error.exit_code == 3
    assert "acme:big" in str(error)


def test_a_name_that_a_failed_plugin_may_own_is_a_plugin_problem(tmp_path):
    broken = tmp_path / "broken.py"
    broken.write_text("import no_such_module_anywhere\n")
    registry = load_plugins(load=[broken])
    error = problems_of({"space": "zzz-space"}, registry)
    assert error.exit_code == 3
    assert "no_such_module_anywhere" in str(error)
    misspelt = problems_of({"space": "medpipe-jiont"}, registry)
    assert misspelt.exit_code == 2


def test_a_file_asked_for_by_name_that_cannot_be_loaded_ends_the_run(tmp_path):
    for code in ("import no_such_module_anywhere\n", None):
        path = tmp_path / ("broken.py" if code else "absent.py")
        path.write_text(code) if code else None
        error = problems_of({"dataset": "phantom3d"}, load_plugins(load=[path]))
        assert error.exit_code == 3
        assert error.problems[0].startswith(f"plugin '{path.stem}' ({path})")


@pytest.mark.parametrize("name", ["medpipe-searcher", "medpipe-serchers"])
def test_a_disabled_name_that_is_no_plugin_is_refused_with_the_nearest(name):
    error = problems_of({"plugins.disable": [name]}, load_plugins(disable=[name]))
    assert error.exit_code == 2
    assert f"no plugin or distribution '{name}'. Did you mean 'medpipe-searchers'" in str(error)


def test_a_plugin_may_be_disabled_by_its_distribution(registry):
    given = {**TOY, "plugins.disable": ["file:toy_plugin.py", "Medpipe", "medpipe-phantom3d"]}
    assert resolve(given, registry).keys.plugins.disable[1] == "Medpipe"


def test_a_list_given_as_one_value_is_told_with_its_brackets(registry):
    error = problems_of({**TOY, "plugins.load": "one_off.py"}, registry)
    assert "plugins.load=[one_off.py]" in str(error)
    error = problems_of({**TOY, "space.shifts": 0.3}, registry)
    assert "space.shifts=[0.3]" in str(error)


def test_parameters_that_cannot_be_imported_are_a_plugin_problem(tmp_path):
    lazy = tmp_path / "lazy.py"
    lazy.write_text(
        "from medpipe_core import hookimpl\n"
        "@hookimpl\n"
        "def medpipe_register(registry):\n"
        "    registry.register('space', 'lazy', 'no_such_module_anywhere:space')\n"
    )
    error = problems_of({"space": "lazy"}, load_plugins(load=[lazy]))
    assert error.exit_code == 3
    assert "no_such_module_anywhere" in str(error)


@pytest.mark.parametrize("text", ["- a\n", "3: x\n", "seed: 1\nseed: 2\n", "{"])
def test_a_file_that_is_no_configuration_is_refused(text):
    with pytest.raises(ConfigurationError, match=r"my\.yaml"):
        read_file(text, "my.yaml")


def _with_second_toy(registry):
    class Both:
        plugins = registry.plugins

        def names(self, kind):
            return [*registry.names(kind), "toy-two"]

        def entry(self, kind, name):
            entry = registry.entry(kind, "toy" if name == "toy-two" else name)
            return _Plain(entry) if name == "toy-two" else entry

    return Both()


class _Plain:
    def __init__(self, entry):
        self.entry = entry

    def parameters(self):
        from pydantic import BaseModel

        return type("NoParameters", (BaseModel,), {})


DECOUPLED = {**TOY, "searcher": "decoupled"}


def test_the_fixed_network_is_told_with_what_is_near(registry):
    error = problems_of({**DECOUPLED, "searcher.model": "toy-nett"}, registry)
    assert error.exit_code == 2
    assert "searcher.model: there is no model 'toy-nett'. Did you mean 'toy-net'" in str(error)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"searcher.model_parameters.widht": 8}, "no key 'widht'. Did you mean 'width'?"),
        ({"searcher.model_parameters": {"width": "wide"}}, "width='wide': input should be a valid"),
        ({"searcher.model_parameters": {"in_channels": 8}}, "in_channels is the framework's"),
    ],
)
@pytest.mark.parametrize("model", ["toy-net", "resnet18-2.5d"])
def test_the_fixed_networks_parameters_are_its_models(registry, given, told, model):
    error = problems_of({**DECOUPLED, "searcher.model": model, **given}, registry)
    assert f"searcher.model_parameters: model {model!r}: " in str(error)
    assert told in str(error)


def test_a_model_that_is_disabled_is_a_plugin_problem():
    registry = load_plugins(disable=["medpipe-baselines"])
    error = problems_of({"searcher": "decoupled"}, registry)
    assert error.exit_code == 3
    assert "no model 'resnet18-2.5d'" in str(error)
    assert "medpipe-baselines is disabled" in str(error)
    assert resolve({"searcher": "gumbel"}, registry).searcher == "gumbel"


def test_the_fixed_networks_parameters_are_written_and_read_again(registry):
    given = {**DECOUPLED, "searcher.model": "toy-net", "searcher.model_parameters": {"width": 5}}
    first = resolve(given, registry)
    again = resolve({}, registry, base=read_file(first.to_yaml(), "config.yaml"))
    assert again == first
    assert again.parameters["searcher"]["model_parameters"] == {"width": 5}
