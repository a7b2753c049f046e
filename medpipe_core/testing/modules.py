"""What every module promises that a plugin makes: a block, or a whole model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import Tensor, nn

from medpipe_core.seeding import seeded_init
from medpipe_core.testing.checking import (
    close,
    generator,
    given,
    global_seeds,
    global_state_kept,
    in_words,
    require,
    same,
    sample_volumes,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class ModuleContract:
    """What blocks and models promise alike; inherit `BlockContract` or `ModelContract` instead.

    Attributes:
        parameters: Keyword arguments of the factory.
        in_channels: Channels of the volumes it is tried on.
        sizes: Spatial sizes it is tried on; the first is the usual one.
        idle_parameters: Names of parameters that no gradient needs to reach.
        random_in_training: Whether training mode draws, as dropout does.
    """

    parameters: Mapping[str, Any] = {}
    in_channels: int = 4
    sizes: tuple[tuple[int, ...], ...] = ((5, 6, 7), (3, 1, 9), (1, 1, 1))
    idle_parameters: Sequence[str] = ()
    random_in_training: bool = False

    def test_type_and_device_are_kept_and_values_are_finite(self) -> None:
        """Single and double precision stay what they are, in both modes, without NaN."""
        for size in self.sizes:
            for dtype in (torch.float32, torch.float64):
                for training in (True, False):
                    module = self.make().to(dtype).train(training)
                    volumes = self.batch(size=size).to(dtype)
                    after = self.run(module, volumes)
                    mode = "training" if training else "evaluation"
                    require(
                        after.dtype == dtype and after.device == volumes.device,
                        f"{self.name} gives {after.dtype} on {after.device} for {dtype} on "
                        f"{volumes.device}, in {mode} mode. Make new tensors with "
                        "dtype=volumes.dtype, device=volumes.device, and register constants with "
                        "register_buffer",
                    )
                    require(
                        bool(after.isfinite().all()),
                        f"{self.name} gives NaN or infinity for volumes {tuple(volumes.shape)} in "
                        f"[0, 1], in {mode} mode. Look for a division or a logarithm that meets 0",
                    )

    def test_the_input_is_not_changed(self) -> None:
        """What comes in is as it was, in training and in evaluation."""
        for training in (True, False):
            volumes = self.batch()
            before = volumes.clone()
            self.run(self.make().train(training), volumes)
            require(
                same(volumes, before),
                f"{self.name} writes into the volumes it is given. The first layer must not be "
                "in place: nn.ReLU(), not nn.ReLU(inplace=True), and no methods that end in '_'",
            )

    def test_gradients_reach_the_input_and_every_parameter(self) -> None:
        """Training it trains all of it, and what comes before it."""
        module, volumes = self.make().train(), self.batch(count=4).requires_grad_()
        after = self.run(module, volumes)
        cut = "Look for detach, .data, torch.no_grad, or a layer that forward does not use"
        require(after.requires_grad, f"{self.name} cuts every gradient. {cut}")
        weights = torch.rand(after.shape, generator=generator(3)) - 0.5
        (after * weights).sum().backward()  # type: ignore[no-untyped-call]
        reached = volumes.grad is not None and bool(volumes.grad.any())
        require(reached, f"{self.name} sends no gradient to its input. {cut}")
        idle = [
            name
            for name, parameter in module.named_parameters()
            if parameter.requires_grad
            and name not in self.idle_parameters
            and (parameter.grad is None or not bool(parameter.grad.isfinite().all()))
        ]
        require(
            not idle,
            f"{self.name} sends no finite gradient to {', '.join(idle)}. {cut}. What is not meant "
            "to be trained gets requires_grad_(False), or its name in idle_parameters of the test",
        )

    def test_evaluation_repeats_itself_volume_by_volume(self) -> None:
        """In evaluation mode the same comes out again, alone or in a batch, and no state moves."""
        for size in self.sizes:
            module, volumes = self.trained().eval(), self.batch(size=size)
            before = {name: value.clone() for name, value in module.state_dict().items()}
            with global_state_kept(
                f"{self.name} in evaluation mode", "Draw in training mode alone, as nn.Dropout does"
            ):
                once = self.run(module, volumes)
            with global_seeds(1):
                again = self.run(module, volumes)
            require(
                same(once, again),
                f"{self.name} gives another result for the same volumes in evaluation mode. Draw, "
                "and update statistics, in training mode alone (`if self.training:`)",
            )
            alone = torch.cat([self.run(module, volumes[row : row + 1]) for row in range(3)])
            require(
                close(alone, once),
                f"{self.name} gives a volume another result alone than within a batch, in "
                "evaluation mode. Use no statistics of the batch there, as batch normalisation "
                "with track_running_stats=False would",
            )
            moved = [n for n, value in module.state_dict().items() if not same(value, before[n])]
            require(
                not moved,
                f"{self.name} changes {', '.join(moved)} in evaluation mode. Update buffers in "
                "training mode alone (`if self.training:`)",
            )

    def test_its_state_is_all_in_its_state_dict(self) -> None:
        """A fresh module that loads the state of a trained one computes the same bits."""
        trained, volumes = self.trained().eval(), self.batch()
        state = {name: value.clone() for name, value in trained.state_dict().items()}
        fresh = self.make(seed=1).eval()
        with in_words(f"{self.name} cannot load its own state_dict."):
            fresh.load_state_dict(state)
        require(
            same(self.run(fresh, volumes), self.run(trained, volumes)),
            f"{self.name} computes something else after load_state_dict(state_dict()) than before: "
            "a part of its state is a plain attribute. Make it an nn.Parameter, or a buffer with "
            "self.register_buffer(name, tensor), and change buffers in place (copy_, add_)",
        )

    def test_first_weights_follow_from_the_seed(self) -> None:
        """The same seed gives the same weights, whatever numpy's and Python's generators say."""
        states = []
        for seed in (1, 2):
            with global_seeds(seed):
                states.append(self.make(seed=0).state_dict())
        with global_state_kept(self.name, "Initialise with torch.nn.init alone"):
            self.make(seed=0)
        moved = [name for name in states[0] if not same(states[0][name], states[1][name])]
        require(
            not moved,
            f"{self.name} has other first weights under the same seed: {', '.join(moved)}. Draw "
            "them with torch.nn.init, or torch's own layers, not with numpy, random or the clock",
        )

    def test_training_mode_draws_nothing_from_global_generators(self) -> None:
        """The forward pass repeats itself in training mode, unless `random_in_training`."""
        if self.random_in_training:
            pytest.skip("random_in_training = True")
        volumes = self.batch()
        with global_state_kept(
            f"{self.name} in training mode",
            "If it draws on purpose, as dropout does, set random_in_training = True in the test",
        ):
            self.run(self.make().train(), volumes)

    # For tests of your own

    @property
    def name(self) -> str:
        """Name of what is tested, for messages."""
        found = self.factory()
        return getattr(found, "__name__", type(found).__name__)

    def factory(self) -> Any:
        """Return what makes the module."""
        raise NotImplementedError

    def call(self) -> Any:
        """Call the factory."""
        raise NotImplementedError

    def make(self, seed: int = 0) -> nn.Module:
        """Make the module, its first weights from a seed."""
        __tracebackhide__ = True
        with (
            in_words(f"{self.name} cannot be made with {dict(self.parameters)}."),
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
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            for seed in range(3):
                self.run(module, self.batch(seed=seed))
        return module

    def batch(self, *, count: int = 3, size: Sequence[int] | None = None, seed: int = 7) -> Tensor:
        """Return volumes to try it on, `(count, in_channels, *size)` in [0, 1]."""
        return sample_volumes(count, self.in_channels, size or self.sizes[0], seed=seed)

    def run(self, module: nn.Module, volumes: Tensor) -> Tensor:
        """Run the module forward."""
        __tracebackhide__ = True
        with in_words(
            f"{self.name} cannot take volumes {tuple(volumes.shape)} of {volumes.dtype}. If it is "
            "not meant for such volumes, set sizes or in_channels in the test."
        ):
            after = module(volumes)
        require(
            isinstance(after, Tensor), f"{self.name} gives a {type(after).__name__}, not a tensor"
        )
        return after  # type: ignore[no-any-return]


def given_factory(contract: object, name: str) -> Any:
    """Return the factory that the author set; a class or a function."""
    __tracebackhide__ = True
    found = given(contract, name)
    require(callable(found), f"{name} = {found!r} is not callable; give a class or a function")
    return found
