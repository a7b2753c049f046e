"""What must fail later is told before there is a run folder."""

from __future__ import annotations

import dataclasses
import sys

import pytest

import medpipe_core as mp
from medpipe_core.command.medpipe_run import main
from medpipe_core.config import ConfigurationError, resolve
from medpipe_core.execution.checked_dataset import make_dataset
from medpipe_core.execution.context import RunContext
from medpipe_core.execution.rehearsal import rehearse
from medpipe_core.plugins import PluginError

TOY = {"space": "toy", "searcher": "random", "dataset": "toy"}


@pytest.fixture
def rehearsed(registry):
    """Rehearse a run with some keys, and a space of our own if wanted."""

    def run(described=None, registry=registry, **keys):
        configuration = resolve({**TOY, **keys}, registry)
        context = RunContext.of(configuration, registry, make_dataset(configuration, registry).card)
        if described is not None:
            card = context.card
            size = {"in_channels": card.channels, "num_classes": len(card.classes)}
            meter = mp.ResourceMeter(described, size=card.size, **size)
            context = dataclasses.replace(context, space=described, meter=meter)
        rehearse(context)

    return run


def network(registry, block, budget=None, **parameters):
    root = mp.Group({"layer": mp.Operation("block", block, parameters)})
    return mp.SearchSpace("mine", root, catalogue=registry, budget=budget)


@pytest.mark.parametrize("searcher", ["gumbel", "random", "evolution"])
def test_what_fits_passes_with_every_searcher(rehearsed, searcher):
    rehearsed(searcher=searcher)


def test_a_block_that_cannot_be_built_is_told_with_its_path(rehearsed, registry):
    with pytest.raises(ConfigurationError, match=r"space=toy: layer: block 'toy_conv'.*channels"):
        rehearsed(network(registry, "toy_conv"))


def test_a_budget_that_no_genotype_keeps_is_told_with_the_cheapest_there_is(rehearsed, registry):
    widths = {"channels": mp.ValueChoice(4, 8), "stride": mp.ValueChoice(1, 2)}
    root = mp.Group({"stem": mp.Operation("block", "toy_conv", {"channels": 4})})
    space = mp.compose(
        "mine",
        stem=mp.SearchSpace("stem", root, catalogue=registry),
        layer=mp.Operation("block", "toy_conv", {**widths, "channels": 4}),
        budget=mp.Budget(multiply_adds=10),
    )
    # Two 3³ convolutions, the second at stride 2, and the head.
    cheapest = 27 * 4 * 6**3 + 27 * 4 * 4 * 3**3 + 4 * 2
    with pytest.raises(ConfigurationError, match=rf"cheapest .* and {cheapest:,} multiply-adds"):
        rehearsed(space)


def test_a_space_of_very_many_choices_is_refused_without_walking_through_it_for_ever(
    rehearsed, registry, monkeypatch
):
    layers = {
        str(i): mp.OperationChoice(
            {
                "conv": mp.Operation("block", "toy_conv", {"channels": 1}),
                "skip": mp.Operation("block", "toy_skip"),
            }
        )
        for i in range(300)
    }
    space = mp.SearchSpace(
        "mine", mp.Group(layers), catalogue=registry, budget=mp.Budget(multiply_adds=1)
    )
    measured = []
    once = mp.ResourceMeter.__call__
    monkeypatch.setattr(
        mp.ResourceMeter, "__call__", lambda meter, g: measured.append(g) or once(meter, g)
    )
    # All alike are skipped at once; the head on one channel, of two classes, remains.
    with pytest.raises(ConfigurationError, match=r"none of 166 .* 4 parameters and 2 multiply"):
        rehearsed(space)
    assert len(measured) < 200


@pytest.mark.parametrize("space", ["medpipe-training", "medpipe-augment"])
def test_a_space_without_a_network_is_refused(rehearsed, space):
    with pytest.raises(ConfigurationError, match=f"space={space}: it has no block"):
        rehearsed(space=space)


def test_a_budget_that_some_keep_passes(rehearsed, registry):
    rehearsed(network(registry, "toy_conv", mp.Budget(multiply_adds=10**6), channels=2))


def test_an_operation_that_nobody_has_is_told_with_what_is_near(rehearsed, registry):
    with pytest.raises(ConfigurationError, match=r"no block 'toy_cnov'.*'toy_conv'"):
        rehearsed(network(registry, "toy_cnov"))


class Mistaken(mp.Searcher):
    def __init__(self, space, **given):
        super().__init__(space, **given)
        self.width = given["width"]


@pytest.mark.parametrize(
    ("factory", "reason"),
    [
        (Mistaken, "could not be made: TypeError: .*abstract"),
        (lambda space, *, seed, steps, admit: space, "made a SearchSpace, not a .*Searcher"),
    ],
)
def test_a_searcher_that_cannot_be_made_is_its_plugins_fault(rehearsed, registry, factory, reason):
    known = registry.adding("searcher", "mine", factory)
    with pytest.raises(PluginError, match=f"searcher 'mine' of this process -.* {reason}"):
        rehearsed(registry=known, searcher="mine")


@pytest.mark.parametrize("plugin", ["medpipe-augment3d", "medpipe-blocks3d"])
def test_without_the_plugin_of_its_operations_a_run_ends_with_code_3_and_no_folder(
    capsys, tmp_path, plugin
):
    assert main([f"plugins.disable=[{plugin}]", f"run.root={tmp_path}"]) == 3
    assert f"{plugin} is disabled" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_missing_extra_ends_a_run_with_code_3_and_no_folder(
    capsys, monkeypatch, toy_words, tmp_path
):
    monkeypatch.setitem(sys.modules, "optuna", None)
    monkeypatch.delitem(sys.modules, "medpipe_core.search.optuna_study", raising=False)
    words = [word for word in toy_words if not word.startswith("searcher=")]
    assert main([*words, "searcher=optuna"]) == 3
    assert 'pip install "medpipe[optuna]"' in capsys.readouterr().err
    assert not list(tmp_path.glob("runs/*"))


def test_sizes_that_no_memory_holds_are_refused_with_words(registry, toy_words, tmp_path, capsys):
    assert main([*toy_words, "space.width=9000000000000000000"]) == 2
    told = capsys.readouterr().err
    assert "space=toy: network/stem" in told
    assert "9000000000000000000" in told
    assert not (tmp_path / "runs").exists()
