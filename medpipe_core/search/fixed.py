"""No search: a genotype that is given, so that a baseline or an ablation is one command."""

from __future__ import annotations

import glob
import os
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from medpipe_core.errors import MedpipeError, did_you_mean
from medpipe_core.regular_files import read_regular_file
from medpipe_core.search.schedules import check_schedule, read_schedule
from medpipe_core.search.searcher import BudgetError, Searcher
from medpipe_core.space import Genotype, GenotypeError
from medpipe_core.supernet import Decision

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from medpipe_core.search.outcome import Outcome
    from medpipe_core.space import Choice, SearchSpace

T = TypeVar("T")
_SHOWN = 6
_LARGEST = 16 * 2**20


class FixedGenotypeError(MedpipeError):
    """What is given does not decide one genotype of the space."""


class FixedSearcher(Searcher):
    """Answers with the genotype it was given; nothing is searched and nothing compared.

    Args:
        space: The space that the genotype is of.
        genotype: A file such as a run's `genotype.json`, or a run's folder. It may be of another
            space, as long as its choices fit this one. In the path `{seed}` stands for the run's
            seed and `*` for anything: `runs/*-s{seed}` is the run of that seed.
        choices: Choice path, or a pattern with `*`, → key or value. They go before the file's; of
            patterns that fit one path the last counts.
        schedule: A file such as a run's `schedule.json`, in place of a genotype; as `genotype`.
        seed: The run's.
        kwargs: As for `Searcher`.

    Raises:
        FixedGenotypeError: The file cannot be read, a path or key does not exist, or a choice is
            left open.
        BudgetError: The genotype breaks the budget or the constraints of the space.
        ScheduleError: A schedule's genotypes differ in more than their augmentations.
    """

    def __init__(
        self,
        space: SearchSpace,
        *,
        seed: int,
        genotype: str | None = None,
        choices: Mapping[str, Any] | None = None,
        schedule: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(space, seed=seed, **kwargs)
        given: tuple[Mapping[str, str], ...] = ({},)
        if schedule is not None:
            given = _read(schedule, seed, "schedule", read_schedule)
        elif genotype is not None:
            given = (_read(genotype, seed, "genotype", Genotype.from_json).choices,)
        found = tuple(decided(space, one, choices or {}) for one in given)
        check_schedule(space, found)
        self._schedule = () if schedule is None else found
        self.answer = found[-1]
        if not self.admits(self.answer):
            limits = f"budget ({space.budget})" if space.budget is not None else "constraints"
            raise BudgetError(f"the given genotype breaks the {limits} of space {space.name!r}")

    def decide(self, step: int) -> Decision:
        """Decide for the given genotype."""
        return Decision(self.best())

    def observe(self, outcome: Outcome) -> None:
        """Learn nothing."""

    def best(self) -> Genotype:
        """Return the given genotype."""
        assert self.answer is not None  # noqa: S101  (set by the constructor)
        return self.answer

    def schedule(self) -> tuple[Genotype, ...]:
        """Return the given schedule, if it is one."""
        return self._schedule

    def state_dict(self) -> dict[str, Any]:
        """Return nothing: it has no state."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take nothing."""


def decided(space: SearchSpace, base: Mapping[str, str], choices: Mapping[str, Any]) -> Genotype:
    """Return the genotype of some choices, laid over others.

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


def _key(choice: Choice, given: Any) -> str | None:
    """Return the key that a text or a value stands for, or None."""
    if isinstance(given, str) and given in choice.keys:
        return given
    for key, value in zip(choice.keys, choice.values or (), strict=False):
        if value == given and isinstance(value, bool) == isinstance(given, bool):
            return key
    return str(given) if str(given) in choice.keys else None


def _read(path: str, seed: int, what: str, reader: Callable[[str], T]) -> T:
    """Read a genotype or a schedule from its file, or from a folder that has one."""
    file = _file(path, seed, what)
    try:
        return reader(read_regular_file(file, _LARGEST).decode())
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise FixedGenotypeError(f"searcher.{what}: {file} cannot be read: {reason}") from error
    except GenotypeError as error:
        raise FixedGenotypeError(f"searcher.{what}: {file} is {error}") from error


def _file(path: str, seed: int, what: str) -> Path:
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
        raise FixedGenotypeError(
            f"searcher.{what}: no {what} fits {path!r}{for_seed}; looked for {pattern}"
        )
    shown = ", ".join(map(str, files[:_SHOWN])) + (", …" if len(files) > _SHOWN else "")
    raise FixedGenotypeError(
        f"searcher.{what}: {len(files)} fit {path!r}{for_seed}; name one: {shown}"
    )
