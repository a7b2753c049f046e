"""Whatever is given or found, a command answers with words: no traceback, soon, in little memory.

`MEDPIPE_HOSTILE=2500` runs fifteen thousand cases, 2500 of each kind.
"""

from __future__ import annotations

import copy
import json
import os
import resource
import shutil
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import medpipe_core as mp
from medpipe_core.command.medpipe import main as medpipe
from medpipe_core.command.medpipe_run import main as medpipe_run
from medpipe_core.config import dotted_keys, yaml_values
from medpipe_core.config.command_line import OPTIONS
from medpipe_core.config.configuration import DEFAULTS, GROUPS, group_keys
from medpipe_core.config.settings import Keys
from medpipe_core.plugins import KINDS, load_plugins
from medpipe_core.record.genotype_text import policy_text

pytestmark = pytest.mark.slow

SECONDS, BYTES = 10, 2**30
EXAMPLES = int(os.environ.get("MEDPIPE_HOSTILE", "50"))
hostile = settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)

REGISTRY = load_plugins()
MEMBERS = sorted(name for group in GROUPS for name in REGISTRY.names(group))
KEYS = [
    *DEFAULTS,
    *(key.name for key in dotted_keys.walk(Keys)),
    *(key.name for group in GROUPS for key in group_keys(REGISTRY, group, DEFAULTS[group])),
]
PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.sampled_from([2**31, 2**63, 10**30, 1e308, -1, 0])
    | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner),
    max_leaves=12,
)
SIGNS = st.sampled_from(
    ["&a [*a]", "[&a 1, *a]", "!!python/object:os.system x", "[" * 3000, "{" * 3000, "'", '"\\0"',
     "1e999", "9" * 4000, ".nan", ".inf", "~", "~nobody-of-that-name/x", "x" * 5000, "/" * 300,
     "true", "yes", "cpu:1", "cuda:99", ":gumbel", "a:b:c", "a #b", "\x1b[2J", "\udcff", "{a: 1}",
     "[1,2]", "0,1,2", ",".join(map(str, range(200))), "[[[[]]]]", "{{}: 1}", "? x", "%x", "- -"]
)  # fmt: skip
TEXTS = (
    SIGNS
    | st.text(max_size=40)
    | st.sampled_from(MEMBERS)
    | PLAIN.map(lambda value: yaml_values.write(value) if _is_clean(value) else "x")
)
NAMES = st.sampled_from(KEYS) | st.text(max_size=12) | st.sampled_from(KEYS).map(lambda k: k[:-1])
WORDS = (
    st.tuples(NAMES, TEXTS).map("=".join) | st.sampled_from(sorted(OPTIONS)) | st.text(max_size=12)
)


def _is_clean(value):
    return "\\ud" not in json.dumps(value)


@pytest.fixture(autouse=True)
def somewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


class Watched:
    """Holds a command to its seconds and memory, and to words for what is wrong."""

    def __init__(self, capsys):
        self._capsys = capsys

    def __call__(self, command, *words, codes=(0, 2, 3, 4)):
        before, started = _most_memory(), time.process_time()
        code = command(list(words))
        out, errors = self._capsys.readouterr()
        assert time.process_time() - started < SECONDS
        assert _most_memory() - before < BYTES
        assert code in codes
        assert bool(errors) or code == 0
        assert "Traceback" not in errors
        assert "\x1b" not in out + errors
        assert not Path("runs").exists()
        return code


def _most_memory():
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


@pytest.fixture
def watched(capsys):
    return Watched(capsys)


@hostile
@given(st.lists(WORDS, max_size=6))
def test_any_words(watched, words):
    watched(medpipe_run, "--cfg", *words)


@hostile
@given(st.lists(WORDS, max_size=6))
def test_any_words_of_a_run_without_its_data(watched, words):
    """Whatever else is said, the data are missing: such a run is refused and leaves nothing."""
    missing = ["dataset=adrenalmnist3d", "data.root=nowhere"]
    code = watched(medpipe_run, *words, *missing, codes=(0, 1, 2, 3, 4))
    assert code or {"-h", "--help", "--version", "--cfg"} & set(words)
    assert list(Path().iterdir()) == []


