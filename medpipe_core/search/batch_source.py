"""Where the batches of a search come from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping


class BatchSource(Protocol):
    """An endless source of batches that can be stopped and continued."""

    def __len__(self) -> int:
        """Return the number of batches in an epoch."""

    def next(self) -> Any:
        """Return the next batch, with `volumes` and `labels`."""

    def state_dict(self) -> dict[str, Any]:
        """Return where it is."""

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from there."""


class NoBatches:
    """A source without batches, for a search whose epochs only score what is proposed."""

    def __len__(self) -> int:
        """Return 0: an epoch has no step."""
        return 0

    def next(self) -> Any:
        """Fail: there is no batch, and nobody asks for one.

        Raises:
            StopIteration: Always.
        """
        raise StopIteration("this search has no steps")

    def state_dict(self) -> dict[str, Any]:
        """Return nothing."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take nothing."""
