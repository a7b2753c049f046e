"""Look for files that a reader answers wrongly, guided by what they make it run.

    python fuzz.py FORM … [--runs 1000] [--folder FOLDER]

It needs atheris, which is no dependency of medpipe: pip install atheris. It begins with a form's
whole file and what `kept.py` has of it; `reading.py` lists the forms, and `all` are all of them. A
file that a reader neither reads nor refuses is written to `FOLDER/FORM-crash-…`; once that is
mended, move it into `corpus/FORM/`, where `test_readers.py` reads it ever after.
"""

from __future__ import annotations

import argparse
import os
import pathlib
import sys

HERE = pathlib.Path(__file__).parent
READERS = [
    "medpipe_core.data", "medpipe_core.record", "medpipe_core.config", "medpipe_core.execution",
    "medpipe_core.space", "medpipe_core.report", "medpipe_plugins.scans",
    "medpipe_plugins.datasets", "json", "zipfile", "csv", "numpy.lib.format", "nibabel",
    "pydicom", "tifffile",
]  # fmt: skip


LONGEST = 4096  # bytes; the readers take longer over more, and there is nothing new in it


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("forms", nargs="+")
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--folder", type=pathlib.Path, default=pathlib.Path("fuzzed"))
    asked = parser.parse_intermixed_args()
    try:
        import atheris
    except ImportError:
        sys.exit("fuzz.py needs atheris, which is not installed: pip install atheris")
    with atheris.instrument_imports(include=READERS, enable_loader_override=False):
        from forms import forms
    made = asked.folder / "made"
    made.mkdir(parents=True)
    known = forms(made)
    names = list(known) if asked.forms == ["all"] else asked.forms
    if strange := set(names) - set(known):
        sys.exit(f"there is no form {sorted(strange)}; these are: {', '.join(known)}")
    for name in names:
        child = os.fork()
        if not child:
            fuzzed(atheris, name, known[name], asked)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        print(f"{name}: {'nothing' if code == 0 else 'something'} found", flush=True)


def fuzzed(atheris, name, form, asked):
    """Run one form, and end the process with what libFuzzer ends with."""
    import reading
    from kept import kept

    begun = asked.folder / f"corpus-{name}"
    begun.mkdir()
    for number, content in enumerate([form.content, *kept(name)]):
        if not number or len(content) <= LONGEST:
            (begun / str(number)).write_bytes(content)
    one = reading.Reading(name, form, asked.folder / "made")
    reading.limited()
    words = [
        sys.argv[0], str(begun), f"-runs={asked.runs}", f"-max_len={LONGEST}", "-timeout=300",
        "-rss_limit_mb=0", f"-artifact_prefix={asked.folder}/{name}-", "-print_final_stats=1",
    ]  # fmt: skip
    atheris.Setup(words, lambda content: one(form.mended(content)))
    atheris.Fuzz()


if __name__ == "__main__":
    main()
