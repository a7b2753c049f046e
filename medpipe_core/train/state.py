"""All that a training is between two steps, as one object of plain values and tensors."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, SupportsFloat

import torch

from medpipe_core.computing import Computing
from medpipe_core.data.batches import Batches
from medpipe_core.seeding import TorchStream, child_seed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor, nn

    from medpipe_core.data import LabelledVolumes
    from medpipe_core.data.batches import Hold
    from medpipe_core.train.settings import FitSettings


@dataclass(frozen=True)
class Best:
    """The epoch that did best on the validation volumes.

    Attributes:
        epoch: Which, from 1.
        rank: Its score, and its negative validation loss for ties.
        weights: The state of its network.
    """

    epoch: int
    rank: tuple[float, float]
    weights: dict[str, Tensor]


@dataclass(frozen=True)
class UntoldStep:
    """A step whose loss is on its way, and what is needed to say where one that is no number is of.

    Attributes:
        step: Its number, from 0.
        loss: The loss, to be taken as a float.
        given: The batch before its augmentation.
        augmented: The batch after it.
        drawn: State of the generator before that.
    """

    step: int
    loss: SupportsFloat
    given: Tensor
    augmented: Tensor
    drawn: Tensor


@dataclass
class FitState:
    """Everything a training is, between two steps.

    Attributes:
        network: The weights being trained.
        averaged: Running average of the weights, or None.
        optimiser: Adam.
        batches: Training batches.
        generator: Source of the augmentations' draws.
        stream: Source of what the network's own layers draw, such as dropout.
        computing: How steps are computed.
        scaler: Scales the loss in float16.
        step: Steps done; the learning rate follows from it.
        losses: Losses of the epoch under way.
        untold: Steps whose losses a GPU has not told yet.
        history: One row an epoch: `epoch`, `loss`, `lr`, and `validation_…` where it was scored.
        best: The best epoch so far, where the settings select it.
    """

    network: nn.Module
    averaged: nn.Module | None
    optimiser: torch.optim.Optimizer
    batches: Batches
    generator: torch.Generator
    stream: TorchStream
    computing: Computing
    scaler: torch.amp.GradScaler
    step: int = 0
    losses: list[float] = field(default_factory=list)
    untold: list[UntoldStep] = field(default_factory=list)
    history: list[dict[str, float]] = field(default_factory=list)
    best: Best | None = None

    @classmethod
    def start(
        cls,
        network: nn.Module,
        data: LabelledVolumes,
        *,
        settings: FitSettings,
        seed: int,
        device: torch.device | str,
        hold: Hold = "auto",
        computing: Computing | None = None,
    ) -> FitState:
        """Return the state before the first step.

        Args:
            network: The network; it is moved to the device.
            data: Training volumes.
            settings: How it is trained.
            seed: Seed of the order and of all draws, dropout's among them.
            device: Where it is trained.
            hold: Where volumes are held, as `Batches`.
            computing: Precision and micro-batch; float32 and whole batches by default.
        """
        network.to(device)
        on_gpu = torch.device(device).type == "cuda"
        optimiser = torch.optim.AdamW(
            network.parameters(),
            # A recorded step reads the rate where it lies.
            lr=torch.tensor(settings.lr, device=device) if on_gpu else settings.lr,
            weight_decay=settings.weight_decay,
            fused=True,
            capturable=on_gpu,
        )
        batches = Batches(
            data,
            batch_size=settings.batch_size,
            seed=child_seed(seed, "fit", "order"),
            device=device,
            hold=hold,
        )
        generator = torch.Generator()  # on the CPU, whatever the device: nothing waits for a draw
        generator.manual_seed(child_seed(seed, "fit", "augmentation"))
        stream = TorchStream(child_seed(seed, "fit", "torch"), device)
        averaged = copy.deepcopy(network) if settings.average else None
        computing = computing or Computing(torch.device(device))
        scaler = computing.scaler()
        return cls(network, averaged, optimiser, batches, generator, stream, computing, scaler)

    @property
    def result(self) -> nn.Module:
        """The network that counts: the averaged one, if there is one."""
        return self.network if self.averaged is None else self.averaged

    def state_dict(self) -> dict[str, Any]:
        """Return the state as plain values and tensors."""
        return {
            "network": self.network.state_dict(),
            "averaged": None if self.averaged is None else self.averaged.state_dict(),
            "optimiser": {"state": self.optimiser.state_dict()["state"]},
            "batches": self.batches.state_dict(),
            "generator": self.generator.get_state(),
            "stream": self.stream.state_dict(),
            "scaler": self.scaler.state_dict(),
            "step": self.step,
            "losses": [*self.losses, *(float(untold.loss) for untold in self.untold)],
            "history": [dict(row) for row in self.history],
            "best": None if self.best is None else {**vars(self.best)},
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a saved state."""
        self.network.load_state_dict(state["network"])
        if self.averaged is not None:
            self.averaged.load_state_dict(state["averaged"])
        # How it steps follows from the settings and the device.
        self.optimiser.load_state_dict(
            {**self.optimiser.state_dict(), "state": state["optimiser"]["state"]}
        )
        self.batches.load_state_dict(state["batches"])
        self.generator.set_state(state["generator"])
        self.stream.load_state_dict(state["stream"])
        self.scaler.load_state_dict(state["scaler"])
        self.step, self.losses, self.untold = state["step"], list(state["losses"]), []
        self.history = [dict(row) for row in state["history"]]
        best = state["best"]
        self.best = None if best is None else Best(**{**best, "rank": tuple(best["rank"])})
