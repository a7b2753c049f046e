"""What the documents show runs, and what is public is documented."""

from __future__ import annotations

import doctest
import importlib
import inspect
import pathlib
import pkgutil
import re

import pytest

import medpipe_core
import medpipe_plugins

ROOT = pathlib.Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("**/*.md"))]
BLOCK = re.compile(r"^```python\n(.*?)^```", re.M | re.S)
MODULES = [
    module.name
    for package in (medpipe_core, medpipe_plugins)
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
]
PUBLIC = [
    name for name in ("medpipe_core", *MODULES) if hasattr(importlib.import_module(name), "__all__")
]


def _marked(page):
    name = str(page.relative_to(ROOT))
    marks = [pytest.mark.slow] if name == "docs/first-run.md" else []  # it has a run on it
    return pytest.param(page, id=name, marks=marks)


@pytest.mark.parametrize("page", [_marked(page) for page in PAGES])
def test_the_examples_of_a_page_run_from_top_to_bottom(page):
    blocks = [code for code in BLOCK.findall(page.read_text()) if not code.startswith("# not run")]
    if not blocks:
        pytest.skip("no Python on this page")
    names: dict = {}
    for code in blocks:
        exec(compile(code, page.name, "exec"), names)


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_a_module_run(name):
    failed, _ = doctest.testmod(importlib.import_module(name))
    assert failed == 0


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_name_is_there_and_documented(name):
    module = importlib.import_module(name)
    assert len(set(module.__all__)) == len(module.__all__)
    for public in module.__all__:
        found = getattr(module, public)
        if inspect.isclass(found) or inspect.isroutine(found):
            assert inspect.getdoc(found), f"{name}.{public} has no docstring"


def test_readme_has_the_two_commands():
    text = (ROOT / "README.md").read_text()
    command = '.venv/bin/pip install ".[fast]" && .venv/bin/medpipe-run'
    assert f"python3 -m venv .venv && {command}\n" in text
    tests = '.venv/bin/pytest -m "not slow" -n auto --dist loadfile'
    assert f'python3 -m venv .venv && .venv/bin/pip install -e ".[test]" && {tests}\n' in text


@pytest.mark.parametrize("link", re.findall(r"\]\(((?:docs/)?[\w/-]+\.md)\)", PAGES[0].read_text()))
def test_links_of_the_readme_lead_somewhere(link):
    assert (ROOT / link).is_file()


@pytest.mark.parametrize("name", ["run", "RunResult", "load_plugins"])
def test_the_api_page_has_the_way_in_and_says_how_it_is_built(name):
    text = (ROOT / "docs/api.md").read_text()
    assert f":: medpipe_core.{name}\n" in text
    assert "python -m sphinx -b html docs docs/_build/html" in text
