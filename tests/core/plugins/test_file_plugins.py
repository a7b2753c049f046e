from __future__ import annotations

import sys
from textwrap import dedent

import pytest

from medpipe_core import load_plugins


@pytest.fixture
def mine(site, tmp_path):
    """Write the code of a one-off plugin to a file."""

    def write(code, name="mine.py"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(dedent(code))
        return path

    return write


def test_a_file_may_define_dataclasses(mine):
    path = mine(
        """
        from __future__ import annotations
        from dataclasses import dataclass
        from medpipe_core import hookimpl

        @dataclass
        class Block:
            channels: int = 3

        @hookimpl
        def medpipe_register(registry):
            registry.register("block", "mine", Block)
        """
    )
    assert load_plugins(load=path, strict=True).create("block", "mine", channels="5").channels == 5


def test_a_file_takes_no_name_from_an_installed_plugin(site, mine, good):
    path = mine(good())
    site.install("zeta", good())
    registry = load_plugins(load=[path])
    assert registry.origin("augmentation", "gamma") == ("zeta", "1.0")
    error = registry.plugins[-1].error
    assert "which zeta 1.0 has already" in error
    assert "Mend the file, or leave it out of plugins.load" in error


def test_a_broken_file_leaves_no_module_behind(mine):
    before = set(sys.modules)
    registry = load_plugins(load=[mine("x = 1 / 0")])
    assert registry.plugins[0].status == "failed"
    assert set(sys.modules) == before


def test_the_place_of_an_error_is_in_the_plugin_or_nowhere(mine, tmp_path):
    path = mine("import json\n\njson.loads('{')")
    assert f"(at {path}:3)" in load_plugins(load=[path]).plugins[0].error
    absent = load_plugins(load=[tmp_path / "absent.py"]).plugins[0].error
    assert "FileNotFoundError" in absent
    assert "(at " not in absent


def test_a_file_that_is_no_python_is_told_with_its_line(mine):
    path = mine("x = 1\nhello there", name="notes.txt")
    error = load_plugins(load=[path]).plugins[0].error
    assert "SyntaxError" in error
    assert "notes.txt, line 2" in error


def test_of_two_files_of_one_name_the_second_is_left_out_and_both_are_named(mine, good):
    one, two = mine(good("one"), "a/mine.py"), mine(good("two"), "b/mine.py")
    registry = load_plugins(load=[one, two])
    assert [record.status for record in registry.plugins] == ["loaded", "failed"]
    assert f"({two})" in registry.plugins[1].error
    assert f"({one})" in registry.plugins[1].error


def test_a_file_can_be_changed_and_loaded_again_and_nothing_is_put_beside_it(mine, good):
    assert load_plugins(load=[mine(good("one"))]).names("augmentation") == ["one"]
    path = mine(good("two"))
    assert load_plugins(load=[path]).names("augmentation") == ["two"]
    assert list(path.parent.iterdir()) == [path]
