"""No search: a genotype that is given, so that a baseline or an ablation is one command."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from medpipe_core.errors import did_you_mean
from medpipe_core.search.given import FixedGenotypeError, decided, read_given
from medpipe_core.search.schedules import check_schedule, read_schedule
from medpipe_core.search.searcher import BudgetError, Searcher
from medpipe_core.space import Genotype
from medpipe_core.supernet import Decision

if TYPE_CHECKING:
    from collections.abc import Mapping

    from medpipe_core.search.outcome import Outcome
    from medpipe_core.space import SearchSpace


def given_genotypes(
    space: SearchSpace,
    seed: int,
    genotype: str | None,
    choices: Mapping[str, Any],
    schedule: str | None,
    known: str | None,
) -> tuple[Genotype, ...]:
    """Return the genotype that is given, or those of a schedule; arguments are `FixedSearcher`'s.

    Raises:
        FixedGenotypeError: A file cannot be read, a path, key or name does not exist, or a choice
            is left open.
        ScheduleError: A schedule's genotypes differ in more than their augmentations.
    """
    given: tuple[Mapping[str, str], ...] = ({},)
    if schedule is not None:
        given = read_given(schedule, seed, "schedule", read_schedule)
    elif genotype is not None:
        given = (read_given(genotype, seed, "genotype", Genotype.from_json).choices,)
    if known is not None:
        if known not in space.known:
            hint = did_you_mean(known, space.known) if space.known else ""
            raise FixedGenotypeError(
                f"searcher.known: space {space.name!r} knows nothing by the name {known!r}.{hint}"
            )
        choices = {**space.known[known], **choices}
    found = tuple(decided(space, one, choices) for one in given)
    check_schedule(space, found)
    return found


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
        known: Name of what the space knows; it goes before the file's and after `choices`.
        seed: The run's.
        kwargs: As for `Searcher`.

    Raises:
        FixedGenotypeError: The file cannot be read, a path, key or name does not exist, or a
            choice is left open.
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
        known: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(space, seed=seed, **kwargs)
        found = given_genotypes(space, seed, genotype, choices or {}, schedule, known)
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