VERBS = st.sampled_from(
    ["plugins", "list", "show", "report", "compare", "predict", "check", "export", "preview"]
)
PIECES = st.sampled_from([*KINDS, "--json", "--out", "--volume", ".", "/", "/dev/null"]) | WORDS


@hostile
@given(VERBS | st.text(max_size=8), st.lists(PIECES, max_size=5))
def test_any_words_of_any_verb(watched, verb, words):
    watched(medpipe, verb, *words, codes=(0, 1, 2, 3, 4))


def edited(text):
    """Return texts that are this one with a few pieces cut out, doubled or put in."""
    place = st.integers(0, len(text))
    pieces = SIGNS | st.text(max_size=10) | st.sampled_from(["\n", ": ", "  ", "#", "\t", "\0"])

    def change(edits):
        changed = text
        for start, length, piece in edits:
            changed = changed[:start] + piece + changed[start + length :]
        return changed

    return st.lists(st.tuples(place, st.integers(0, 30), pieces), min_size=1, max_size=4).map(
        change
    )


def _written():
    values = {**DEFAULTS, **{key.name: key.default for key in dotted_keys.walk(Keys)}}
    return yaml_values.write_lines(values)


FILES = edited(_written()) | st.dictionaries(NAMES, PLAIN, max_size=6).map(
    lambda content: json.dumps(content)
)


@hostile
@given(FILES, st.booleans())
def test_any_configuration_file(watched, text, trusted):
    Path("config.yaml").write_bytes(text.encode("utf-8", "surrogatepass"))
    watched(medpipe_run, "--cfg", *["--trust-plugins"][:trusted], "--config", "config.yaml")


@pytest.fixture(scope="module")
def finished(tmp_path_factory, registry, toy_values):
    """A run's folder, as it is left."""
    root = tmp_path_factory.mktemp("finished")
    return mp.run(**{**toy_values, "run.root": str(root)}, registry=registry).folder


@st.composite
def damaged(draw, content):
    """Return plain data with a few parts of it gone or replaced."""
    changed = copy.deepcopy(content)
    for _ in range(draw(st.integers(1, 3))):
        node = changed
        while isinstance(node, dict | list) and node:
            keys = list(node) if isinstance(node, dict) else list(range(len(node)))
            key = draw(st.sampled_from(keys))
            if isinstance(node[key], dict | list) and node[key] and draw(st.booleans()):
                node = node[key]
                continue
            if draw(st.booleans()):
                node[key] = draw(PLAIN)
            else:
                del node[key]
            break
    return changed


@hostile
@given(st.data())
def test_any_run_folder(watched, finished, data):
    folder = Path("folder")
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(finished, folder)
    (folder / "checksums.json").unlink()  # else what has changed is refused before it is read
    name = data.draw(st.sampled_from(["result.json", "events.jsonl", "config.yaml"]))
    path = folder / name
    text = path.read_text()
    if data.draw(st.booleans()):
        path.write_bytes(data.draw(edited(text)).encode("utf-8", "surrogatepass"))
    elif name == "result.json":
        path.write_text(json.dumps(data.draw(damaged(json.loads(text)))))
    else:
        lines = text.splitlines()
        number = data.draw(st.integers(0, len(lines) - 1))
        whole = json.loads(lines[number]) if name == "events.jsonl" else {}
        lines[number] = json.dumps(data.draw(damaged(whole)))
        path.write_text("\n".join(lines) + "\n")
    watched(medpipe, "report", "folder")
    watched(medpipe, "compare", "folder", "--out", "compared")


@hostile
@given(st.data())
def test_any_genotype(finished, registry, data):
    text = (finished / "genotype.json").read_text()
    space = registry.space("toy", width=3)
    if data.draw(st.booleans()):
        given_text = data.draw(edited(text))
    else:
        given_text = json.dumps(data.draw(damaged(json.loads(text))))
    started = time.process_time()
    try:
        genotype = mp.Genotype.from_json(given_text)
        space.validate(genotype)
        assert policy_text(space, genotype)
    except mp.MedpipeError:
        pass
    assert time.process_time() - started < SECONDS
