"""Every exit code that the pages tell of, from the command itself, with its cause injected."""

from __future__ import annotations

import errno
import os
import re
import signal
from pathlib import Path

import pytest

from medpipe_core.command import exit_codes
from medpipe_core.command.medpipe import main as medpipe
from medpipe_core.command.medpipe_run import main
from medpipe_core.config.errors import REQUEUE

DOCS = Path(__file__).parents[3] / "docs"
PLUGIN = """
import os
import signal
from pydantic import BaseModel, field_validator
from medpipe_core import MedpipeError, MissingExtraError, SpaceError, hookimpl
from medpipe_core.data import DataError
from medpipe_core.search import RandomSearcher

class Settings(BaseModel):
    size: int = 8

    @field_validator("size")
    def is_even(cls, size):
        if size % 2:
            raise ValueError("a size is even")
        return size

class Picky(RandomSearcher):
    def __init__(self, *_, **__):
        raise MedpipeError("this searcher refuses its settings")

def raising(error):
    def made(**_):
        raise error
    return made

def signalled(number):
    def made(**_):
        os.kill(os.getpid(), number)
    return made

@hookimpl
def medpipe_register(registry):
    toy = registry._known.factory("dataset", "toy")

    def unread():
        made = toy()
        made.development = raising(DataError("the scans are not there"))
        return made

    registry.register("dataset", "unread", unread)
    registry.register("dataset", "sized", lambda size: toy(), parameters=Settings)
    registry.register("dataset", "extra", raising(MissingExtraError("pip install acme")))
    registry.register("space", "apart", raising(SpaceError("these settings do not fit together")))
    registry.register("searcher", "picky", Picky)
    for name in ("SIGINT", "SIGTERM", "SIGUSR1"):
        registry.register("dataset", name.lower(), signalled(getattr(signal, name)))
"""
RAISED = {
    "`medpipe_core.data.DataError`": (["dataset=unread"], "the scans are not there"),
    "`medpipe_core.SpaceError`": (["space=apart"], "these settings do not fit together"),
    "`ValueError` in a settings model's validator": (
        ["dataset=sized", "dataset.size=7"],
        "dataset.size",
    ),
    "any other `MedpipeError` in a searcher's constructor": (
        ["searcher=picky"],
        "this searcher refuses its settings",
    ),
    "`medpipe_core.MissingExtraError`": (["dataset=extra"], "pip install acme"),
}
CAUSES = {
    "0": [],
    "1": ["dataset=unread"],
    "2": ["serch.epochs=3"],
    "3": ["space=acme:big"],
    "4": ["--resume", "nowhere"],
    "75": ["dataset=sigusr1"],
    "130": ["dataset=sigint"],
    "143": ["dataset=sigterm"],
}
SAID = {
    "0": "",
    "1": "the scans are not there",
    "2": "search.epochs",
    "3": "acme:big",
    "4": "nowhere",
    "75": "medpipe-run: stopped by SIGUSR1",
    "130": "medpipe-run: stopped by SIGINT",
    "143": "medpipe-run: stopped by SIGTERM",
}


@pytest.fixture
def obeyed(toy_words, tmp_path, monkeypatch, capfd):
    """Run the command with keys in place of the toy's; return its exit code and its errors."""
    path = tmp_path / "causes.py"
    path.write_text(PLUGIN)
    monkeypatch.chdir(tmp_path)

    def run(*words):
        given = dict(word.split("=", 1) for word in toy_words)
        given |= dict(word.split("=", 1) for word in words if "=" in word)
        given["plugins.load"] = f"{given['plugins.load'].rstrip(']')},{path}]"
        options = [word for word in words if "=" not in word]
        code = main([*options, *map("=".join, given.items())])
        return code, capfd.readouterr().err

    return run


def table(page, heading):
    """Return the rows of the table of a page under a line of headings."""
    lines = (DOCS / page).read_text().partition(heading)[2].splitlines()[2:]
    rows = []
    for line in lines:
        if not line.startswith("|"):
            return rows
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows


