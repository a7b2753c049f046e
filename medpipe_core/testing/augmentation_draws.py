"""What every augmentation promises about its magnitudes and what it draws."""

from __future__ import annotations

import inspect
import itertools
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import Tensor

from medpipe_core.supernet import Augmentation
from medpipe_core.testing.checking import (
    generator,
    given,
    in_words,
    require,
    same,
    sample_volumes,
)
from medpipe_core.testing.covering import every_value
from medpipe_core.testing.watching import global_seeds, global_state_kept

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_MOST_COMBINATIONS = 32
_NO_GLOBAL = (
    "Draw everything in `draw`, from the generator it is handed: pass generator=generator to "
    "torch's functions, and use neither numpy's nor Python's random module"
)


class DrawContract:
    """The half of `AugmentationContract` that is about magnitudes and draws."""

    operation: Any = None
    channels: int = 2
    sizes: tuple[tuple[int, ...], ...] = ((5, 6, 7), (9, 1, 4), (1, 1, 1))
    random: bool = True
    examples: Sequence[Mapping[str, Any]] = ()

    def test_it_is_made_without_arguments(self) -> None:
        """The operation can be made as a space makes it that fixes no parameter."""
        self.make()

    def test_magnitudes_are_declared_and_taken(self) -> None:
        """What is declared as a `ValueChoice` is what `draw` takes, by name."""
        operation = self.make()
        declared = set(operation.magnitudes())
        taken, any_name = _taken(operation)
        undeclared = ", ".join(sorted(taken - declared))
        require(
            not undeclared,
            f"{self.name}.draw takes {undeclared}, which is not declared, so no space offers it. "
            f"Declare it in the class, as in {undeclared.split(', ')[0]} = ValueChoice(0.1, 0.2), "
            "or make it a parameter of the constructor",
        )
        ignored = ", ".join(sorted(declared - taken))
        require(
            any_name or not ignored,
            f"{self.name} declares {ignored}, which draw does not take. Add it to the signature, "
            f"as in draw(self, count, generator, *, {ignored}), or remove the declaration",
        )

    def test_every_magnitude_changes_the_draw(self) -> None:
        """Each declared magnitude makes a difference between its first and last value."""
        operation, batch = self.make(), self.batch(count=8)
        choices = operation.magnitudes()
        for name, choice in choices.items():
            if len(choice.values) == 1 or self.examples:
                continue
            ends = {"first": choice.values[0], "last": choice.values[-1]}
            differs = any(
                not same_draws(
                    self.draw(operation, batch, {**others, name: ends["first"]}),
                    self.draw(operation, batch, {**others, name: ends["last"]}),
                )
                for others in self.combinations()
            )
            require(
                differs,
                f"{self.name} draws the same with {name}={ends['first']!r} as with "
                f"{name}={ends['last']!r}: searching {name} would be in vain. Use it in draw, or "
                "remove its declaration",
            )

    def test_a_draw_has_one_row_for_each_volume(self) -> None:
        """A draw is a tensor, or a tuple of tensors, with as many rows as there are volumes."""
        for magnitudes in self.combinations():
            for size in self.sizes:
                for count in (1, 4):
                    drawn = self.draw(self.make(), self.batch(count=count, size=size), magnitudes)
                    for row in drawn:
                        require(
                            row.ndim > 0 and len(row) == count,
                            f"{self.name}.draw gives a tensor of shape {tuple(row.shape)} for "
                            f"{count} volumes, with {magnitudes}. Its first dimension must be the "
                            "number of volumes, so that each has a draw of its own",
                        )

    def test_every_volume_has_a_draw_of_its_own(self) -> None:
        """The rows of a draw are not all the same, unless `random = False`."""
        if not self.random:
            pytest.skip("random = False")
        batch = self.batch(count=1).expand(24, *[-1] * (1 + len(self.sizes[0]))).contiguous()
        drawn = [self.draw(self.make(), batch, m) for m in self.combinations()]
        require(
            any(not same(row, row[:1].expand_as(row)) for rows in drawn for row in rows),
            f"{self.name}.draw gives all volumes of a batch the same. Draw `count` numbers, as in "
            "torch.rand(count, generator=generator), not one that is repeated. If it always does "
            "the same by its nature, set random = False in the test",
        )

    def test_the_generator_decides_the_draw(self) -> None:
        """The same generator state gives the same result, another seed another one."""
        batch = self.batch(count=24)
        differs = False
        for magnitudes in self.combinations():
            first = self.draw(self.make(), batch, magnitudes, seed=0)
            require(
                same_draws(first, self.draw(self.make(), batch, magnitudes, seed=0)),
                f"{self.name}.draw gives something else each time, from the same generator. "
                f"{_NO_GLOBAL}",
            )
            other = self.draw(self.make(), batch, magnitudes, seed=1)
            differs = differs or not same_draws(first, other)
        require(
            differs or not self.random,
            f"{self.name}.draw gives the same whatever the seed of the generator. {_NO_GLOBAL}. If "
            "it always does the same by its nature, set random = False in the test",
        )
        require(
            self.random or not differs,
            f"{self.name}.draw depends on the generator, but the test says random = False",
        )

    def test_global_random_state_is_neither_used_nor_changed(self) -> None:
        """Global seeds do not matter, and the global generators stay where they were."""
        batch, magnitudes = self.batch(count=8), self.combinations()[-1]
        results = []
        for seed in (1, 2):
            with global_seeds(seed), global_state_kept(self.name, _NO_GLOBAL):
                results.append(self.run(batch, magnitudes=magnitudes))
        require(
            same(*results),
            f"{self.name} gives another result under another torch.manual_seed. {_NO_GLOBAL}",
        )

    def test_apply_draws_nothing(self) -> None:
        """Applying the same draw twice gives the same bits, so that a draw can be replayed."""
        operation, batch = self.make(), self.batch()
        for magnitudes in self.combinations():
            drawn = self.draw(operation, batch, magnitudes)
            with global_seeds(1):
                once = self.apply(operation, batch, drawn)
            with global_seeds(2):
                again = self.apply(operation, batch, drawn)
            require(
                same(once, again),
                f"{self.name}.apply gives another result for the same volumes and the same draw. "
                "Draw in `draw` and return it; `apply` only reads what it is given",
            )

    def test_nothing_is_kept_between_calls(self) -> None:
        """What was done before, to other volumes, makes no difference."""
        operation, batch = self.make(), self.batch()
        first, last = self.combinations()[0], self.combinations()[-1]
        before = self.run(batch, magnitudes=last, operation=operation)
        drawn = self.draw(operation, batch, last)
        copies = [part.clone() for part in drawn]
        self.run(self.batch(count=2, size=self.sizes[-1]), magnitudes=first, operation=operation)
        require(
            all(map(same, drawn, copies)),
            f"{self.name}.draw changes what it drew before, which may still be applied or "
            "replayed. Return new tensors, and keep none of them",
        )
        fresh = self.run(batch, magnitudes=last)
        after = self.run(batch, magnitudes=last, operation=operation)
        require(
            same(before, after) and same(after, fresh),
            f"{self.name} gives another result after it was applied to other volumes. Keep nothing "
            "in self (or in a cache) that draw or apply changes",
        )

    # For tests of your own

    @property
    def name(self) -> str:
        """Name of the operation, for messages."""
        found = given(self, "operation")
        return getattr(found, "__name__", type(found).__name__)

    def make(self) -> Augmentation:
        """Make the operation."""
        __tracebackhide__ = True
        with in_words(
            f"{self.name} cannot be made without arguments. Give every parameter of its "
            "constructor a default."
        ):
            made = given(self, "operation")()
        require(
            isinstance(made, Augmentation),
            f"{self.name} makes a {type(made).__name__}; derive it from medpipe_core.Augmentation",
        )
        return made  # type: ignore[no-any-return]

    def batch(
        self,
        *,
        count: int = 3,
        channels: int | None = None,
        size: Sequence[int] | None = None,
        dtype: torch.dtype = torch.float32,
        device: str = "cpu",
    ) -> Tensor:
        """Return volumes to try it on, intensities in [0, 1]."""
        channels, size = channels or self.channels, size or self.sizes[0]
        return sample_volumes(count, channels, size, dtype=dtype, device=device)

    def combinations(self) -> list[dict[str, Any]]:
        """Return the magnitudes to try: the examples, or extremes and every declared value.

        First come combinations of first and last values, then some in which the values between
        come up, and at last the last values.
        """
        if self.examples:
            return [dict(example) for example in self.examples]
        choices = self.make().magnitudes()
        ends = [dict.fromkeys((choice.values[0], choice.values[-1])) for choice in choices.values()]
        every = [dict(zip(choices, values, strict=True)) for values in itertools.product(*ends)]
        step = -(-len(every) // _MOST_COMBINATIONS)
        between = every_value({name: choice.values for name, choice in choices.items()})[1:-1]
        wanted = [*every[:-1:step], *between, every[-1]]
        return [found for n, found in enumerate(wanted) if found not in wanted[n + 1 :]]

    def draw(
        self,
        operation: Augmentation,
        batch: Tensor,
        magnitudes: Mapping[str, Any],
        *,
        seed: int = 0,
    ) -> tuple[Tensor, ...]:
        """Draw for a batch, from a generator of its own."""
        __tracebackhide__ = True
        with in_words(
            f"{self.name}.draw cannot draw for volumes {tuple(batch.shape)} of {batch.dtype} with "
            f"{dict(magnitudes)}. It is called as draw(count, generator, **magnitudes)."
        ):
            drawn = operation.draw_for(batch, generator(seed), **magnitudes)
        rows = (drawn,) if isinstance(drawn, Tensor) else drawn
        require(
            isinstance(rows, tuple) and all(isinstance(row, Tensor) for row in rows),
            f"{self.name}.draw returns a {type(drawn).__name__}; return a tensor or a tuple of "
            "tensors (the empty one where nothing is drawn)",
        )
        return tuple(row.to(batch.device) for row in rows)

    def apply(self, operation: Augmentation, batch: Tensor, drawn: tuple[Tensor, ...]) -> Tensor:
        """Apply a draw."""
        __tracebackhide__ = True
        memory = "" if batch.is_contiguous() else " in scattered memory (use reshape, not view)"
        with in_words(
            f"{self.name}.apply cannot take volumes {tuple(batch.shape)} of {batch.dtype}{memory} "
            f"with a draw of shapes {[tuple(row.shape) for row in drawn]}. If it is not meant for "
            "such volumes, set sizes, channels or dtypes in the test."
        ):
            after = operation.apply(batch, *drawn)
        require(
            isinstance(after, Tensor),
            f"{self.name}.apply returns a {type(after).__name__}; return the transformed volumes",
        )
        return after

    def run(
        self,
        batch: Tensor,
        *,
        magnitudes: Mapping[str, Any] | None = None,
        operation: Augmentation | None = None,
        seed: int = 0,
    ) -> Tensor:
        """Draw and apply; by default with the last magnitudes and a fresh operation."""
        __tracebackhide__ = True
        operation = operation or self.make()
        magnitudes = self.combinations()[-1] if magnitudes is None else magnitudes
        return self.apply(operation, batch, self.draw(operation, batch, magnitudes, seed=seed))


def same_draws(one: tuple[Tensor, ...], other: tuple[Tensor, ...]) -> bool:
    """Say whether two draws are the same, bit by bit."""
    return len(one) == len(other) and all(map(same, one, other))


def _taken(operation: Augmentation) -> tuple[set[str], bool]:
    """Return the names that an operation's own draw takes, and whether it takes any name."""
    # Behind uniform numbers, or behind volumes or their count, and the generator.
    parameters = [
        list(inspect.signature(getattr(operation, name)).parameters.values())[behind:]
        for name, behind in (("from_uniforms", 1), ("draw", 2), ("draw_for", 2))
        if getattr(type(operation), name) is not getattr(Augmentation, name)
    ]
    by_name = (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    taken = {p.name for each in parameters for p in each if p.kind in by_name}
    # A draw_for with ** may only hand on what draw takes.
    any_name = any(p.kind is p.VAR_KEYWORD for each in parameters[:1] for p in each)
    return taken, any_name
