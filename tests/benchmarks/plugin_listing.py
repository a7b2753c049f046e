"""How long `medpipe plugins` takes with twenty installed plugins.

    python tests/benchmarks/plugin_listing.py [--json]

The peer is an empty start of Python and one import of pydantic's `BaseModel`. Both run by turns, in
processes of their own, in the same environment; medians and quartiles are of their wall time.
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile

COUNT = 20
ROUNDS = 15
CODE = """\
from medpipe_core import hookimpl

@hookimpl
def medpipe_register(registry):
    for n in range(5):
        registry.register("block", f"acme{0}-block{{n}}", "acme{0}.blocks:Block", summary="a block")
"""
COMMANDS = {
    "import pydantic": "from pydantic import BaseModel",
    "medpipe plugins": "from medpipe_core.command.medpipe import main; main(['plugins'])",
}


def install(folder: pathlib.Path) -> pathlib.Path:
    """Install twenty small distributions into a folder, by pip."""
    wheels = []
    for n in range(COUNT):
        wheel = folder / f"acme{n}-1.0-py3-none-any.whl"
        info = f"acme{n}-1.0.dist-info"
        with zipfile.ZipFile(wheel, "w") as archive:
            archive.writestr(f"acme{n}/__init__.py", CODE.format(n))
            archive.writestr(
                f"{info}/METADATA", f"Metadata-Version: 2.1\nName: acme{n}\nVersion: 1.0\n"
            )
            archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
            points = f"[medpipe.plugins.v1]\nacme{n} = acme{n}\n"
            archive.writestr(f"{info}/entry_points.txt", points)
            archive.writestr(f"{info}/RECORD", "")
        wheels.append(str(wheel))
    site = folder / "site"
    words = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-index"]
    subprocess.run([*words, "--target", str(site), *wheels], check=True)
    return site


def measure(rounds: int = ROUNDS) -> dict[str, list[float]]:
    """Return seconds of each command, run by turns after a first round that is not counted."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.pathsep.join([str(install(pathlib.Path(folder))), *sys.path])
        seconds: dict[str, list[float]] = {name: [] for name in COMMANDS}
        for turn in range(rounds + 1):
            for name, code in COMMANDS.items():
                began = time.perf_counter()
                subprocess.run(
                    [sys.executable, "-c", code],
                    env={**os.environ, "PYTHONPATH": path},
                    check=True,
                    stdout=subprocess.DEVNULL,
                )
                if turn:
                    seconds[name].append(time.perf_counter() - began)
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    seconds = measure()
    quartiles = {name: statistics.quantiles(values) for name, values in seconds.items()}
    ratio = quartiles["medpipe plugins"][1] / quartiles["import pydantic"][1]
    told = {"python": platform.python_version(), "cores": os.cpu_count(), "plugins": COUNT,
            "seconds": quartiles, "ratio": ratio}  # fmt: skip
    if parser.parse_args().json:
        print(json.dumps(told, indent=2))
        return
    print(f"Python {told['python']}, {told['cores']} cores, {COUNT} plugins, {ROUNDS} rounds")
    for name, (low, middle, high) in quartiles.items():
        print(f"{name:20} {middle:.3f} s ({low:.3f} to {high:.3f})")
    print(f"ratio of medians     {ratio:.2f}")


if __name__ == "__main__":
    main()
