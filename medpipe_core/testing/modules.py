"""What every module promises that a plugin makes: a block, or a whole model."""

from __future__ import annotations

import copy
import itertools
from typing import TYPE_CHECKING, Self

import pytest
import torch

from medpipe_core.seeding import seeded_init
from medpipe_core.testing.checking import ContractError, generator, in_words, require, same
from medpipe_core.testing.module_modes import ModeContract
from medpipe_core.testing.watching import Draws, global_seeds, global_state_kept, own_generators

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor, nn

_CUT = "Look for detach, .data, torch.no_grad, or a layer that forward does not use"
_STEP, _OF_GRADIENTS = 1e-6, 1e-3
_INIT = (
    "Draw first weights with torch.nn.init, or torch's own layers, from torch's global generator, "
    "which medpipe seeds for it: not with numpy or random, and never seed a generator"
)


class ModuleContract(ModeContract):
    """What blocks and models promise alike; inherit `BlockContract` or `ModelContract` instead.

    Attributes:
        parameters: Keyword arguments of the factory.
        in_channels: Channels of the volumes it is tried on.
        sizes: Spatial sizes it is tried on; the first is the usual one.
        idle_parameters: Names of parameters that no gradient needs to reach, or that are frozen.
        exact_gradients: Whether gradients are those of what it computes; False for one that hands
            gradients on as if it computed something else.
        random_in_training: Whether training mode draws other than dropout and drop path do, such as
            noise. It has to draw from torch's global generator.
    """

    idle_parameters: Sequence[str] = ()
    exact_gradients: bool = True

    def test_type_and_device_are_kept_and_values_are_finite(self) -> None:
        """Single and double precision stay what they are, in both modes, without NaN."""
        for one in self.variants():
            for size in one.sizes:
                for dtype in (torch.float32, torch.float64):
                    for training in (True, False):
                        module = one.make().to(dtype).train(training)
                        volumes = one.batch(size=size, dtype=dtype)
                        after = one.run(module, volumes)
                        mode = "training" if training else "evaluation"
                        require(
                            after.dtype == dtype and after.device == volumes.device,
                            f"{one.name} gives {after.dtype} on {after.device} for {dtype} on "
                            f"{volumes.device}, in {mode} mode. Make new tensors with "
                            "dtype=volumes.dtype, device=volumes.device, and register constants "
                            "with register_buffer",
                        )
                        require(
                            bool(after.isfinite().all()),
                            f"{one.name} gives NaN or infinity for volumes {tuple(volumes.shape)} "
                            f"in [0, 1], in {mode} mode. Look for a division or a logarithm that "
                            "meets 0",
                        )

    def test_the_input_is_not_changed(self) -> None:
        """What comes in is as it was, in training and in evaluation."""
        for one in self.variants():
            for training in (True, False):
                volumes = one.batch()
                before = volumes.clone()
                one.run(one.make().train(training), volumes)
                require(
                    same(volumes, before),
                    f"{one.name} writes into the volumes it is given. The first layer must not be "
                    "in place: nn.ReLU(), not nn.ReLU(inplace=True), and no methods that end in "
                    "'_'",
                )

    def test_gradients_reach_the_input_and_every_parameter(self) -> None:
        """Training it trains all of it, and what comes before it."""
        for one in (*self.variants(), *self._of_an_odd_number()):
            module, volumes = one.make().train(), one.batch(count=4)
            missing = one._without_gradient(module, volumes)
            require(
                not missing,
                f"{one.name} sends no finite gradient to {', '.join(missing)}. {_CUT}. What is not "
                "meant to be trained is a buffer (self.register_buffer(name, tensor)), or has its "
                "name in idle_parameters of the test",
            )

    def _of_an_odd_number(self) -> list[Self]:
        """Return the same for a channel more, unless it takes no such number, as groups do not."""
        one = self.varied(in_channels=self.in_channels + 1)
        try:
            one.make()
        except ContractError:
            return []
        return [one]

    def test_no_layer_is_frozen_by_mistake(self) -> None:
        """Every parameter is trained, and every layer in training mode, unless named as idle."""
        for one in self.variants():
            module = one.make().train()
            frozen = [name for name, p in module.named_parameters() if not p.requires_grad]
            frozen = [name for name in frozen if name not in one.idle_parameters]
            require(
                not frozen,
                f"{one.name} freezes {', '.join(frozen)}: no training changes it. Leave out "
                "requires_grad=False or requires_grad_(False); what is fixed on purpose is a "
                "buffer (self.register_buffer(name, tensor)), or has its name in idle_parameters "
                "of the test",
            )
            still = [
                name
                for name, part in module.named_modules()
                if not part.training
                and not all(
                    f"{name}.{of}".lstrip(".") in one.idle_parameters
                    for of, _ in part.named_parameters()
                )
            ]
            require(
                not still,
                f"{one.name} leaves {', '.join(still)} in evaluation mode where it is put into "
                "training mode. Call eval() on no layer, and let train() reach all of them; what "
                "is frozen on purpose has its parameters' names in idle_parameters of the test",
            )

    def test_gradients_are_those_of_finite_differences(self) -> None:
        """In evaluation mode and double precision the gradient of its input is right."""
        if not self.exact_gradients:
            pytest.skip("exact_gradients = False")
        for one in self.variants():
            module = one.trained().double().eval()
            volumes = one.batch(count=2, dtype=torch.float64).requires_grad_()
            after = one.run(module, volumes)
            drawn = torch.rand(after.shape, generator=generator(5), dtype=torch.float64) - 0.5
            (given,) = torch.autograd.grad((after * drawn).sum(), volumes)
            way = torch.rand(volumes.shape, generator=generator(6), dtype=torch.float64) - 0.5
            with torch.no_grad():
                ahead, behind = (one.run(module, volumes + s * _STEP * way) for s in (1, -1))
            measured = float(((ahead - behind) * drawn).sum() / (2 * _STEP))
            told = float((given * way).sum())
            require(
                abs(told - measured) <= _OF_GRADIENTS * max(abs(told), abs(measured), 1e-3),
                f"{one.name} has the slope {told:.5g} by its gradient, but {measured:.5g} by "
                "finite differences. Look for a hook on a tensor, detach, .data, or a backward "
                "pass of its own. If that is what it is for, as with a straight-through estimator, "
                "set exact_gradients = False in the test",
            )

    def test_every_parameter_has_an_effect(self) -> None:
        """Away from the first weights no parameter's gradient is 0 everywhere."""
        for one in self.variants():
            module, volumes = one.make().double().train(), one.batch(count=4, dtype=torch.float64)
            with torch.no_grad():
                for seed, parameter in enumerate(module.parameters()):
                    drawn = torch.rand(parameter.shape, generator=generator(seed))
                    parameter.add_(0.2 * drawn.to(parameter))
            one._without_gradient(module, volumes)
            still = [
                name
                for name, parameter in module.named_parameters()
                if parameter.requires_grad
                and name not in one.idle_parameters
                and parameter.grad is not None
                and not bool(parameter.grad.any())
            ]
            require(
                not still,
                f"{one.name} gives the same whatever {', '.join(still)} may be: the gradient is 0 "
                f"everywhere, so training changes nothing of it. {_CUT}, or that is multiplied by "
                "0",
            )

    def test_its_state_is_all_in_its_state_dict(self) -> None:
        """A fresh module that loads the state of a trained one computes the same bits."""
        for one in self.variants():
            trained, volumes = one.trained().eval(), one.batch()
            state = {name: value.clone() for name, value in trained.state_dict().items()}
            fresh = one.make(seed=1).eval()
            with in_words(f"{one.name} cannot load its own state_dict."):
                fresh.load_state_dict(state)
            require(
                same(one.run(fresh, volumes), one.run(trained, volumes)),
                f"{one.name} computes something else after load_state_dict(state_dict()) than "
                "before: a part of its state is a plain attribute. Make it an nn.Parameter, or a "
                "buffer with self.register_buffer(name, tensor), and change buffers in place "
                "(copy_, add_)",
            )

    def test_nothing_but_its_state_is_kept_between_calls(self) -> None:
        """After other volumes and other weights, or as another type, it computes as a fresh one."""
        for one in self.variants():
            for size, training, dtype in itertools.product(
                one.sizes, (True, False), (torch.float32, torch.float64)
            ):
                used = one.make().train(training)
                one._differentiated(used, one.batch(size=size, seed=1))
                with in_words(f"{one.name} cannot load its own state_dict."):
                    used.load_state_dict(one.make(seed=1).state_dict())
                    fresh = one.make(seed=2).train(training)
                    fresh.load_state_dict(used.state_dict())
                volumes = one.batch(size=size, seed=2, dtype=dtype)
                found, expected = (
                    one._differentiated(module.to(dtype), volumes) for module in (used, fresh)
                )
                require(
                    all(map(same, found, expected)),
                    f"{one.name} computes something else than a fresh one with the same weights "
                    f"once it has seen other volumes of the shape {tuple(volumes.shape)}, "
                    f"{'as float64, ' if dtype == torch.float64 else ''}in "
                    f"{'training' if training else 'evaluation'} mode. Keep nothing by shape that "
                    "follows from volumes, weights or type: compute it each time, or let the "
                    "cache ask for all of these",
                )

    def test_a_copy_stands_alone(self) -> None:
        """A deep copy, which a frozen network is, computes the same, whatever the original does."""
        for one in self.variants():
            module, volumes = one.trained().eval(), one.batch()
            expected = one.run(module, volumes)
            one.run(module, volumes.clone().requires_grad_() * 1)  # as within a network
            with in_words(f"{one.name} cannot be copied, as a frozen network is."):
                frozen = copy.deepcopy(module)
            with torch.no_grad():
                for value in module.state_dict().values():
                    value.zero_()
            require(
                same(one.run(frozen, volumes), expected),
                f"a deep copy of {one.name} computes something else once the original's weights "
                "change: it still uses these. Keep no lambda, partial or bound method of self in "
                "an attribute; define methods of the class instead",
            )

    def test_first_weights_follow_from_the_seed(self) -> None:
        """Torch's seed alone gives the first weights, and no generator is seeded for them."""
        for one in self.variants():
            states = []
            for seed in (1, 2):
                with global_seeds(seed):
                    states.append(one.make(seed=0).state_dict())
            changed = [name for name in states[0] if not same(states[0][name], states[1][name])]
            require(
                not changed,
                f"{one.name} has other first weights under the same seed: {', '.join(changed)}. "
                f"{_INIT}",
            )
            one._no_seeding_in_the_constructor()

    def _without_gradient(self, module: nn.Module, volumes: Tensor) -> list[str]:
        """Differentiate; return the parameters that no finite gradient reaches."""
        volumes = volumes.requires_grad_()
        after = self.run(module, volumes)
        require(after.requires_grad, f"{self.name} cuts every gradient. {_CUT}")
        weights = torch.rand(after.shape, generator=generator(3)) - 0.5
        with in_words(f"{self.name} cannot be differentiated."):
            (after * weights.to(after)).sum().backward()  # type: ignore[no-untyped-call]
        gradient = torch.zeros_like(volumes) if volumes.grad is None else volumes.grad
        reached = bool(gradient.any())
        require(reached, f"{self.name} sends no gradient to its input. {_CUT}")
        alone = [n for n, part in enumerate(gradient.unbind(1)) if not bool(part.any())]
        require(
            not alone,
            f"{self.name} sends no gradient to channel {', '.join(map(str, alone))} of the "
            f"{volumes.shape[1]} that come in: what they hold has no effect. Use all of them",
        )
        return [
            name
            for name, parameter in module.named_parameters()
            if parameter.requires_grad
            and name not in self.idle_parameters
            and (parameter.grad is None or not bool(parameter.grad.isfinite().all()))
        ]

    def _differentiated(self, module: nn.Module, volumes: Tensor) -> tuple[Tensor, Tensor]:
        """Return what comes out, and the gradient of the input."""
        volumes = volumes.clone().requires_grad_()
        after = self.run(module, volumes)
        weights = torch.rand(after.shape, generator=generator(3)) - 0.5
        with in_words(
            f"{self.name} cannot be differentiated, or not a second time. Keep no result of an "
            "earlier call."
        ):
            (gradient,) = torch.autograd.grad((after * weights.to(after)).sum(), volumes)
        return after.detach(), gradient

    def _no_seeding_in_the_constructor(self) -> None:
        """Fail if the constructor seeds a generator, or uses one that torch's seed does not."""
        name, drawn, ended = self.name, [], []
        for seed in (11, 12):
            with (
                global_seeds(97),
                global_state_kept(f"making {name}", _INIT),
                own_generators() as others,
                seeded_init(seed),
                Draws() as draws,
            ):
                self.call()
                ended.append(torch.initial_seed())
            drawn.append(draws.seeds)
            require(not others, f"the constructor of {name} makes a {', '.join(others)}. {_INIT}")
        fixed = sum(one == other for one, other in zip(*drawn, strict=False))
        require(
            not fixed,
            f"the constructor of {name} draws {fixed} of its {len(drawn[0])} random tensors from a "
            f"generator that is seeded the same whatever torch's seed is, so that blocks are alike "
            f"and seeds of a run do not matter. {_INIT}",
        )
        require(
            ended == [11, 12],
            f"the constructor of {name} seeds torch's global generator, so that whatever is made "
            f"after it has the same first weights each time. {_INIT}",
        )
