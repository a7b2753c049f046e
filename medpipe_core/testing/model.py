"""What every model promises: a whole network that is not searched."""

from __future__ import annotations

from typing import Any

import torch

from medpipe_core.testing.checking import close, require
from medpipe_core.testing.module_runs import given_factory
from medpipe_core.testing.modules import ModuleContract

_LARGE = 20


class ModelContract(ModuleContract):
    """What every model promises; inherit it, and say which model is meant.

    Attributes:
        model: The class or function, called as `model(in_channels=…, num_classes=…,
            **parameters)`, or an import string.
        num_classes: Logits of a volume.

    See `ModuleContract` for the rest: `parameters`, `in_channels`, `sizes`, `idle_parameters`,
    `random_in_training`.

    Example:
        >>> import torch
        >>> def linear(*, in_channels, num_classes):
        ...     layers = torch.nn.AdaptiveAvgPool3d(1), torch.nn.Flatten()
        ...     return torch.nn.Sequential(*layers, torch.nn.Linear(in_channels, num_classes))
        >>> class TestLinear(ModelContract):
        ...     model = linear
        >>> TestLinear().test_it_gives_one_logit_for_each_class()
    """

    model: Any = None
    num_classes: int = 3
    in_channels: int = 1
    sizes: tuple[tuple[int, ...], ...] = ((16, 17, 18),)

    def test_it_gives_one_logit_for_each_class(self) -> None:
        """`(batch, in_channels, *space)` becomes `(batch, num_classes)`, whatever these are."""
        for one in (self, self.varied(in_channels=self.in_channels + 2, num_classes=5)):
            for size in one.sizes:
                for training in (True, False):
                    volumes = one.batch(size=size)
                    found = tuple(one.run(one.make().train(training), volumes).shape)
                    require(
                        found == (len(volumes), one.num_classes),
                        f"{one.name} turns volumes {tuple(volumes.shape)} into {found}; it must "
                        f"give (batch, num_classes), here ({len(volumes)}, {one.num_classes}), "
                        "without softmax",
                    )

    def test_it_gives_logits_and_not_probabilities(self) -> None:
        """What it gives for a volume is not normalised to a sum of 1."""
        for size in self.sizes:
            logits = self.run(self.trained().eval(), self.unlike(size, torch.float64).float())
            sums = logits.sum(1), logits.exp().sum(1)
            require(
                not any(close(found, torch.ones_like(found)) for found in sums),
                f"{self.name} gives probabilities, or their logarithms: those of each volume sum "
                "to 1. Leave softmax out; the loss and the figures apply it",
            )
            module = self.trained().eval()
            with torch.no_grad():
                for parameter in module.parameters():
                    parameter.mul_(_LARGE)
                logits = self.run(module, self.unlike(size, torch.float64).float())
            require(
                not (float(logits.min()) >= 0 and float(logits.max()) <= 1),
                f"{self.name} gives numbers in [0, 1] even where its weights are {_LARGE} times as "
                "large, as a sigmoid at its end does. Leave it out; the loss and the figures turn "
                "logits into probabilities",
            )

    def factory(self) -> Any:
        """Return what makes the model."""
        return given_factory(self, "model")

    def call(self) -> Any:
        """Make a model."""
        arguments = {"in_channels": self.in_channels, "num_classes": self.num_classes}
        return self.factory()(**arguments, **self.parameters)
