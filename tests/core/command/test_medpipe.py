"""The command `medpipe`: what it tells, and how it ends."""

from __future__ import annotations

import importlib
import importlib.metadata
import json
import subprocess
import sys
from textwrap import dedent

import pytest

from medpipe_core import load_plugins
from medpipe_core.command.medpipe import main
from medpipe_core.plugins import KINDS

MEDPIPE = f"medpipe {importlib.metadata.version('medpipe')}"
PLUGIN = """
from medpipe_core import Group, SearchSpace, ValueChoice, hookimpl

print("a plugin that talks while it is imported")

def wide(*, parts: int = 4_500):
    choice = ValueChoice(*range(10))
    return SearchSpace("wide", Group({f"c{i}": choice for i in range(parts)}))

def needy(*, parts: int): ...

@hookimpl
def medpipe_register(registry):
    registry.register("space", "wide", wide, summary="ten to the parts")
    registry.register("space", "needy", needy)
    registry.register("searcher", "gone", "acme_gone:Searcher")
"""


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Install a distribution of one plugin beside the real ones."""
    monkeypatch.syspath_prepend(str(tmp_path))
    before = set(sys.modules)

    def install(name, code):
        (tmp_path / f"{name}.py").write_text(dedent(code))
        info = tmp_path / f"{name}-1.2.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Name: {name}\nVersion: 1.2\n")
        (info / "entry_points.txt").write_text(f"[medpipe.plugins.v1]\n{name} = {name}\n")
        importlib.invalidate_caches()

    yield install
    for name in set(sys.modules) - before:
        if name.startswith("acme"):
            del sys.modules[name]


@pytest.fixture
def told(capsys):
    """Run the command and return what it wrote, as JSON where that was asked for."""

    def run(*words):
        assert main(words) == 0
        out = capsys.readouterr().out
        return json.loads(out) if "--json" in words else out

    return run


def test_torch_is_not_imported_to_tell_of_plugins_lists_spaces_searchers_and_datasets():
    code = """
        import sys
        from medpipe_core import load_plugins
        from medpipe_core.command.medpipe import main

        words = [["plugins"], ["plugins", "--json"], *(["list", kind] for kind in sys.argv[1:])]
        for kind in ("space", "searcher", "dataset"):
            words += [["show", kind, name] for name in load_plugins().names(kind)]
        assert len(words) > 15
        for line in words:
            assert main(line) == 0, line
            assert "torch" not in sys.modules, line
        """
    words = [sys.executable, "-c", dedent(code), *KINDS]
    process = subprocess.run(words, capture_output=True, text=True)
    assert process.returncode == 0, process.stderr


def test_plugins_tells_what_each_registered(told):
    out = told("plugins")
    assert f"medpipe-spaces of {MEDPIPE}: loaded" in out
    assert "  searcher: gumbel, decoupled, random, halving, population, fixed, evolution" in out
    plugins = {plugin["name"]: plugin for plugin in told("plugins", "--json")}
    assert plugins["medpipe-spaces"]["distribution"] == "medpipe"
    assert "space/medpipe-joint" in plugins["medpipe-spaces"]["registered"]


def test_plugins_tells_why_one_failed_and_of_all_others(told, install):
    install("acme", "import there_is_no_such_module")
    out = told("plugins")
    assert "acme of acme 1.2: failed" in out
    assert "No module named 'there_is_no_such_module'" in out
    assert f"medpipe-spaces of {MEDPIPE}: loaded" in out
    plugins = {plugin["name"]: plugin for plugin in told("plugins", "--json")}
    assert plugins["acme"]["status"] == "failed"
    assert "plugins.disable=[acme]" in plugins["acme"]["error"]


def test_what_a_plugin_prints_does_not_spoil_json(told, install):
    install("acme", PLUGIN)
    assert "acme" in [plugin["name"] for plugin in told("plugins", "--json")]


@pytest.mark.parametrize("kind", KINDS)
def test_list_tells_every_name_of_a_kind(told, kind):
    names = load_plugins().names(kind)
    assert [line.split()[0] for line in told("list", kind).splitlines()] == names
    assert [entry["name"] for entry in told("list", kind, "--json")] == names


ONE_OFF = """
from medpipe_core import Group, SearchSpace, ValueChoice, hookimpl

