"""Compiled loops kept on disk between processes, in a folder of the user's own.

Compiling the bundle's loops takes seconds in every new process. numba can read what it compiled
earlier, which is machine code and so has to lie where nobody else writes: in
`$MEDPIPE_CACHE/compiled-<key>`, by default below `~/.cache/medpipe` (`$XDG_CACHE_HOME`), where the
folder belongs to the user and is closed to others; else nothing is kept. The key follows from the
loops' source and from the versions of Python, numpy, numba and llvmlite; numba itself tells
processors apart. An empty `MEDPIPE_CACHE` switches it off.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib.metadata
import os
import stat
import sys
from pathlib import Path
from typing import Any

_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH
_VERSIONS = ("numpy", "numba", "llvmlite")


def kept(compiled: Any) -> Any:
    """Let a function of numba read what it compiled in an earlier process, where that is safe.

    Args:
        compiled: What `numba.njit` returned; it has not been called.

    Returns:
        The same function.
    """
    folder = cache_folder(Path(compiled.py_func.__code__.co_filename).parent)
    if folder is not None:
        # A numba whose insides are others compiles.
        with contextlib.suppress(AttributeError, ImportError, TypeError):
            compiled._cache = _cache_class()(compiled.py_func, folder, compiled.targetoptions)
    return compiled


def cache_folder(sources: Path) -> Path | None:
    """Return the folder for what is compiled from the sources in a folder; None if there is none.

    It is made if it is not there.
    """
    asked = os.environ.get("MEDPIPE_CACHE")
    if asked == "":
        return None
    try:
        usual = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "medpipe"
        base = Path(asked) if asked else usual
        folder = base / f"compiled-{_key(sources)}"
        base.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
        return folder if all(map(_is_ones_own, (base, folder))) else None
    except (OSError, RuntimeError):  # no home, a full disk, a file of that name
        return None


def _is_ones_own(folder: Path) -> bool:
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode):
        return False
    own = not hasattr(os, "getuid") or found.st_uid == os.getuid()
    return own and not found.st_mode & _OTHERS_WRITE


@functools.cache
def _key(sources: Path) -> str:
    """Return what changes when compiled code may."""
    digest = hashlib.sha256(repr(sys.version_info).encode())
    for name in _VERSIONS:
        digest.update(f"{name} {importlib.metadata.version(name)}\n".encode())
    for path in sorted(sources.glob("*.py")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


@functools.cache
def _cache_class() -> Any:
    """Return numba's cache of one function, with our folder and key."""
    from numba.core.caching import CompileResultCacheImpl, FunctionCache, _CacheLocator

    class Locator(_CacheLocator):
        def __init__(self, folder: Path, line: int) -> None:
            self._folder = folder
            self._line = line

        def get_cache_path(self) -> str:
            return str(self._folder)

        def get_source_stamp(self) -> str:
            return self._folder.name

        def get_disambiguator(self) -> str:
            return str(self._line)

    class Files(CompileResultCacheImpl):
        def __init__(self, function: Any, folder: Path) -> None:
            self._lineno = function.__code__.co_firstlineno
            self._locator = Locator(folder, self._lineno)
            module = function.__module__.rpartition(".")[2]
            self._filename_base = self.get_filename_base(  # type: ignore[no-untyped-call]
                f"{module}.{function.__qualname__}", ""
            )

        def check_cachable(self, compiled: Any) -> bool:
            return not compiled.lifted and not compiled.library.has_dynamic_globals

    class Kept(FunctionCache):
        def __init__(self, function: Any, folder: Path, options: Any) -> None:
            self._impl_class = functools.partial(Files, folder=folder)  # type: ignore[assignment]
            self._options = repr(sorted((k, repr(v)) for k, v in options.items()))
            super().__init__(function)  # type: ignore[no-untyped-call]

        def _index_key(self, signature: Any, codegen: Any) -> Any:
            # What a function closes over follows from the sources, which the folder stands for;
            # numba's own key would be another one in every process.
            return (signature, codegen.magic_tuple(), self._options)

        def load_overload(self, signature: Any, context: Any) -> Any:
            try:
                return super().load_overload(  # type: ignore[no-untyped-call]
                    signature, context
                )
            except Exception:  # whatever a damaged file raises: it is compiled and written anew
                return None

        def save_overload(self, signature: Any, compiled: Any) -> None:
            try:
                super().save_overload(  # type: ignore[no-untyped-call]
                    signature, compiled
                )
            except Exception:  # such as a full disk: it is compiled again next time
                return

    return Kept
