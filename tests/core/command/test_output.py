"""What stands behind standard output does not end a command, nor harm what it did."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys

import pytest

from medpipe_core.command.medpipe import main as medpipe
from medpipe_core.command.output import CommandOutput, command_output

MEDPIPE = "import sys; from medpipe_core.command.medpipe import main; sys.exit(main())"
RUN = "import sys; from medpipe_core.command.medpipe_run import main; sys.exit(main())"
CLOSED = "import os, sys; os.close(1); sys.stdout = None;"
FULL = (
    "import os, sys; d = os.open('/dev/full', os.O_WRONLY); os.dup2(d, 1); os.close(d);"
    "sys.stdout = open(1, 'w', closefd=False);"
)
LEFT = "import os; r, w = os.pipe(); os.dup2(w, 1); os.close(r); os.close(w);"


def ended(code, *words, **environment):
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, words)],
        capture_output=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
        timeout=120,
    )


def test_what_is_written_after_the_reader_has_left_goes_nowhere(command):
    process = command(
        "--help",
        before="import os\nos.close(0)\nr, w = os.pipe()\nos.dup2(w, 1)\nos.close(r)\nos.close(w)",
        probe="sys.stderr.write(f'code {code}')",
    )
    _, errors = process.communicate()
    assert errors == "code 0"
    assert process.returncode == 0


def test_text_goes_to_the_stream_as_it_is(capsys):
    with command_output():
        print("a run\twith a tab, in 28³")
    assert capsys.readouterr().out == "a run\twith a tab, in 28³\n"


@pytest.mark.parametrize("encoding", ["ascii", "cp932"])
@pytest.mark.parametrize(
    ("words", "code"), [(["show", "space", "medpipe-joint"], 0), (["nothing–of−that"], 2)]
)
def test_signs_that_an_encoding_lacks_are_replaced(encoding, words, code):
    process = ended(MEDPIPE, *words, PYTHONIOENCODING=encoding)
    assert process.returncode == code
    assert b"Traceback" not in process.stderr


def test_a_minus_stays_a_minus_in_every_encoding():
    held = io.BytesIO()
    stream = io.TextIOWrapper(held, "ascii", write_through=True)
    CommandOutput(stream).write("−0.5 × 28³ ≥ ü\n")
    assert held.getvalue() == b"-0.5 x 28^3 >= ?\n"


@pytest.mark.parametrize("verb", ["list block", "plugins", "--help", "show block x", "report x"])
@pytest.mark.parametrize("before", [CLOSED, FULL, LEFT], ids=["closed", "full", "left"])
def test_no_verb_dies_of_a_standard_output_that_takes_nothing(verb, before):
    process = ended(before + MEDPIPE, *verb.split())
    assert b"Traceback" not in process.stderr
    assert b"Exception ignored" not in process.stderr
    assert process.returncode == {"show": 2, "report": 4}.get(verb.split()[0], 1)
    silent = before == LEFT or process.returncode > 1
    assert (b"standard output cannot be written" in process.stderr) is not silent


@pytest.mark.parametrize("words", [["--help"], ["--cfg"]])
@pytest.mark.parametrize("before", [CLOSED, FULL], ids=["closed", "full"])
def test_help_that_nobody_could_read_is_a_failure(words, before):
    process = ended(before + RUN, *words)
    assert b"medpipe-run: standard output cannot be written: " in process.stderr
    assert b"Traceback" not in process.stderr
    assert process.returncode == 1


def test_closed_standard_error_is_no_matter():
    process = ended("import os, sys; os.close(2); sys.stderr = None;" + MEDPIPE, "list", "blocks")
    assert process.returncode == 2


def test_descriptors_that_are_closed_are_given_to_no_file(tmp_path):
    code = (
        CLOSED + "os.close(0)\nfrom medpipe_core.command.output import command_output\n"
        f"with command_output():\n file = open({str(tmp_path / 'a')!r}, 'w')\n"
        " sys.exit(file.fileno() < 3)"
    )
    assert ended(code).returncode == 0


@pytest.mark.parametrize(
    ("code", "module"),
    [(MEDPIPE, "argparse"), (MEDPIPE, "medpipe_core.plugins"), (RUN, "pydantic"), (RUN, "yaml")],
)
def test_ctrl_c_while_importing_ends_with_code_130_and_no_traceback(code, module):
    stopped = (
        "import sys\nclass Stopping:\n def find_spec(self, name, *_):\n"
        f"  if name == {module!r}: raise KeyboardInterrupt\nsys.meta_path.insert(0, Stopping())\n"
    )
    words = ["show", "space", "medpipe-joint"] if code == MEDPIPE else ["--help"]
    process = ended(stopped + code, *words)
    assert process.returncode == 130
    command = "medpipe" if code == MEDPIPE else "medpipe-run"
    assert process.stderr.decode() == f"{command}: interrupted\n"


def test_control_codes_in_names_are_made_visible_and_json_stays_json(tmp_path, capsys):
    plugin = tmp_path / "loud.py"
    plugin.write_text(
        "from medpipe_core import Group, SearchSpace, ValueChoice, hookimpl\n"
        "def loud(): return SearchSpace('loud', Group({'x': ValueChoice(1, 2)}))\n"
        "@hookimpl\ndef medpipe_register(registry):\n"
        "    registry.register('space', 'loud', loud, summary='a\\x1b[2J\\x9bm\\u202e b')\n"
    )
    assert medpipe(["list", "space", f"plugins.load=[{plugin}]"]) == 0
    assert "a\\u001b[2J\\u009bm\\u202e b" in capsys.readouterr().out
    assert medpipe(["list", "space", "--json", f"plugins.load=[{plugin}]"]) == 0
    text = capsys.readouterr().out
    assert text.isprintable() or not set(text) & {"\x1b", "\x9b", "\u202e"}
    assert json.loads(text)[0]["summary"] == "a\x1b[2J\x9bm\u202e b"
    assert medpipe(["report", f"{tmp_path}\x1b[2J"]) == 4
    assert "\x1b" not in capsys.readouterr().err


@pytest.mark.slow
def test_a_run_whose_reader_leaves_goes_on_to_its_end(command, toy_words, tmp_path):
    process = command(*toy_words)
    process.stdout.readline()
    process.stdout.close()
    with process:
        assert process.stderr.read() == ""
    assert process.returncode == 0
    (folder,) = (tmp_path / "runs").iterdir()
    assert json.loads((folder / "result.json").read_text())["searcher"] == "random"


@pytest.mark.slow
@pytest.mark.parametrize("before", [CLOSED, FULL], ids=["closed", "full"])
def test_a_run_that_nobody_could_follow_is_done_and_says_so(command, toy_words, tmp_path, before):
    process = command(*toy_words, before=before)
    _, errors = process.communicate()
    assert process.returncode == 0, errors
    assert "medpipe-run: standard output cannot be written: " in errors
    (folder,) = (tmp_path / "runs").iterdir()
    assert (folder / "report.html").exists()
