"""Upper limits on the networks that a space may decide for."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from medpipe_core.space.errors import SpaceError


@dataclass(frozen=True)
class Budget:
    """Upper limits on the network that a genotype describes; None where there is none.

    Attributes:
        parameters: Most trainable numbers.
        multiply_adds: Most multiply-adds for one volume, forward.
    """

    parameters: int | None = None
    multiply_adds: int | None = None

    def __post_init__(self) -> None:
        for name, limit in asdict(self).items():
            if limit is not None and (type(limit) is not int or limit < 1):
                raise SpaceError(f"budget: {name} must be a positive integer, but is {limit!r}")
