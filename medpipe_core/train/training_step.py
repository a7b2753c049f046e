"""One step of a training on volumes that are augmented already, handed to a GPU in one go."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor, nn

from medpipe_core.memory import out_of_memory

if TYPE_CHECKING:
    from collections.abc import Callable

    from medpipe_core.train.settings import FitSettings
    from medpipe_core.train.state import FitState
    from medpipe_core.train.task import Task

# Steps that are taken one operator after another first: Adam makes its moments, libraries choose
# their algorithms and kernels are compiled, none of which can be recorded.
_BEFORE = 3


class Recorder(Protocol):
    """Records what a function does on a device, to do it again without Python."""

    def alongside(self, function: Callable[[], Tensor]) -> Tensor:
        """Do it, apart from everything else, as it will be recorded."""

    def record(self, function: Callable[[], Tensor]) -> Tensor:
        """Record it without doing it; return where its result will be."""

    def replay(self) -> None:
        """Do what was recorded."""


def step_weights(
    state: FitState,
    volumes: Tensor,
    labels: Tensor,
    settings: FitSettings,
    task: Task,
    look: Callable[[Tensor, Tensor], None] | None = None,
) -> Tensor:
    """Step the weights along the gradient of a batch; return its loss, a scalar on the device.

    Args:
        state: The training; its weights and optimiser move on.
        volumes: `(batch, channel, *space)`, augmented.
        labels: `(batch,)`.
        settings: How weights step.
        task: The loss.
        look: Shown each part of the batch with its share of the loss, before the gradient; it may
            raise.
    """
    state.optimiser.zero_grad(set_to_none=True)
    total = torch.zeros((), device=volumes.device)
    for part, its_labels, share in state.computing.parts(volumes, labels):
        with state.computing.autocast():
            logits = state.network(part)
        loss = share * task.loss(logits.float(), its_labels)
        total = total + loss.detach()
        if look is not None:
            look(part, loss.detach())
        state.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
    if settings.grad_clip is not None:
        state.scaler.unscale_(state.optimiser)
        nn.utils.clip_grad_norm_(state.network.parameters(), settings.grad_clip)
    state.scaler.step(state.optimiser)
    state.scaler.update()
    return total


class RecordedSteps:
    """Takes the steps of one training: some as they are, then all from one recording.

    A step of a small network is some hundred operators of some microseconds each, which Python
    hands out more slowly than a GPU does them. A CUDA graph hands them out at once. Where a layer
    cannot be recorded, because it asks the device for a number or the like, steps go on one
    operator after another.

    Args:
        step: Takes one step on `(volumes, labels)` and returns its loss.
        recorder: Records on the device; None to take all steps as they are.
        warn: Told once, in words, where steps cannot be recorded.
    """

    def __init__(
        self,
        step: Callable[[Tensor, Tensor], Tensor],
        recorder: Recorder | None,
        warn: Callable[[str], None],
    ) -> None:
        self._step = step
        self._recorder = recorder
        self._warn = warn
        self._taken = 0
        self._inputs: tuple[Tensor, Tensor] | None = None
        self._loss: Tensor | None = None

    def __call__(self, volumes: Tensor, labels: Tensor) -> Tensor:
        """Take one step; all batches have the shape of the first."""
        self._taken += 1
        if self._recorder is None:
            return self._step(volumes, labels)
        if self._taken <= _BEFORE:
            return self._recorder.alongside(lambda: self._step(volumes, labels))
        if self._inputs is None or self._loss is None:
            inputs = self._inputs = volumes.clone(), labels.clone()
            try:
                self._loss = self._recorder.record(lambda: self._step(*inputs))
            except Exception as error:
                if out_of_memory(error):
                    raise
                self._give_up(error)
                return self._step(volumes, labels)
        for mine, given in zip(self._inputs, (volumes, labels), strict=True):
            mine.copy_(given)
        self._recorder.replay()
        return self._loss.clone()

    def _give_up(self, error: Exception) -> None:
        self._recorder = self._inputs = None
        # Ending a recording fails again, of what has failed in it.
        first = error.__context__ if isinstance(error.__context__, Exception) else error
        reason = str(first).splitlines()[0] if str(first) else type(first).__name__
        self._warn(
            "the steps of this training cannot be recorded as a CUDA graph, so each of its "
            f"operators is handed to the GPU by itself, which is slower: {reason}"
        )


class CudaGraph:
    """Records on a CUDA device."""

    def __init__(self, device: torch.device) -> None:
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._graph = torch.cuda.CUDAGraph()

    def alongside(self, function: Callable[[], Tensor]) -> Tensor:
        """Do it in a stream of its own, which recording asks for."""
        outer = torch.cuda.current_stream(self._stream.device)
        self._stream.wait_stream(outer)
        with torch.cuda.stream(self._stream):
            result = function()
        outer.wait_stream(self._stream)
        return result

    def record(self, function: Callable[[], Tensor]) -> Tensor:
        """Record it."""
        with torch.cuda.graph(self._graph, stream=self._stream):
            return function()

    def replay(self) -> None:
        """Do it again."""
        self._graph.replay()
