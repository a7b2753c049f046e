"""A reader that leaves early does not end a run."""

from __future__ import annotations

import json

import pytest

from medpipe_core.command.pipe_safe_output import pipe_safe_output


def test_what_is_written_after_the_reader_has_left_goes_nowhere(command):
    process = command(
        "--help",
        before="import os\nos.close(0)\nr, w = os.pipe()\nos.dup2(w, 1)\nos.close(r)\nos.close(w)",
        probe="print('more')\nsys.stderr.write(f'code {code}')",
    )
    _, errors = process.communicate()
    assert errors == "code 0"
    assert process.returncode == 0


def test_text_goes_to_the_stream_as_it_is(capsys):
    with pipe_safe_output():
        print("a run")
    assert capsys.readouterr().out == "a run\n"


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
