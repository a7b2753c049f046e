"""Python programs in other processes: each in a new one, or in a fork of one that has imported.

Importing torch takes seconds of the processor. Where a system forks, one process for each hash seed
does it once and answers every question in a fork of itself, which has seen nothing of the others.
This file is all that such a process loads of the kit, unless it is told to import more.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import importlib
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import traceback
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

NESTED = "MEDPIPE_TESTING_ELSEWHERE"
"""Variable of the environment that is set in these processes."""

_SERVE = """
import importlib.util, sys
spec = importlib.util.spec_from_file_location("processes", sys.argv[1])
processes = importlib.util.module_from_spec(spec)
sys.modules["processes"] = processes
spec.loader.exec_module(processes)
processes.serve(sys.argv[2:])
"""
_ONCE = """
import importlib.util, json, sys
asked = json.load(sys.stdin)
spec = importlib.util.spec_from_file_location("processes", sys.argv[1])
processes = importlib.util.module_from_spec(spec)
sys.modules["processes"] = processes
spec.loader.exec_module(processes)
processes.run(asked)
"""


@dataclass(frozen=True)
class Ended:
    """A program that has ended.

    Attributes:
        code: Its exit code.
        output: What it printed.
        problems: What it printed to standard error.
    """

    code: int
    output: str
    problems: str


def run_programs(
    program: str,
    what: Any,
    *,
    modules: dict[str, str],
    hash_seeds: Sequence[int] = (77,),
    imported: Sequence[str] | None = None,
) -> list[Ended]:
    """Run a program in other processes at once, one for each hash seed.

    Args:
        program: Python text; it finds `asked["what"]`, `json`, `sys` and the modules.
        what: What it is asked, as JSON can hold it.
        modules: Name → file of modules that it finds loaded.
        hash_seeds: What decides the order of sets in each of the processes.
        imported: Modules that are imported already; None for a process that has imported nothing.
    """
    asked = {
        "program": program,
        "what": what,
        "modules": modules,
        "path": sys.path,
        "folder": os.getcwd(),
        "environment": dict(os.environ),
    }
    text = json.dumps(asked)
    if imported is None or sys.platform != "linux":
        started = [_start(_ONCE, (), seed) for seed in hash_seeds]
        for process in started:
            _write(process, text, last=True)
        ended = [(process, *process.communicate()) for process in started]
        return [Ended(process.returncode, *told) for process, *told in ended]
    forkers = [_forker(seed, tuple(imported)) for seed in hash_seeds]
    for forker in forkers:
        forker.ask(text)
    return [forker.answer() for forker in forkers]


class _Forker:
    """A process that has imported, and forks for each question."""

    def __init__(self, hash_seed: int, imported: Sequence[str]) -> None:
        self._process = _start(_SERVE, imported, hash_seed)
        atexit.register(self._end)

    def ask(self, text: str) -> None:
        _write(self._process, text + "\n")

    def answer(self) -> Ended:
        assert self._process.stdout is not None  # noqa: S101
        line = self._process.stdout.readline()
        if not line:
            return Ended(1, *self._process.communicate())
        return Ended(**json.loads(line))

    def _end(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            self._process.communicate()


@functools.cache
def _forker(hash_seed: int, imported: tuple[str, ...]) -> _Forker:
    return _Forker(hash_seed, imported)


def serve(imported: Sequence[str]) -> None:
    """Import, and answer each line of standard input in a fork, until there are no more."""
    for name in imported:
        importlib.import_module(name)
    for line in sys.stdin:
        print(json.dumps(_in_a_fork(json.loads(line))), flush=True)  # noqa: T201


def _in_a_fork(asked: dict[str, Any]) -> dict[str, Any]:
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as problems:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of threads, which wait in this process for nothing
            child = os.fork()
        if not child:
            _work(asked, output.fileno(), problems.fileno())
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        texts = []
        for file in (output, problems):
            file.seek(0)
            texts.append(file.read().decode(errors="replace"))
    return {"code": code, "output": texts[0], "problems": texts[1]}


def _work(asked: dict[str, Any], output: int, problems: int) -> None:
    """Run the program in the fork, and end it."""
    code = 1
    try:
        nothing = os.open(os.devnull, os.O_RDONLY)
        for file, number in ((nothing, 0), (output, 1), (problems, 2)):
            os.dup2(file, number)
        seed = os.environ["PYTHONHASHSEED"]
        os.environ.clear()
        os.environ.update(asked["environment"], PYTHONHASHSEED=seed, **{NESTED: "1"})
        run(asked)
        code = 0
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else int(error.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def run(asked: dict[str, Any]) -> None:
    """Run a program in this process."""
    os.chdir(asked["folder"])
    sys.path[:] = asked["path"]
    names: dict[str, Any] = {"asked": asked, "json": json, "sys": sys, "__name__": "__main__"}
    for name, file in asked["modules"].items():
        spec = importlib.util.spec_from_file_location(name, file)
        names[name] = importlib.util.module_from_spec(spec)  # type: ignore[arg-type]
        spec.loader.exec_module(names[name])  # type: ignore[union-attr]
    exec(compile(asked["program"], "<another process>", "exec"), names)  # noqa: S102 - our own


def _start(program: str, words: Sequence[str], hash_seed: int) -> subprocess.Popen[str]:
    return subprocess.Popen(  # noqa: S603 - our own program, in our own interpreter
        [sys.executable, "-c", program, __file__, *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={
            **os.environ,
            "PYTHONHASHSEED": str(hash_seed),
            "PYTHONPATH": os.pathsep.join(sys.path),
            NESTED: "1",
        },
    )


def _write(process: subprocess.Popen[str], text: str, *, last: bool = False) -> None:
    assert process.stdin is not None  # noqa: S101
    with contextlib.suppress(BrokenPipeError):  # what it says of its end is told
        process.stdin.write(text)
        process.stdin.flush()
    if last:
        process.stdin.close()
        process.stdin = None
