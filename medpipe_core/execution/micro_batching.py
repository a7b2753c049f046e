"""How many volumes go through a network at once, so that a training step fits into memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from medpipe_core.config.errors import ConfigurationError
from medpipe_core.events import Emit, silent
from medpipe_core.memory import free_memory
from medpipe_core.train import Footprint, step_footprint

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import nn

    from medpipe_core.computing import Computing

_LEAST = 2  # batch normalisation cannot train on one
# Of the memory that is left: other programs want some later, an estimate is one, and a system
# that has no more ends the run without a word.
_SHARE = 0.8


class MicroBatching:
    """Splits batches whose training step is estimated not to fit into the device's memory.

    A fifth of what is left is kept free. A micro-batch that was asked for stays, and so does
    everything where the system does not tell how much memory is left.

    Args:
        computing: Device, precision, and the micro-batch that was asked for.
        shape: `(channel, *space)` of a volume.
    """

    def __init__(self, computing: Computing, shape: Sequence[int]) -> None:
        self._computing = computing
        self._shape = tuple(shape)

    def check(self, heaviest: nn.Module, batch_sizes: Mapping[str, int]) -> None:
        """Check, before anything is trained, that two volumes at least fit in every stage.

        Args:
            heaviest: The heaviest network that may have to be trained.
            batch_sizes: Stage → volumes in a batch.

        Raises:
            ConfigurationError: Not even two volumes fit.
        """
        if self._known():
            found = self._footprint(heaviest)
            for stage, size in batch_sizes.items():
                self._split(found, size, stage, silent)

    def computing(
        self, network: nn.Module, batch_size: int, *, stage: str, emit: Emit
    ) -> Computing:
        """Return how steps of a network are computed: in the fewest parts of a batch that fit.

        Args:
            network: What is to be trained.
            batch_size: Volumes in a batch.
            stage: What for, for messages.
            emit: Told where a batch is split (`micro-batch-warning`).

        Raises:
            ConfigurationError: Not even two volumes fit.
        """
        if not self._known():
            return self._computing
        return self._split(self._footprint(network), batch_size, stage, emit)

    def as_before(self, micro_batch: int | None) -> Computing:
        """Return how steps were computed before a run was stopped, whatever memory there is now."""
        return self._computing.with_micro_batch(micro_batch)

    def _known(self) -> bool:
        memory = free_memory(self._computing.device)
        return self._computing.micro_batch is None and memory is not None

    def _footprint(self, network: nn.Module) -> Footprint:
        return step_footprint(network, self._shape, computing=self._computing)

    def _split(self, found: Footprint, batch_size: int, stage: str, emit: Emit) -> Computing:
        memory = free_memory(self._computing.device) or 0
        most = found.most_volumes(int(_SHARE * memory))
        if most >= batch_size:
            return self._computing
        needed, left = _gib(found.of(batch_size)), _gib(memory)
        if most < _LEAST:
            raise ConfigurationError(
                [
                    f"{stage}: a training step is estimated to take {_gib(found.of(_LEAST))} for "
                    f"two volumes and {needed} for a batch of {batch_size}, but "
                    f"device={self._computing.device} has {left} left, of which a fifth is kept "
                    "free. Narrow the channels, use smaller volumes or precision=bfloat16, or give "
                    "micro_batch=2 to try it"
                ]
            )
        emit(
            "micro-batch-warning",
            volumes=most,
            message=f"{stage}: a batch of {batch_size} is estimated to take {needed}, and {left} "
            f"are left, of which a fifth is kept free; so {most} volumes at most go through the "
            "network at once, and gradients are accumulated",
        )
        return self._computing.with_micro_batch(most)


def _gib(count: int) -> str:
    return f"{count / 2**30:.2f} GiB"
