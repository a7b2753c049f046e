"""Making and running a module under test: a block, or a whole model."""

from __future__ import annotations

import contextlib
import copy
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from medpipe_core.seeding import seeded_init
from medpipe_core.testing.checking import given, in_words, require, same, sample_volumes
from medpipe_core.testing.watching import global_seeds

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Self


class ModuleRuns:
    """What the contracts of modules are run with; also for tests of your own.

    See `ModuleContract` for the attributes.
    """

    parameters: Mapping[str, Any] = {}
    in_channels: int = 4
    sizes: tuple[tuple[int, ...], ...] = ((5, 6, 7), (3, 1, 9), (1, 1, 1))

    @property
    def name(self) -> str:
        """Name of what is tested, with its parameters, for messages."""
        found = self.factory()
        name = getattr(found, "__name__", type(found).__name__)
        shown = ", ".join(f"{key}={value!r}" for key, value in self.parameters.items())
        return f"{name}({shown})" if shown else str(name)

    def factory(self) -> Any:
        """Return what makes the module."""
        raise NotImplementedError

    def call(self) -> Any:
        """Call the factory."""
        raise NotImplementedError

    def variants(self) -> list[Self]:
        """Return the contract for each of the parameters that it is tried with."""
        return [self]

    def varied(self, **attributes: Any) -> Self:
        """Return the contract with other attributes."""
        other = copy.copy(self)
        vars(other).update(attributes)
        return other

    def make(self, seed: int = 0) -> nn.Module:
        """Make the module, its first weights from a seed."""
        __tracebackhide__ = True
        with (
            in_words(
                f"{self.name} cannot be made. It is handed what the test says in `parameters`, and "
                "of a block every value that its class declares: let it take each of them by name."
            ),
            seeded_init(seed),
        ):
            made = self.call()
        require(
            isinstance(made, nn.Module),
            f"{self.name} makes a {type(made).__name__}; derive it from torch.nn.Module",
        )
        return made  # type: ignore[no-any-return]

    def trained(self) -> nn.Module:
        """Make the module and let it see a few batches in training mode, without an optimiser."""
        module = self.make().train()
        with torch.no_grad():
            for seed in range(3):
                self.run(module, self.batch(seed=seed), seed=seed)
        return module

    def batch(
        self,
        *,
        count: int = 3,
        size: Sequence[int] | None = None,
        seed: int = 7,
        dtype: torch.dtype = torch.float32,
    ) -> Tensor:
        """Return volumes to try it on, `(count, in_channels, *size)` in [0, 1]."""
        size = size or self.sizes[0]
        return sample_volumes(count, self.in_channels, size, seed=seed, dtype=dtype)

    def run(self, module: nn.Module, volumes: Tensor, *, seed: int | None = 0) -> Tensor:
        """Run the module forward.

        Args:
            module: The module.
            volumes: `(batch, in_channels, *space)`.
            seed: What the global generators are seeded with for it, and put back after; None
                leaves them alone.
        """
        __tracebackhide__ = True
        fence = contextlib.nullcontext() if seed is None else global_seeds(seed)
        with (
            in_words(
                f"{self.name} cannot take volumes {tuple(volumes.shape)} of {volumes.dtype}. If it "
                "is not meant for such volumes, set sizes or in_channels in the test."
            ),
            fence,
        ):
            after = module(volumes)
        require(
            isinstance(after, Tensor), f"{self.name} gives a {type(after).__name__}, not a tensor"
        )
        return after  # type: ignore[no-any-return]


def state_of(module: nn.Module) -> dict[str, Tensor]:
    """Return copies of all parameters and buffers, those outside the state_dict included."""
    named = (*module.named_parameters(), *module.named_buffers())
    return {name: value.detach().clone() for name, value in named}


def moved(module: nn.Module, before: Mapping[str, Tensor]) -> str:
    """Name the parameters and buffers that are not as they were."""
    now = state_of(module)
    names = {*before, *now}
    return ", ".join(
        name
        for name in sorted(names)
        if name not in now or name not in before or not same(now[name], before[name])
    )


def given_factory(contract: object, name: str) -> Any:
    """Return the factory that the author set; a class or a function."""
    __tracebackhide__ = True
    found = given(contract, name)
    require(callable(found), f"{name} = {found!r} is not callable; give a class or a function")
    return found
