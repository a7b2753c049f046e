"""A search that can be saved between its steps, and while the candidates of an epoch are scored."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from medpipe_core.record.state_encoding import StateError, copied
from medpipe_core.search import advance

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from medpipe_core.events import Emit
    from medpipe_core.execution.run_memory import RunMemory
    from medpipe_core.search import Score, Scoring, SearchState
    from medpipe_core.search.settings import SearchSettings
    from medpipe_core.search.training_gradient import Loss

_TRIALS = "trial/trial/"


class SearchUnderWay:
    """Steps a search to its end.

    At the end of an epoch its candidates are scored one by one, and the search is whole before the
    first and after the last alone. What is saved meanwhile is the state before the first; going on
    scores them again, but for trials that are finished, and does not tell of them twice.

    Args:
        state: The search.
        memory: The run's.
        emit: Told of its events.
        goes_on: Asked with the epochs done and the seconds they took whether another may begin; if
            not, the search ends (`search-ended`).
    """

    def __init__(
        self,
        state: SearchState,
        memory: RunMemory,
        emit: Emit,
        goes_on: Callable[[int, float], bool] = lambda _epochs, _seconds: True,
    ) -> None:
        self._state = state
        self._memory = memory
        self._emit = emit
        self._goes_on = goes_on
        self._before: dict[str, Any] | None = None
        self._told = 0
        self._silent = 0

    def state_dict(self) -> dict[str, Any]:
        """Return its state, at any time but in the middle of a step."""
        state = self._before if self._before is not None else self._state.state_dict()
        micro_batch = self._state.computing.micro_batch
        return {"state": state, "told": self._told, "micro_batch": micro_batch}

    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        """Go on from a saved state."""
        self._state.load_state_dict(saved["state"])
        self._told = self._silent = saved["told"]

    def run(self, settings: SearchSettings, loss: Loss, score: Score | Scoring) -> None:
        """Step to the end.

        Raises:
            StateError: The searcher has a state that cannot be saved, which is told at once.
        """
        state = self._state
        try:
            self._memory.save()
        except StateError as error:
            raise StateError(f"{state.who or 'the searcher'} cannot be saved: {error}") from error
        while state.epoch < settings.epochs:
            between_epochs = state.step == state.epoch * len(state.training)
            if between_epochs and not self._goes_on(state.epoch, state.seconds):
                self._emit("search-ended", epoch=state.epoch, planned=settings.epochs)
                break
            self._memory.between_steps()
            if state.step == (state.epoch + 1) * len(state.training):  # an epoch's steps are done
                self._before = copied(state.state_dict())
            advance(state, settings=settings, loss=loss, score=score, emit=self._tell)
            if self._before is not None:
                self._before, self._told = None, 0
                self._memory.forget(_TRIALS)

    def _tell(self, event: str, /, **fields: Any) -> None:
        if event != "search-epoch":
            self._emit(event, **fields)
            return
        if self._silent:
            self._silent -= 1
            return
        self._emit(event, **fields)
        self._told += 1
        self._memory.between_steps()