def widths(*, channels: tuple[int, ...] = (1, 2, 3)):
    return SearchSpace("widths", Group({"width": ValueChoice(*channels)}))

@hookimpl
def medpipe_register(registry):
    registry.register("space", "widths", widths, summary="of one file")
"""


@pytest.fixture
def one_off(tmp_path):
    path = tmp_path / "one_off.py"
    path.write_text(ONE_OFF)
    return f"plugins.load=[{path}]"


def test_a_plugin_in_a_file_can_be_looked_at(told, one_off):
    assert "one_off of file:one_off.py -: loaded" in told("plugins", one_off)
    assert "of one file" in told("list", "space", one_off)
    assert told("show", "space", "widths", one_off).startswith("space widths of file:one_off.py")
    plugins = {plugin["name"]: plugin for plugin in told("plugins", "--json", one_off)}
    assert plugins["one_off"]["registered"] == ["space/widths"]


def test_a_space_is_shown_with_settings_and_presets(told, one_off):
    content = told("show", "space", "widths", one_off, "channels=[4,8]", "--json")
    assert content["choices"] == [{"path": "width", "kind": "value", "keys": ["4", "8"]}]
    words = ("show", "space", "medpipe-mbconv3d", "--json", "preset=quick")
    content = told(*words, "space.depths=[1,1,1,1,1,0]", "budget.parameters=9")
    assert content["budget"] == {"parameters": 9, "multiply_adds": 3_000_000}
    assert content["size"] == 8**5 * 2**7


def test_strict_ends_with_code_3_where_something_cannot_be_imported(install, capsys):
    assert main(["plugins", "--strict"]) == 0
    install("acme", PLUGIN)
    assert main(["plugins"]) == 0
    capsys.readouterr()
    assert main(["plugins", "--strict"]) == 3
    out = capsys.readouterr().out
    assert "acme of acme 1.2: failed" in out
    assert "'acme_gone:Searcher' cannot be imported" in out


def test_list_mentions_what_was_left_out(install, capsys):
    install("acme", "import there_is_no_such_module")
    assert main(["list", "space"]) == 0
    assert "acme left out; see `medpipe plugins`" in capsys.readouterr().err


def test_show_tells_a_space_with_exact_size_choices_and_parameters(told):
    space = load_plugins().space("medpipe-augment")
    content = told("show", "space", "medpipe-augment", "--json")
    assert content["size"] == 6_227_824_218_750_000
    assert content["distinct_size"] == space.distinct_size()
    assert content["digest"] == space.digest
    assert {c["path"]: tuple(c["keys"]) for c in content["choices"]} == {
        path: choice.keys for path, choice in space.choices.items()
    }
    assert content["parameters"]["probabilities"] == {
        "name": "probabilities",
        "type": "tuple[float, ...]",
        "limits": "≥ 0, ≤ 1",
        "required": False,
        "default": [0.0, 0.5, 0.8],
        "description": "probabilities offered to every layer",
    }
    lines = [
        " ".join(line.split()) for line in told("show", "space", "medpipe-augment").split("\n")
    ]
    assert "size 6,227,824,218,750,000" in lines
    assert "v_rotation/left value -30, -22.5, -15, -7.5, 0" in lines
    assert any(line.startswith("probabilities tuple[float, ...] ≥ 0, ≤ 1 [0") for line in lines)


@pytest.mark.parametrize("kind", KINDS)
def test_show_tells_every_registered_name(told, kind):
    for name in load_plugins().names(kind):
        assert told("show", kind, name).startswith(f"{kind} {name} of {MEDPIPE} (plugin ")
        content = told("show", kind, name, "--json")
        assert (content["kind"], content["name"]) == (kind, name)
        assert content["summary"] or kind == "dataset"


def test_show_tells_the_magnitudes_of_an_augmentation(told):
    assert "left   -30, -22.5, -15, -7.5, 0" in told("show", "augmentation", "v_rotation")
    content = told("show", "augmentation", "v_rotation", "--json")
    assert content["searchable"]["left"]["values"] == ["-30", "-22.5", "-15", "-7.5", "0"]


def test_a_name_may_be_qualified_by_its_distribution(told):
    assert told("show", "searcher", "medpipe:gumbel") == told("show", "searcher", "gumbel")


def test_a_size_of_any_length_is_told_exactly(told, install, capsys):
    install("acme", PLUGIN)
    limit = sys.get_int_max_str_digits()
    out = told("show", "space", "wide")
    assert f"size      {'1' + ',000' * 1500}\n" in out
    assert main(["show", "space", "wide", "--json"]) == 0
    assert f'"size": 1{"0" * 4_500},' in capsys.readouterr().out
    assert sys.get_int_max_str_digits() == limit


def test_a_space_that_needs_parameters_is_shown_without_choices(told, install):
    install("acme", PLUGIN)
    assert "choices and size depend on parameters: parts is required" in told(
        "show", "space", "needy"
    )
    content = told("show", "space", "needy", "--json")
    assert content["parameters"]["parts"]["required"] is True
    assert "size" not in content


@pytest.mark.parametrize(
    ("words", "code", "reason"),
    [
        ([], 2, "COMMAND"),
        (["plugin"], 2, "'plugin'"),
        (["plugins", "--jsn"], 2, "--jsn"),
        (["list"], 2, "KIND"),
        (["list", "blocks"], 2, "there is no kind 'blocks'. Did you mean 'block'?"),
        (["show", "spaces", "x"], 2, "Did you mean 'space'?"),
        (["show", "space", "medpipe-jiont"], 2, "Did you mean 'medpipe-joint'"),
        (["report", "nowhere"], 4, "nowhere"),
        (["report", "nowhere", "more"], 2, "more"),
        (["plugins", "plugins.load=mine.py"], 2, "plugins.load=[mine.py]"),
        (["plugins", "plugins.disable=[medpipe-space]"], 2, "'medpipe-spaces'"),
        (["list", "space", "channels=3"], 2, "no key 'channels' here"),
        (["show", "block", "conv3d", "channels=3"], 2, "no key 'channels' here"),
        (["show", "space", "medpipe-mbconv3d", "chanels=3"], 2, "Did you mean 'channels'"),
        (["show", "space", "medpipe-mbconv3d", "preset=quik"], 2, "Did you mean 'quick'"),
        (["show", "space", "medpipe-augment", "extra=[affine]"], 2, "is there twice"),
    ],
)
def test_wrong_words_are_told_with_what_is_near_and_their_exit_code(capsys, words, code, reason):
    assert main(words) == code
    out, errors = capsys.readouterr()
    assert reason in errors
    assert out == ""


def test_a_name_that_may_be_a_failed_plugins_ends_with_code_3(capsys, install):
    install("acme", "import there_is_no_such_module")
    assert main(["show", "space", "acme-space"]) == 3
    assert "It may belong to a plugin that is not there" in capsys.readouterr().err


def test_an_import_string_that_leads_nowhere_ends_with_code_3(capsys, install):
    install("acme", PLUGIN)
    assert main(["show", "searcher", "gone"]) == 3
    assert "searcher 'gone' of acme 1.2: 'acme_gone:Searcher'" in capsys.readouterr().err


def test_help_ends_with_code_0_and_names_every_command(capsys):
    assert main(["--help"]) == 0
    out = capsys.readouterr().out
    assert all(command in out for command in ("plugins", "list", "show", "report", "compare"))


def test_a_reader_that_stops_early_gets_no_traceback():
    code = "import sys; from medpipe_core.command.medpipe import main; sys.exit(main())"
    words = [sys.executable, "-c", code, "show", "space", "medpipe-joint"]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    process.stdout.close()
    with process:
        assert process.stderr.read() == ""
    assert process.returncode == 1


def test_the_list_of_plugins_waits_for_nothing_heavy():
    code = (
        "import sys; from medpipe_core.command.medpipe import main; main(['plugins'])\n"
        "print([m for m in ('torch', 'scipy', 'numpy', 'yaml', 'rich') if m in sys.modules])"
    )
    words = [sys.executable, "-c", code]
    output = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    assert output.splitlines()[-1] == "[]"
