"""What every module promises about its modes: training, evaluation, with gradients or without."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd

from medpipe_core.testing.checking import close, in_words, require, same
from medpipe_core.testing.module_runs import ModuleRuns, moved, state_of
from medpipe_core.testing.watching import (
    GRADIENT_MODES,
    Draws,
    MeanDropout,
    global_seeds,
    global_state_kept,
    own_generators,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractContextManager
    from typing import Any

_MOST_PASSES = 100  # after which a running mean of momentum 0.1 is within 3e-5 of what it follows
_MEAN_OF = 64
_NEARLY = 0.01  # relative; exact but for rounding where statistics are batch normalisation's
_ROUGHLY = 0.1  # where they are of another kind
_IN_BFLOAT16 = 0.3
_ON_AVERAGE = 0.5  # where training draws something that cannot be replaced by its mean


class ModeContract(ModuleRuns):
    """The half of `ModuleContract` that is about training, evaluation and gradients."""

    random_in_training: bool = False

    def test_evaluation_repeats_itself_volume_by_volume(self) -> None:
        """In evaluation mode the same comes out again, alone or in any batch; nothing moves."""
        for one in self.variants():
            for size in one.sizes:
                for dtype in (torch.float32, torch.float64):
                    one._repeats(one.trained().to(dtype).eval(), one.unlike(size, dtype))

    def test_evaluation_computes_what_training_does(self) -> None:
        """Statistics and dropout apart, evaluation mode is the same function as training mode."""
        for one in self.variants():
            for size in one.sizes:
                shapes = [
                    tuple(one.run(one.make().train(mode), one.batch(size=size)).shape)
                    for mode in (True, False)
                ]
                require(
                    shapes[0] == shapes[1],
                    f"{one.name} turns volumes of size {tuple(size)} into {shapes[0]} in training "
                    f"mode, but into {shapes[1]} in evaluation mode. Let both modes run the same "
                    "layers",
                )
            one._agrees(one.make(), one.batch(count=6))

    def test_evaluation_leaves_no_trace(self) -> None:
        """Training goes on after an evaluation as if there had been none."""
        for one in self.variants():
            volumes, results, states = one.batch(), [], []
            for evaluates in (False, True):
                module = one.trained()
                if evaluates:
                    with torch.no_grad():
                        one.run(module.eval(), one.batch(seed=3))
                results.append(one.run(module.train(), volumes))
                states.append(state_of(module))
            require(
                same(*results) and not moved(module, states[0]),
                f"{one.name} trains on differently after an evaluation. Change nothing, counters "
                "and plain attributes included, but in training mode (`if self.training:`)",
            )

    def test_recording_gradients_makes_no_difference(self) -> None:
        """With gradients, under no_grad and in inference_mode it computes and learns the same."""
        for one in self.variants():
            for training in (True, False):
                expected, state = one._in_mode(training, torch.enable_grad, asks=False)
                for words, mode, asks in GRADIENT_MODES:
                    found, after = one._in_mode(training, mode, asks=asks)
                    require(
                        close(found, expected)
                        and all(close(after[name].to(state[name]), state[name]) for name in state),
                        f"{one.name} computes something else {words} than otherwise, in "
                        f"{'training' if training else 'evaluation'} mode. Ask self.training "
                        "whether it is trained, not torch.is_grad_enabled() or requires_grad",
                    )

    def test_it_runs_in_mixed_precision(self) -> None:
        """Under torch.autocast, which `precision` switches on, it computes about the same."""
        for one in self.variants():
            for training in (True, False):
                volumes = one.batch(count=6)
                with torch.no_grad():
                    # A block that hands on what it gets would hand on these very volumes.
                    expected = one.run(one.make().train(training), volumes).clone()
                with in_words(f"{one.name} fails under torch.autocast."):
                    module = one.make().train(training)
                    with torch.autocast("cpu", dtype=torch.bfloat16):
                        found = one.run(module, volumes.clone().requires_grad_())
                    found.float().sum().backward()  # type: ignore[no-untyped-call]
                spread = (expected - expected.mean()).norm().clamp_min(1e-6)
                apart = float((found.detach().float() - expected).norm() / spread)
                require(
                    apart < _IN_BFLOAT16,
                    f"{one.name} is apart by {apart:.0%} of the spread from what it computes in "
                    "float32, under torch.autocast in bfloat16. Ask no dtype, and let torch's own "
                    "layers decide which type they run in",
                )

    def test_what_training_draws_follows_from_torchs_seed(self) -> None:
        """Training repeats itself under a seed; it draws for dropout, or `random_in_training`."""
        for one in self.variants():
            name = f"{one.name} in training mode"
            results, seeds, drawn = [], [], []
            for seed in (21, 22, 21):
                module, volumes = one.make().train(), one.batch()
                with (
                    global_seeds(seed),
                    global_state_kept(name, "Draw with torch, as dropout does", but="torch"),
                    own_generators() as others,
                    Draws() as draws,
                ):
                    results.append(one.run(module, volumes, seed=None))
                    seeds.append([*draws.seeds, torch.initial_seed()])
                drawn += draws.others
                require(not others, f"{name} makes a {', '.join(others)}. Draw with torch")
            require(
                not any(a == b for a, b in zip(seeds[0], seeds[1], strict=False)),
                f"{name} seeds a generator, or draws from one that is always seeded the same, so "
                "that every step draws alike, and so does what comes after it. Draw from torch's "
                "global generator, as nn.Dropout does; medpipe seeds it",
            )
            require(
                same(results[0], results[2]),
                f"{name} gives another result under the same torch.manual_seed. Draw from torch's "
                "global generator alone, as nn.Dropout does",
            )
            require(
                not drawn or one.random_in_training,
                f"{name} draws by {', '.join(sorted(set(drawn)))}, which is neither dropout nor "
                "drop path. If that is on purpose, as noise would be, set random_in_training = "
                "True in the test",
            )

    # For tests of your own

    def unlike(self, size: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        """Return six volumes that differ much in mean and contrast."""
        volumes = self.batch(count=6, size=size, dtype=dtype)
        scale = torch.tensor([1.0, 0.1, 0.5, 1.0, 0.02, 0.8], dtype=dtype)
        shift = torch.tensor([0.0, 0.0, 0.5, 0.0, 0.9, 0.1], dtype=dtype)
        scale, shift = (each.view(-1, *[1] * (volumes.ndim - 1)) for each in (scale, shift))
        return volumes * scale + shift

    def _repeats(self, module: nn.Module, volumes: Tensor) -> None:
        before = state_of(module)
        with global_state_kept(
            f"{self.name} in evaluation mode", "Draw in training mode alone, as nn.Dropout does"
        ):
            once = self.run(module, volumes, seed=None)
        again = self.run(module, volumes, seed=1)
        require(
            same(once, again),
            f"{self.name} gives another result for the same volumes in evaluation mode. Draw, "
            "and update statistics, in training mode alone (`if self.training:`)",
        )
        for rows in (*([row] for row in range(6)), [0, 5], [1, 2, 3, 4], [5, 4, 3, 2, 1, 0]):
            require(
                close(self.run(module, volumes[rows]), once[rows]),
                f"{self.name} gives a volume another result alone, or in another batch, than "
                "within its batch, in evaluation mode. Use no statistics of the batch there, as "
                "batch normalisation with track_running_stats=False would",
            )
        changed = moved(module, before)
        require(
            not changed,
            f"{self.name} changes {changed} in evaluation mode. Update buffers in training mode "
            "alone (`if self.training:`)",
        )

    def _in_mode(
        self, training: bool, mode: Callable[[], AbstractContextManager[Any]], *, asks: bool
    ) -> tuple[Tensor, Mapping[str, Tensor]]:
        module, volumes = self.trained().train(training), self.batch().requires_grad_(asks)
        with mode():
            after = self.run(module, volumes)
            return after.detach().clone(), state_of(module)

    def _agrees(self, module: nn.Module, volumes: Tensor) -> None:
        """Fail unless both modes agree once running statistics are those of the volumes."""
        with torch.no_grad(), MeanDropout() as dropout:
            expected, counts = self._settled(module.train(), volumes)
        norms = [layer for layer in module.modules() if isinstance(layer, _BatchNorm)]
        known = {id(buffer) for layer in norms for buffer in layer.buffers()}
        others = [b for b in module.buffers() if b.is_floating_point() and id(b) not in known]
        tolerance = _ROUGHLY if others else _NEARLY
        with torch.no_grad():
            if dropout.others:
                twin, tolerance = copy.deepcopy(module), _ON_AVERAGE
                drawn = [self.run(twin, volumes, seed=seed) for seed in range(_MEAN_OF)]
                expected = torch.stack(drawn).mean(0)
            for layer in norms:
                if layer.running_var is not None and layer in counts:
                    # Running variances are unbiased, what training divides by is not.
                    layer.running_var.mul_((counts[layer] - 1) / counts[layer])
            found = self.run(module.eval(), volumes)
        spread = (expected - expected.mean()).norm().clamp_min(1e-6)
        apart = float((found - expected).norm() / spread)
        require(
            apart < tolerance,
            f"{self.name} computes something else in evaluation mode than in training mode: with "
            "running statistics brought to those of the batch, and dropout at its mean, results "
            f"are apart by {apart:.0%} of their spread. Look for a branch, a residual or a factor "
            "that one mode leaves out; only dropout and batch statistics may ask self.training",
        )

    def _settled(self, module: nn.Module, volumes: Tensor) -> tuple[Tensor, dict[nn.Module, int]]:
        """Train on the same volumes until no statistic moves; return what comes out last."""
        counts: dict[nn.Module, int] = {}
        for layer in module.modules():
            if isinstance(layer, _DropoutNd):
                layer.p = 0.0
            if isinstance(layer, _BatchNorm):
                layer.momentum = 1.0
                layer.register_forward_pre_hook(
                    lambda layer, given: counts.update(
                        {layer: given[0].numel() // given[0].shape[1]}
                    )
                )
        after = self.run(module, volumes)
        for _ in range(_MOST_PASSES):
            before = state_of(module)
            after = self.run(module, volumes)
            now = state_of(module)
            if all(close(now[n], before[n]) for n in now if now[n].is_floating_point()):
                break
        return after, counts
