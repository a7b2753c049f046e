"""The table of rooms and arrows in docs/architecture.md, held: arrows point one way only."""

from __future__ import annotations

import ast
import itertools
import re
from pathlib import Path

import pytest

import medpipe_core

CORE = Path(medpipe_core.__file__).parent
PAGE = CORE.parent / "docs" / "architecture.md"

# From the top: a room may import those below it that its row names, for types and inside functions
# as well. What stands beside the rooms is open to all.
BESIDE = {
    "computing",
    "errors",
    "events",
    "frozen_mapping",
    "lazy",
    "memory",
    "regular_files",
    "seeding",
}
ROOMS = {
    "command": {"api", "report", "execution", "record", "config", "plugins", "space"},
    "api": {"report", "execution", "record", "config", "search", "data", "plugins", "space"},
    "report": {"execution", "record", "config", "plugins", "space"},
    "execution": {
        "record", "config", "search", "train", "supernet", "data", "plugins", "space",
    },
    "record": {"config", "plugins", "space"},
    "config": {"search", "train", "plugins"},
    "testing": {"search", "supernet", "data", "plugins", "space"},
    "search": {"supernet", "plugins", "space"},
    "train": {"data"},
    "supernet": {"space"},
    "data": {"space"},
    "plugins": set(),
    "space": set(),
}  # fmt: skip
LONGEST = 350


def modules():
    """Every module of the core but what `python -m` runs: dotted name → file."""
    for path in sorted(CORE.rglob("*.py")):
        if path.name == "__main__.py":
            continue
        parts = path.relative_to(CORE).with_suffix("").parts
        yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


MODULES = dict(modules())


def imports(path):
    """Modules of the core that a file imports anywhere, types and functions included."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: a relative import"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            if name.startswith("medpipe_core."):
                inner = name.removeprefix("medpipe_core.")
                while inner and inner not in MODULES:
                    inner = inner.rpartition(".")[0]
                if inner:
                    yield inner


ARROWS = {name: set(imports(path)) - {name} for name, path in MODULES.items()}


def room(module):
    return module.partition(".")[0]


def test_every_folder_is_a_room_of_the_table():
    found = {room(name) for name in MODULES if name} - BESIDE
    assert found == set(ROOMS)


def test_rooms_import_only_rooms_below_them():
    wrong = [
        f"{name} imports {target}"
        for name, targets in ARROWS.items()
        for target in targets
        if name and room(name) != room(target) and room(target) not in BESIDE
        if room(target) not in ROOMS.get(room(name), set())
    ]
    assert wrong == []


def test_the_table_itself_points_one_way():
    order = list(ROOMS)
    for name, below in ROOMS.items():
        assert below <= set(order[order.index(name) + 1 :]), name


def test_no_module_is_in_a_circle_of_imports():
    # A package's own page gathers names for others; a module within the package needs none of it.
    arrows = {n: {t for t in ts if MODULES[t].name != "__init__.py"} for n, ts in ARROWS.items()}
    done, path = set(), []

    def visit(name):
        if name in path:
            circle = [*path[path.index(name) :], name]
            pytest.fail("a circle of imports: " + " → ".join(circle))
        if name in done:
            return
        path.append(name)
        for target in sorted(arrows[name]):
            visit(target)
        path.pop()
        done.add(name)

    for name in arrows:
        visit(name)


def test_modules_within_a_room_do_not_import_its_page():
    wrong = [
        f"{name} imports the package {target}"
        for name, targets in ARROWS.items()
        for target in targets
        if MODULES[target].name == "__init__.py" and name.startswith(f"{target}.")
    ]
    assert wrong == []


def test_no_module_is_longer_than_350_lines():
    long = {
        name: lines
        for name, path in MODULES.items()
        if (lines := len(path.read_text(encoding="utf-8").splitlines())) > LONGEST
    }
    assert long == {}


def test_the_documented_table_says_the_same():
    rows = re.findall(
        r"^\| `([a-z]+)(?:/|\.py)` \|.*\| ([^|]*) \|$", PAGE.read_text(), re.MULTILINE
    )
    documented = {name: set(re.findall(r"`([a-z]+)`", below)) for name, below in rows}
    assert documented == ROOMS


@pytest.mark.parametrize("name", sorted(ROOMS))
def test_rooms_have_a_page_that_says_what_they_are(name):
    path = CORE / name / "__init__.py" if (CORE / name).is_dir() else CORE / f"{name}.py"
    assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))


def test_all_pairs_of_rooms_are_ordered():
    for one, other in itertools.combinations(ROOMS, 2):
        assert one not in ROOMS[other]


def test_every_file_that_the_page_of_questions_names_is_there():
    text = PAGE.with_name("where.md").read_text(encoding="utf-8")
    named = re.findall(r"`([a-z_0-9/]+(?:\.py|/))`", text)
    missing = [
        name
        for name in named
        if not any((root / name).exists() for root in (CORE, CORE.parent))
        and name not in ("medpipe_core/",)
    ]
    assert len(named) > 40
    assert missing == []
