"""What every searcher promises of going on: after a save, after failures, in another process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from medpipe_core.testing.checking import in_words, require
from medpipe_core.testing.elsewhere import elsewhere
from medpipe_core.testing.searcher_runs import (
    EPOCH,
    SearcherRuns,
    as_saved,
    none_fails,
    some_fail,
)
from medpipe_core.testing.toys import ToySpace, toy_spaces

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from medpipe_core.search import Searcher
    from medpipe_core.space import Genotype

_KEEP = (
    "Put everything that changes while searching into state_dict (generators, what was proposed "
    "and what came of it, the best and its score, moments), as copies, and take all of it back in "
    "load_state_dict, again as copies"
)


class RestoringContract(SearcherRuns):
    """The part of `SearcherContract` that is about saving, restoring and other processes."""

    spaces: tuple[ToySpace, ...] = toy_spaces()

    def test_a_restored_searcher_goes_on_as_if_nothing_had_happened(self) -> None:
        """A fresh searcher with a saved state does bit for bit what the old one would have."""
        for toy in self.spaces:
            self._goes_on(toy, none_fails, (0, 1, EPOCH, self.steps // 2 + 1), "")

    def test_a_restored_searcher_remembers_what_failed(self) -> None:
        """It does so where steps and candidates fail, before and after, and are never observed."""
        for toy in self.spaces:
            cuts = (1, EPOCH, EPOCH + 3, 2 * EPOCH)
            self._goes_on(toy, some_fail, cuts, ", with steps and candidates that fail")

    def test_it_searches_the_same_in_another_process(self) -> None:
        """With another hash seed it decides the same, and goes on with a state from here."""
        cut = EPOCH + 1
        states, expected = [], []
        for toy in self.spaces:
            searcher = self.make(toy)
            self.drive(searcher, range(cut), failures=some_fail)
            states.append(as_saved(searcher.state_dict(), f"{self.name}.state_dict()"))
            expected.append(self.drive(searcher, range(cut, self.steps), failures=some_fail))
        whole = [self.drive(self.make(toy), range(self.steps)) for toy in self.spaces]
        for others, restored in elsewhere(self, "_searches", states):
            for toy, found, wanted in zip(self.spaces, others, whole, strict=True):
                require(
                    found == wanted,
                    f"{self.name} searches otherwise in another process on space "
                    f"{toy.space.name!r}: {_first_difference(found, wanted)}. Let no order depend "
                    "on a set or on hash(), which follow PYTHONHASHSEED: sort, or use a dict",
                )
            for toy, found, wanted in zip(self.spaces, restored, expected, strict=True):
                require(
                    found == wanted,
                    f"{self.name}, restored in another process on space {toy.space.name!r}, goes "
                    f"on differently: {_first_difference(found, wanted)}. Keep nothing in "
                    "state_dict that follows from hash() or id(), such as the hash of a genotype: "
                    "its digest is the same everywhere",
                )

    def _searches(self, states: Sequence[dict[str, Any]]) -> tuple[list[Any], list[Any]]:
        """Answer in another process: whole searches, and those that go on from states."""
        whole = [self.drive(self.make(toy), range(self.steps)) for toy in self.spaces]
        restored = []
        for toy, state in zip(self.spaces, states, strict=True):
            searcher = self._restored(toy, state, "")
            steps = range(EPOCH + 1, self.steps)
            restored.append(self.drive(searcher, steps, failures=some_fail))
        return whole, restored

    def _goes_on(
        self,
        toy: ToySpace,
        failures: Callable[[str, int, Genotype], bool],
        cuts: Sequence[int],
        how: str,
    ) -> None:
        """Fail unless a searcher goes on from states saved at these steps."""
        whole = self.drive(self.make(toy), range(self.steps), failures=failures)
        asked = self.make(toy)
        said: list[str] = []
        states, at = {}, {}
        for begin, end in zip((0, *cuts), (*cuts, self.steps), strict=True):
            said += self.drive(asked, range(begin, end), failures=failures)
            at[end] = len(said)
            states[end] = as_saved(asked.state_dict(), f"{self.name}.state_dict()")
        require(
            said == whole,
            f"{self.name} goes on differently for having been asked for its state_dict, on space "
            f"{toy.space.name!r}{how}. Saving must change nothing",
        )
        for cut in cuts:
            for again in ("", " a second time") if cut == EPOCH else ("",):
                fresh = self._restored(toy, states[cut], again)
                found = self.drive(fresh, range(cut, self.steps), failures=failures)
                require(
                    found == whole[at[cut] :],
                    f"{self.name}, restored{again} on space {toy.space.name!r}, stopped after "
                    f"{cut} steps{how}, goes on differently: "
                    f"{_first_difference(found, whole[at[cut] :])}. {_KEEP}",
                )

    def _restored(self, toy: ToySpace, state: dict[str, Any], again: str) -> Searcher:
        fresh = self.make(toy)
        with in_words(f"{self.name} cannot load its state{again}."):
            fresh.load_state_dict(state)
        return fresh


def _first_difference(found: list[str], expected: list[str]) -> str:
    for one, other in zip(found, expected, strict=False):
        if one != other:
            return f"{one}, where the other {other.split(' ', 2)[-1]}"
    return "it says less"
