"""What every model promises: a whole network that is not searched."""

from __future__ import annotations

from typing import Any

from medpipe_core.testing.checking import require
from medpipe_core.testing.modules import ModuleContract, given_factory


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
        """`(batch, in_channels, *space)` becomes `(batch, num_classes)`."""
        for size in self.sizes:
            volumes = self.batch(size=size)
            found = tuple(self.run(self.make().eval(), volumes).shape)
            require(
                found == (len(volumes), self.num_classes),
                f"{self.name} turns volumes {tuple(volumes.shape)} into {found}; it must give "
                f"(batch, num_classes), here ({len(volumes)}, {self.num_classes}), without softmax",
            )

    def factory(self) -> Any:
        """Return what makes the model."""
        return given_factory(self, "model")

    def call(self) -> Any:
        """Make a model."""
        arguments = {"in_channels": self.in_channels, "num_classes": self.num_classes}
        return self.factory()(**arguments, **self.parameters)