@pytest.mark.parametrize("code", CAUSES)
def test_each_code_of_a_run_has_its_cause_and_says_it(obeyed, code):
    ended, errors = obeyed(*CAUSES[code])
    assert str(ended) == code
    assert SAID[code] in errors
    assert "Traceback" not in errors
    assert bool(list(Path("runs").glob("*"))) == (code == "0")


def test_the_pages_tell_of_these_codes_and_no_others(capsys):
    rows = table("first-run.md", "| exit code | |")
    told = [code for row in rows for code in row[0].split(", ")]
    assert told == list(CAUSES)
    assert main(["--help"]) == 0
    helped = capsys.readouterr().out.partition("exit codes: ")[2]
    for code in CAUSES:
        assert re.search(rf"\b{code}\b", helped), code
        assert re.search(rf"\b{code}\b", main.__doc__), code
    known = {value for name, value in vars(exit_codes).items() if name.isupper()}
    assert {str(code) for code in known} < set(CAUSES)


def test_the_table_of_signals_is_what_happens(obeyed):
    rows = table("promises.md", "| signal | what happens | exit code |")
    assert [row[2].partition(":")[0] for row in rows] == ["130", "143", str(REQUEUE), "the same"]
    for row in rows[:3]:
        name = re.search("SIG[A-Z0-9]+", row[0])[0]
        before = signal.getsignal(getattr(signal, name))
        ended, _ = obeyed(f"dataset={name.lower()}")
        assert str(ended) == row[2].partition(":")[0]
        assert signal.getsignal(getattr(signal, name)) is before


def test_what_an_author_raises_ends_with_the_code_of_the_page(obeyed):
    rows = table("authors/index.md", "| raise | for | exit code |")
    assert [row[0] for row in rows] == list(RAISED)
    for raised, _, code in rows:
        words, says = RAISED[raised]
        ended, errors = obeyed(*words)
        assert (raised, str(ended)) == (raised, code)
        (line,) = [line for line in errors.splitlines() if says in line]
        assert line.startswith("medpipe-run: ")
        assert "Traceback" not in errors


def test_a_save_that_fails_ends_with_code_1(obeyed, monkeypatch):
    def full(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    ended, errors = obeyed()
    assert ended == 1
    assert "cannot write" in errors
    assert "Traceback" not in errors


def test_what_troubles_tells_of_plugins_ends_so(obeyed, tmp_path, toy_words):
    broken = tmp_path / "broken.py"
    broken.write_text("raise RuntimeError('the licence file is not there')")
    load = next(word for word in toy_words if word.startswith("plugins.load="))
    words = [word for word in toy_words if word != load]
    assert main([*words, f"{load.rstrip(']')},{broken}]"]) == 3
    assert obeyed("plugins.disable=[no-such-plugin]")[0] == 2
    assert obeyed("searcher=optuna", "plugins.disable=[medpipe]")[0] == 3


@pytest.mark.parametrize("broken", [False, True])
@pytest.mark.parametrize(
    ("name", "code", "says"),
    [
        ("acme:gone", 3, "no plugin of acme is installed"),
        ("acme:gumbel", 3, "'gumbel' is of medpipe"),
        ("medpipe:gumbl", 2, "Did you mean 'gumbel'"),
        ("gumbl", 2, "Did you mean 'gumbel'"),
    ],
)
def test_a_name_that_is_not_there_has_one_code_in_both_commands(
    obeyed, capfd, name, code, says, broken
):
    """Whatever failed beside it: what is nearly a name is misspelt, and not of another plugin."""
    left_out = ["plugins.disable=[medpipe-planted]"] if broken else []
    run = obeyed(f"searcher={name}", *left_out)
    shown = medpipe(["show", "searcher", name, *left_out]), capfd.readouterr().err
    assert (run[0], shown[0]) == (code, code)
    assert says in run[1]
    assert says in shown[1]


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["--version"], 0),
        (["list", "blocks"], 2),
        (["plugins", "--strict", "plugins.load=[nowhere.py]"], 3),
        (["report", "nowhere"], 4),
    ],
)
def test_each_code_of_the_other_command_has_its_cause(capsys, words, code):
    assert medpipe(words) == code
    told = capsys.readouterr()
    assert "Traceback" not in told.out + told.err
    assert told.out or told.err
