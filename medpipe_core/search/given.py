"""Genotypes that people give: files, patterns of paths, and choices by path or pattern."""

from __future__ import annotations

import glob
import os
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from medpipe_core.errors import MedpipeError, did_you_mean
from medpipe_core.regular_files import read_regular_file
from medpipe_core.space import Genotype, GenotypeError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from medpipe_core.space import Choice, SearchSpace

T = TypeVar("T")
_SHOWN = 6
_TIMES = 2  # what a space knows is tried
_LARGEST = 16 * 2**20


class FixedGenotypeError(MedpipeError):
    """What is given does not decide one genotype of the space."""


def decided(
    space: SearchSpace,
    base: Mapping[str, str],
    choices: Mapping[str, Any],
    draw: Callable[[Choice], str] | None = None,
) -> Genotype:
    """Return the genotype of some choices, laid over others.

    Args:
        space: Whose genotype.
        base: Path → key.
        choices: Path, or a pattern with `*`, → key or value; of those that fit the last counts.
        draw: Who decides what is left open; None where nothing may be.

    Raises:
        FixedGenotypeError: A path or key does not exist, or a choice that matters is left open: of
            those that nothing depends on, such as the angles of a rotation with p = 0, the first
            key is taken.
    """
    problems = [
        f"no choice {pattern!r} in space {space.name!r}.{did_you_mean(pattern, space.choices)}"
        for pattern in choices
        if not any(fnmatchcase(path, pattern) for path in space.choices)
    ]
    still_open: list[str] = []

    def pick(choice: Choice) -> str:
        fitting = [given for pattern, given in choices.items() if fnmatchcase(choice.path, pattern)]
        given = fitting[-1] if fitting else base.get(choice.path)
        if given is None and draw is not None:
            return draw(choice)
        if given is None:
            still_open.append(choice.path)
            return choice.keys[0]
        key = _key(choice, given)
        if key is None:
            known = ", ".join(choice.keys)
            problems.append(f"{choice.path} has no key {given!r}; it has {known}")
        return choice.keys[0] if key is None else key

    genotype = space.decide(pick)
    effective = space.effective(genotype)
    still_open = [path for path in still_open if path in effective]
    if still_open:
        shown = ", ".join(still_open[:_SHOWN]) + (", …" if len(still_open) > _SHOWN else "")
        problems.append(
            f"{len(still_open)} choices of space {space.name!r} are left open: {shown}. Give a "
            "file with searcher.genotype=FILE, or decide them with searcher.choices, such as "
            "searcher.choices={'*/p': 0.5}"
        )
    if problems:
        more = len(problems) - _SHOWN
        tail = [f"and {more} more"] if more > 0 else []
        raise FixedGenotypeError("; ".join([*problems[:_SHOWN], *tail]))
    return genotype


def read_known(
    space: SearchSpace, known: Literal["space"] | Sequence[str | Mapping[str, Any]], seed: int
) -> list[tuple[Mapping[str, str], Mapping[str, Any]]]:
    """Return what is known of a space: of each entry, a file's choices and those laid over them.

    Args:
        space: Whose genotypes they are.
        known: Names of what the space knows, paths, as `read_given` takes them, or choices by path
            or pattern. `"space"` is all that the space knows, each twice: what it leaves open is
            drawn, and one draw may be a bad one.
        seed: The run's.

    Raises:
        FixedGenotypeError: One cannot be read, or names what the space has not.
    """
    found: list[tuple[Mapping[str, str], Mapping[str, Any]]] = []
    if known == "space":
        known = [name for name in space.known for _ in range(_TIMES)]
    for one in known:
        if isinstance(one, str) and one in space.known:
            found.append(({}, space.known[one]))
        elif isinstance(one, str):
            try:
                file = read_given(one, seed, "genotype", Genotype.from_json, key="searcher.known")
            except FixedGenotypeError as error:
                named = f"; the space knows {', '.join(map(repr, space.known))}"
                raise FixedGenotypeError(f"{error}{named if space.known else ''}") from error
            found.append((file.choices, {}))
        else:
            found.append(({}, one))
        decided(space, *found[-1], draw=lambda choice: choice.keys[0])
    return found


def _key(choice: Choice, given: Any) -> str | None:
    """Return the key that a text or a value stands for, or None."""
    if isinstance(given, str) and given in choice.keys:
        return given
    for key, value in zip(choice.keys, choice.values or (), strict=False):
        if value == given and isinstance(value, bool) == isinstance(given, bool):
            return key
    return str(given) if str(given) in choice.keys else None


def read_given(path: str, seed: int, what: str, reader: Callable[[str], T], *, key: str = "") -> T:
    """Read a genotype or a schedule from its file, or from a folder that has one.

    Args:
        path: Of it, in which `{seed}` stands for the seed and `*` for anything.
        seed: The run's.
        what: Its name, and that of its file in a folder.
        reader: Makes it of a text.
        key: Of the configuration, that errors name; `searcher.` and `what` by default.

    Raises:
        FixedGenotypeError: It cannot be read, no file fits, or several do.
    """
    key = key or f"searcher.{what}"
    file = _file(path, seed, what, key)
    try:
        return reader(read_regular_file(file, _LARGEST).decode())
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise FixedGenotypeError(f"{key}: {file} cannot be read: {reason}") from error
    except GenotypeError as error:
        raise FixedGenotypeError(f"{key}: {file} is {error}") from error


def _file(path: str, seed: int, what: str, key: str) -> Path:
    """Return the file that a path names, the one that fits it where it is a pattern.

    Raises:
        FixedGenotypeError: No file fits, or several do.
    """
    named = Path(path).expanduser()
    if os.path.exists(named) or not ("*" in path or "{seed}" in path):
        return named / f"{what}.json" if os.path.isdir(named) else named
    pattern = str(named).replace("{seed}", str(seed))
    fitting = glob.glob(glob.escape(pattern).replace("[*]", "*"))
    found = [Path(one) for one in sorted(fitting)]
    files = [one / f"{what}.json" if one.is_dir() else one for one in found]
    files = [one for one in files if one.exists()]
    if len(files) == 1:
        return files[0]
    for_seed = f" for seed {seed}" if "{seed}" in path else ""
    if not files:
        raise FixedGenotypeError(f"{key}: no {what} fits {path!r}{for_seed}; looked for {pattern}")
    shown = ", ".join(map(str, files[:_SHOWN])) + (", …" if len(files) > _SHOWN else "")
    raise FixedGenotypeError(f"{key}: {len(files)} fit {path!r}{for_seed}; name one: {shown}")
