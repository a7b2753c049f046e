"""Damage files of every form that medpipe reads, and read them under limits.

    python reading.py FOLDER --count 250 [--seed 1] [form ...]

One process imports everything and forks one for each form. Every damaged file is read, or refused
by a `MedpipeError`, in ten seconds of the processor and 512 MiB; nothing else is left behind. Each
form begins with what `kept.py` has of it. What was wrong is told with the file's content,
which belongs into `corpus/FORM/` once it is mended. `fuzz.py` looks for more.
"""

from __future__ import annotations

import argparse
import base64
import faulthandler
import functools
import json
import logging
import os
import pathlib
import resource
import shutil
import sys
import time
import traceback
import warnings

from forms import forms, scans
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from kept import kept

from medpipe_core import MedpipeError

SECONDS, MEMORY = 10, 512 * 2**20
LONGEST = 300  # seconds of the clock, after which a reader hangs
hostile = scans()
SIGNS = [
    b"null", b"true", b"NaN", b"1e999", b"-1", b"9" * 30, b"9" * 5000, b"[" * 5000, b'{"a":' * 3000,
    b'"', b"\\ud800", b"\\", b"\n", b",", b"\t", b"\xef\xbb\xbf", b"\xff\xfe", b"../../x", b"\0",
    b"&a [*a]", b"!!python/object:os.system x", b"(", b"\x1b[2J", b"True", b"{}", b"[]", b"''",
]  # fmt: skip
VALUES = [
    None, True, -1, 0, 0.5, 2**31, 2**63, 10**30, 1e308, "", "x", "\x1b[2J", "9" * 400, [], {},
    [[]], [1, 2], {"a": 1}, [None], ["x"] * 40, {"": []}, "../../x", "\ud800",
]  # fmt: skip
TEXT = (".json", ".jsonl", ".csv", ".yaml")
PLACE = st.one_of(st.integers(0, 700), st.floats(0, 1))
PIECES = st.lists(
    st.tuples(st.just("insert") | st.just("set"), PLACE, st.sampled_from(SIGNS)), max_size=3
)
NODES = st.lists(st.tuples(st.floats(0, 1), st.sampled_from(VALUES) | st.none()), max_size=3)


def replaced(content, edits):
    """Return a text of JSON, or a line of such, with some of its values replaced or taken out."""
    lines = content.split(b"\n")
    for place, value in edits:
        number = int(place * 7919 % 1 * (len(lines) - 1))
        try:
            root = [json.loads(lines[number])]
        except ValueError:
            try:
                root, number = [json.loads(content)], None
            except ValueError:
                return content
        spots = list(_spots(root))
        owner, key = spots[min(int(place * len(spots)), len(spots) - 1)]
        if value is None and isinstance(owner, dict):
            del owner[key]
        else:
            owner[key] = value
        text = json.dumps(root[0]).encode()
        if number is None:
            content, lines = text, text.split(b"\n")
        else:
            lines[number] = text
            content = b"\n".join(lines)
    return content


def _spots(node):
    keys = list(node) if isinstance(node, dict) else range(len(node))
    for key in keys:
        yield node, key
        if isinstance(node[key], dict | list):
            yield from _spots(node[key])


class Reading:
    """A form in a folder of its own, with what came of it.

    Attributes:
        counts: How many readings there were of each outcome.
    """

    def __init__(self, name, form, folder):
        self.form = form
        self.folder = folder / "read" / name
        self.counts = {"read": 0, "refused": 0}
        self.folder.mkdir(parents=True)

    def lay(self, content):
        """Write the file, and those beside it."""
        for name, whole in {**self.form.beside, self.form.name: content}.items():
            path = self.folder / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(whole)

    def __call__(self, content):
        """Read a file with every reader."""
        self.lay(content)
        wanted = self._files()
        for read in self.form.readers:
            began = time.process_time()
            try:
                read(self.folder)
            except MedpipeError as error:
                assert str(error).strip(), "it is refused without a word"  # noqa: PT017
                self.counts["refused"] += 1
            else:
                self.counts["read"] += 1
            assert time.process_time() - began < SECONDS
        left = self._files()
        gone = {self.form.name} if self.form.forgotten else set()
        assert wanted - gone <= left <= wanted, f"files are left or gone: {left ^ wanted}"

    def _files(self):
        found = (path for path in self.folder.rglob("*") if path.is_file())
        return {str(path.relative_to(self.folder)) for path in found}


def limited():
    """Take limits that this process cannot pass, and keep what others say to itself."""
    warnings.simplefilter("ignore")
    logging.disable()
    pages = int(pathlib.Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def tried(name, form, folder, count, number):
    """Read a form as it is, what is kept of it, and `count` damaged ones."""
    reading = Reading(name, form, folder)
    os.chdir(reading.folder)
    reading(form.mended(form.content))
    whole = name in ("run-preparation", "run-scans") or reading.counts["read"]
    assert whole, "the file is valid before it is damaged"
    limited()
    wrong = []

    def read(content):
        wrong[:] = [content]
        faulthandler.dump_traceback_later(LONGEST, exit=True)
        reading(content)
        faulthandler.cancel_dump_traceback_later()
        wrong.clear()

    @seed(number)
    @settings(
        max_examples=max(count, 1),
        database=None,
        deadline=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(hostile.EDITS, PIECES, NODES, st.integers(0, 3), st.booleans())
    def every_damaged_file_is_read_or_refused(edits, pieces, nodes, how, mend):
        content = form.content
        if form.name.endswith(TEXT) and how:
            content = replaced(content, nodes) if how > 1 else content
            content = hostile.damaged(content, pieces) if how < 3 else content
        else:
            content = hostile.damaged(content, edits)
        read(form.mended(content) if mend else content)

    failures = 0
    tries = [functools.partial(read, content) for content in kept(name)]
    for one in [*tries, *[every_damaged_file_is_read_or_refused] * bool(count)]:
        try:
            one()
        except BaseException:
            failures += 1
            traceback.print_exc(limit=-6)
            shown = base64.b64encode(wrong[0][:4000]).decode()
            print(f"{name}: the file, in base64: {shown}", flush=True)
            for path in reading.folder.rglob("*"):
                if path.is_file():
                    path.unlink()
    if failures:
        return 1
    print(name, *(f"{word} {times}" for word, times in reading.counts.items()), flush=True)
    return 0


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--count", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("forms", nargs="*")
    asked = parser.parse_intermixed_args()
    asked.folder.mkdir(parents=True, exist_ok=True)
    made = asked.folder / "made"
    shutil.rmtree(made, ignore_errors=True)
    made.mkdir()
    known = forms(made)
    wrong = 0
    for name in asked.forms or known:
        child = os.fork()
        if not child:
            code = 1
            try:
                code = tried(name, known[name], made, asked.count, asked.seed)
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(code)
        if os.waitpid(child, 0)[1]:
            print(f"{name}: failed", flush=True)
            wrong += 1
        shutil.rmtree(made / "read", ignore_errors=True)
    return min(wrong, 1)


if __name__ == "__main__":
    sys.exit(main())
