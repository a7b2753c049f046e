"""Look for files that a reader answers wrongly, guided by what they make it run.

    python fuzz.py FORM --seconds 60 [--folder FOLDER]

It needs atheris, which is no dependency of medpipe: pip install atheris. It begins with the form's
whole file and what is kept in `corpus/FORM/`; `reading.py` lists the forms. A file that a reader
neither reads nor refuses is written into `FOLDER/crash-…`; once that is mended, move it into
`corpus/FORM/`, where `test_readers.py` reads it ever after.
"""

from __future__ import annotations

import argparse
import pathlib
import sys

HERE = pathlib.Path(__file__).parent
READERS = [
    "medpipe_core.data", "medpipe_core.record", "medpipe_core.config", "medpipe_core.execution",
    "medpipe_core.space", "medpipe_core.report", "medpipe_plugins.scans",
    "medpipe_plugins.datasets", "json", "zipfile", "csv", "numpy.lib.format", "nibabel",
    "pydicom", "tifffile",
]  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("form")
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--folder", type=pathlib.Path, default=pathlib.Path("fuzzed"))
    asked = parser.parse_args()
    try:
        import atheris
    except ImportError:
        sys.exit("fuzz.py needs atheris, which is not installed: pip install atheris")
    with atheris.instrument_imports(include=READERS, enable_loader_override=False):
        import reading
        from forms import forms
        from kept import kept
    asked.folder.mkdir(parents=True, exist_ok=True)
    made, begun = asked.folder / "made", asked.folder / f"corpus-{asked.form}"
    for folder in (made, begun):
        folder.mkdir(exist_ok=True)
    known = forms(made)
    if asked.form not in known:
        sys.exit(f"there is no form {asked.form!r}; these are: {', '.join(known)}")
    form = known[asked.form]
    (begun / "whole").write_bytes(form.content)
    for number, content in enumerate(kept(asked.form)):
        (begun / f"kept-{number}").write_bytes(content)
    one = reading.Reading(asked.form, form, made)
    reading.limited()

    def read(content):
        one(form.mended(content))

    words = [
        sys.argv[0], str(begun), f"-max_total_time={asked.seconds}", "-timeout=20",
        "-rss_limit_mb=0", f"-artifact_prefix={asked.folder}/", "-print_final_stats=1",
    ]  # fmt: skip
    atheris.Setup(words, read)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
