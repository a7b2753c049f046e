from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

GLIBC = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs glibc")
PROGRAM = """
import resource, torch
from medpipe_core.memory import keep_freed_memory
done = keep_freed_memory()
torch.empty(20_000_000).fill_(1)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    torch.empty(20_000_000).fill_(1)
print(done, resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(**variables):
    clean = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    clean.pop("GLIBC_TUNABLES", None)
    command = [sys.executable, "-c", PROGRAM]
    told = subprocess.run(
        command, env={**clean, **variables}, capture_output=True, text=True, check=True
    )
    done, count = told.stdout.split()
    return done, int(count)


@GLIBC
def test_memory_that_is_freed_is_used_again():
    done, count = faults()
    assert done == "True"
    assert count < 100  # five times 80 MB are a hundred thousand pages


@GLIBC
@pytest.mark.parametrize("variable", ["MALLOC_ARENA_MAX", "GLIBC_TUNABLES"])
def test_glibcs_own_variables_hold(variable):
    done, count = faults(**{variable: "" if variable == "GLIBC_TUNABLES" else "4"})
    assert done == "False"
    assert count > 1000
