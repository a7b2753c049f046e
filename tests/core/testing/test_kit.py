"""What the kit is besides its contracts: its page, its fixture, its strategies, its errors."""

from __future__ import annotations

import inspect
import os
import pathlib
import re
import subprocess
import sys
import types

import pytest
import torch
from hypothesis import find, given, settings
from hypothesis import strategies as st

import medpipe_core as mp
from medpipe_core import testing
from medpipe_core.plugins import PluginError
from medpipe_core.testing import (
    AugmentationContract,
    ContractError,
    PluginContract,
    SearcherContract,
    SpaceContract,
    genotypes,
    only_these_plugins,  # noqa: F401 - a fixture
    spaces,
    volumes,
)

ROOT = pathlib.Path(__file__).parents[3]
PAGE = (ROOT / "docs/testing.md").read_text()
CONTRACTS = [getattr(testing, name) for name in testing.__all__ if name.endswith("Contract")]


def methods_of(contract):
    return {n: f for n, f in inspect.getmembers(contract, callable) if n.startswith("test_")}


@pytest.mark.slow
def test_the_contracts_on_the_page_hold():
    names = shown_in("testing.md")
    shown = [found for name, found in names.items() if name.startswith("Test")]
    assert {contract for one in shown for contract in CONTRACTS if issubclass(one, contract)} == {
        *CONTRACTS
    }
    for one in shown:
        run_all(one)
    for name in ("test_mirroring_twice_gives_the_volume_back", "test_every_member_has_a_rank"):
        names[name]()


def run_all(contract):
    for name in methods_of(contract):
        try:
            getattr(contract(), name)()
        except pytest.skip.Exception:
            continue


def shown_in(page):
    names = {}
    text = (ROOT / "docs" / page).read_text()
    for code in re.findall(r"^```python\n(.*?)^```", text, re.M | re.S):
        exec(compile(code, page, "exec"), names)
    return names


def test_the_plugin_that_the_documents_show_keeps_its_contracts():
    shown = shown_in("plugins.md")
    module = types.ModuleType("acme")
    vars(module).update(shown)
    run_all(type("TestGamma", (AugmentationContract,), {"operation": shown["Gamma"]}))
    run_all(type("TestAcme", (PluginContract,), {"plugin": module}))


def test_the_searcher_that_the_documents_show_keeps_its_contract():
    shown = shown_in("searchers.md")
    run_all(type("TestFirst", (SearcherContract,), {"searcher": shown["First"]}))


@pytest.mark.parametrize("contract", CONTRACTS)
def test_the_page_says_what_every_test_checks(contract):
    section = PAGE.split(f"### {contract.__name__}\n")[1].split("\n#")[0]
    rows = [f"| `{name}` | {inspect.getdoc(test)} |" for name, test in methods_of(contract).items()]
    assert set(re.findall(r"^\| `.*$", section, re.M)) == set(rows)


def test_the_fixture_keeps_installed_plugins_out(request):
    assert mp.load_plugins().names("dataset")
    hand_in = request.getfixturevalue("only_these_plugins")
    assert mp.load_plugins().plugins == ()
    registry = hand_in("medpipe_core.search.plugin")
    assert registry.names("searcher") == mp.load_plugins().names("searcher")
    assert mp.load_plugins().names("dataset") == []


def test_the_fixture_tells_of_a_broken_plugin(only_these_plugins):  # noqa: F811
    class Broken:
        @mp.hookimpl
        def medpipe_register(self, registry):
            raise ValueError("oh")

    with pytest.raises(PluginError, match="ValueError: oh"):
        only_these_plugins(Broken)
    [record] = only_these_plugins(Broken, strict=False).plugins
    assert record.status == "failed"


@pytest.mark.slow
def test_the_fixture_comes_as_a_pytest_plugin(tmp_path):
    (tmp_path / "conftest.py").write_text('pytest_plugins = ["medpipe_core.testing.fixtures"]\n')
    (tmp_path / "test_it.py").write_text(
        "def test_none(only_these_plugins):\n    assert only_these_plugins().plugins == ()\n"
    )
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout


@given(volumes(most=3, channels=2, longest=4))
def test_drawn_volumes_are_batches_of_intensities(batch):
    assert batch.ndim == 5
    assert batch.shape[1] == 2
    assert 0 <= batch.min() <= batch.max() <= 1


@pytest.mark.parametrize(
    "wanted",
    [
        lambda batch: not batch.is_contiguous(),
        lambda batch: batch.dtype == torch.float64,
        lambda batch: (batch == 0).all(),
        lambda batch: batch.sum() == len(batch),
        lambda batch: len(set(batch.shape[2:])) == 3,
    ],
    ids=["scattered", "double", "blank", "one voxel", "not cubic"],
)
def test_drawn_volumes_hold_what_goes_wrong(wanted):
    found = find(volumes(channels=1), lambda batch: bool(wanted(batch)))
    assert wanted(found)


@given(spaces(largest=50).flatmap(lambda space: st.tuples(st.just(space), genotypes(space))))
def test_drawn_genotypes_are_members(drawn):
    space, genotype = drawn
    space.validate(genotype)
    assert space.size() <= 50


@settings(max_examples=10, deadline=None)
@given(spaces(largest=200))
def test_every_small_space_keeps_its_contract(space):
    class Drawn(SpaceContract):
        draws = 300

        def make(self):
            return space

        def test_it_is_the_same_in_another_process(self):
            """Takes a process."""

        def test_no_candidate_is_there_twice(self):
            """One may well be, where a space is drawn."""

    run_all(Drawn)


def test_a_contract_that_is_not_filled_in_says_so():
    class TestNothing(AugmentationContract):
        pass

    with pytest.raises(ContractError, match=r"TestNothing does not say what to test.*`operation`"):
        TestNothing().test_values_stay_finite()


def test_an_import_string_that_leads_nowhere_says_so():
    class TestNowhere(AugmentationContract):
        operation = "acme.gamma:Gamma"

    with pytest.raises(ContractError, match=r"operation = 'acme.gamma:Gamma' cannot be imported"):
        TestNowhere().test_values_stay_finite()


@pytest.mark.parametrize("absent", ["pytest", "hypothesis"])
def test_without_the_extra_the_error_names_it(absent):
    code = f"import sys; sys.modules[{absent!r}] = None; import medpipe_core.testing"
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert f"medpipe_core.testing needs {absent}" in ran.stderr
    assert 'pip install "medpipe[test]"' in ran.stderr


def test_nothing_else_imports_the_kit():
    for package in ("medpipe_core", "medpipe_plugins"):
        for path in (ROOT / package).rglob("*.py"):
            if path.parent.name != "testing":
                assert not re.search(r"(import|from) medpipe_core\.testing", path.read_text())
