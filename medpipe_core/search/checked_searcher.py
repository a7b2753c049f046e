"""A searcher whose answers are checked, and whose errors name it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

from medpipe_core.errors import MedpipeError, place_of
from medpipe_core.memory import out_of_memory
from medpipe_core.search.outcome import Outcome
from medpipe_core.search.schedules import ScheduleError, check_schedule
from medpipe_core.space import Genotype, InvalidGenotypeError
from medpipe_core.supernet import Decision

if TYPE_CHECKING:
    from collections.abc import Callable

    from medpipe_core.search.probe import Probe
    from medpipe_core.search.searcher import Searcher
    from medpipe_core.space import SearchSpace

_ADMITTED = (
    "Draw through self.admitted(draw), or ask self.admits(genotype) before handing a genotype out"
)
_HELD = "Hold it to medpipe_core.testing.SearcherContract"


class SearcherError(MedpipeError):
    """A searcher that fails, or answers what it must not; the text names it and the remedy."""


class CheckedSearcher:
    """A searcher whose answers are members of the space that keep its budget, or an error.

    Whatever it raises that is no `MedpipeError` becomes a `SearcherError`, with the error as cause.

    Args:
        searcher: Who is asked.
        space: The space that it searches.
        admit: Says whether a genotype keeps the budget; by default the searcher is asked itself.
        who: Its name for messages; by default its class and module.
    """

    def __init__(
        self,
        searcher: Searcher,
        space: SearchSpace,
        *,
        admit: Callable[[Genotype], bool] | None = None,
        who: str = "",
    ) -> None:
        self._searcher = searcher
        self._space = space
        self._admit = admit
        self._who = who

    def decide(self, step: int) -> Decision:
        """Return what a step runs.

        Raises:
            SearcherError: It is no `Decision`, or not for a member that keeps the budget.
        """
        what = f"decide({step})"
        with _Named(self, what):
            decision = self._searcher.decide(step)
        if not isinstance(decision, Decision):
            self._refuse(what, decision, "a Decision", "Return Decision(genotype)")
        self._check(decision.genotype, what)
        return decision

    def ask(self, probe: Probe) -> Outcome:
        """Return what came of a step, as far as the searcher asks about it.

        Raises:
            SearcherError: It is no `Outcome` of this step.
        """
        what = "ask(probe)"
        with _Named(self, what):
            outcome = self._searcher.ask(probe)
        remedy = "Return dataclasses.replace(probe.outcome, ...), or probe.outcome"
        if not isinstance(outcome, Outcome):
            self._refuse(what, outcome, "an Outcome", remedy)
        if outcome.genotype != probe.outcome.genotype:
            self._refuse(what, outcome, "that of the step's genotype", remedy)
        return outcome

    def observe(self, outcome: Outcome) -> None:
        """Tell what came of a step or of a scoring."""
        with _Named(self, "observe(outcome)"):
            self._searcher.observe(outcome)

    def propose(self, count: int) -> list[Genotype]:
        """Return what is worth scoring.

        Raises:
            SearcherError: It is no list of members that keep the budget.
        """
        what = f"propose({count})"
        with _Named(self, what):
            proposed = self._searcher.propose(count)
        if not isinstance(proposed, list | tuple):
            self._refuse(what, proposed, "a list", "Return a list of genotypes; [] for none")
        for genotype in proposed:
            self._check(genotype, what)
        return list(proposed)

    def best(self) -> Genotype:
        """Return the best genotype that is known.

        Raises:
            SearcherError: It is no member that keeps the budget.
            MedpipeError: None is known yet.
        """
        with _Named(self, "best()"):
            genotype = self._searcher.best()
        self._check(genotype, "best()")
        return genotype

    def schedule(self) -> tuple[Genotype, ...]:
        """Return what the training of the best goes through; nothing for its own policy.

        Raises:
            SearcherError: They are no members that keep the budget, the last one is not the best,
                or one has another network.
        """
        what = "schedule()"
        with _Named(self, what):
            found = self._searcher.schedule()
        if not isinstance(found, list | tuple):
            self._refuse(what, found, "a tuple", "Return a tuple of genotypes; () for none")
        if not found:
            return ()
        for genotype in found:
            self._check(genotype, what)
        if found[-1] != self.best():
            self._refuse(what, found, "one that ends with best()", "Put best() at its end")
        try:
            check_schedule(self._space, found)
        except ScheduleError as error:
            raise SearcherError(f"{self.who}: {what}: {error}. {_HELD}") from error
        return tuple(found)

    def insight(self) -> dict[str, Any]:
        """Return what is worth a line in the journal."""
        with _Named(self, "insight()"):
            return self._searcher.insight()

    @property
    def who(self) -> str:
        """Who is asked, for messages."""
        kind = type(self._searcher)
        return self._who or f"searcher {kind.__qualname__} ({kind.__module__})"

    def _check(self, genotype: object, what: str) -> None:
        if not isinstance(genotype, Genotype):
            self._refuse(what, genotype, "a Genotype", "Take one from self.space, such as a sample")
        space = self._space
        try:
            if genotype.space_digest != space.digest:
                space.validate(genotype)
            kept = space.admits(genotype)
            admitted = kept and (self._admit or self._searcher.admits)(genotype)
        except InvalidGenotypeError as error:
            raise SearcherError(
                f"{self.who}: {what} gave what is no member of its space: {error}. {_HELD}"
            ) from error
        if admitted:
            return
        broken = "; ".join(space.broken_constraints(genotype)) or f"the budget, {space.budget}"
        raise SearcherError(
            f"{self.who}: {what} gave genotype {genotype.digest}, which does not keep the limits "
            f"of space {space.name!r}: {broken}. {_ADMITTED}"
        )

    def _refuse(self, what: str, found: object, asked: str, remedy: str) -> NoReturn:
        kind = "nothing (None)" if found is None else f"a {type(found).__name__}"
        raise SearcherError(f"{self.who}: {what} returned {kind}, not {asked}. {remedy}. {_HELD}")


class _Named:
    """Says who was asked what, where a searcher raises an error of its own."""

    __slots__ = ("_asked", "_what")

    def __init__(self, asked: CheckedSearcher, what: str) -> None:
        self._asked = asked
        self._what = what

    def __enter__(self) -> None:
        """Begin."""

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        """Give an error its name; what medpipe raises on purpose is told as it is.

        Running out of memory is nobody's fault, and fails a step alone.
        """
        if (
            isinstance(error, Exception)
            and not isinstance(error, MedpipeError)
            and not out_of_memory(error)
        ):
            raise SearcherError(
                f"{self._asked.who}: {self._what} failed: {type(error).__name__}: {error}"
                f"{place_of(error)}. {_HELD}"
            ) from error
