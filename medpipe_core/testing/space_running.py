"""What every search space promises of its candidates: each can be chosen, and each runs."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import Tensor

from medpipe_core.space import OperationChoice
from medpipe_core.testing.checking import close, generator, in_words, require, same, sample_volumes
from medpipe_core.testing.reaching import reach, reach_within

if TYPE_CHECKING:
    from collections.abc import Iterator

    from medpipe_core.space import Genotype, Mutable, SearchSpace, Step
    from medpipe_core.supernet import Supernet

_SHOWN = 8


class RunningContract:
    """The half of `SpaceContract` that is about candidates."""

    binds: bool | None = None
    in_channels: int = 1
    num_classes: int = 2
    size: tuple[int, ...] = (8, 8, 8)

    def make(self) -> SearchSpace:
        """Return the space."""
        raise NotImplementedError

    def test_every_key_can_be_chosen(self) -> None:
        """For every key of every choice there is a member that has it."""
        space = self.make()
        never = reach(space).never
        shown = ", ".join(f"{path} = {key}" for path, key in never[:_SHOWN])
        require(
            not never,
            f"space {space.name!r} has {len(never)} keys that no genotype can have: {shown}. Its "
            f"constraints ({'; '.join(map(str, space.constraints))}) rule them out. Loosen a "
            "constraint, or leave out what is never chosen",
        )

    def test_every_key_can_be_chosen_within_the_budget(self) -> None:
        """For every key of every choice there is a member that has it and keeps the budget."""
        space = self.make()
        budget = space.budget
        if budget is None or space.catalogue is None:
            pytest.skip("the space has no budget, or no catalogue")
        from medpipe_core.supernet import ResourceMeter

        with in_words(f"space {space.name!r} cannot be measured."):
            meter = ResourceMeter(
                space, in_channels=self.in_channels, num_classes=self.num_classes, size=self.size
            )

            def cost(genotype: Genotype) -> float:
                found = meter(genotype)
                limits = (budget.parameters, budget.multiply_adds)
                spent = zip((found.parameters, found.multiply_adds), limits, strict=True)
                return max(use / limit if limit else float(use > 0) for use, limit in spent
                           if limit is not None)  # fmt: skip

            dear = reach_within(space, cost)
        shown = ", ".join(
            f"{path} = {key} (at least {100 * least:.0f} % of it)"
            for (path, key), least in [*dear.items()][:_SHOWN]
        )
        require(
            not dear,
            f"space {space.name!r} has {len(dear)} keys with which no genotype was found that "
            f"keeps its budget ({budget}) on volumes of size {self.size}: {shown}. Raise the "
            "budget, leave these out, or set `size` and `in_channels` in the test to what the "
            "budget is meant for",
        )

    def test_no_candidate_is_there_twice(self) -> None:
        """The candidates of a choice of operations are different descriptions."""
        space = self.make()
        for path, node in _choices_of_operations(space.root, ""):
            seen: list[tuple[str, Mutable]] = []
            for key, candidate in node.candidates.items():
                twin = next((name for name, other in seen if other == candidate), None)
                require(
                    twin is None,
                    f"space {space.name!r} offers one operation twice: {twin!r} and {key!r} of "
                    f"{path or 'its root'!r} are the same, with the same parameters. Leave one "
                    "out, or give it the parameters that it was meant to have",
                )
                seen.append((key, candidate))

    def test_every_augmentation_runs(self) -> None:
        """Every augmentation runs at every value, and changes nothing at its neutral ones."""
        space = self.make()
        if space.catalogue is None:
            pytest.skip("the space has no catalogue")
        from medpipe_core.supernet.policy import policy_from_steps

        volumes, tried = sample_volumes(3, self.in_channels, self.size), set()
        for genotype in reach(space).members:
            with in_words(f"an augmentation of space {space.name!r} cannot be made."):
                steps = [step for step in space.resolve(genotype) if step.kind == "augmentation"]
                policy = policy_from_steps(steps, space.catalogue)
            for step, layer in zip(steps, policy.layers, strict=True):
                if _told(step).partition(" ")[2] in tried:
                    continue
                tried.add(_told(step).partition(" ")[2])
                with in_words(f"{_told(step)} of space {space.name!r} cannot run."):
                    always = replace(layer, p=1.0)
                    after = type(policy)([always])(volumes, generator(0))
                    as_it_is = type(policy)([layer])(volumes, generator(0))
                require(
                    bool(after.isfinite().all()),
                    f"{_told(step)} of space {space.name!r} gives NaN or infinity",
                )
                require(
                    not step.neutral or close(as_it_is, volumes),
                    f"{_told(step)} of space {space.name!r} is at its neutral values, but changes "
                    "volumes. `neutral` are the values at which it is the identity, whatever its "
                    'others are, such as neutral={"p": 0.0}',
                )

    def test_it_binds_to_modules_and_a_frozen_path_computes_the_same(self) -> None:
        """Every candidate runs and can be trained, and a frozen member gives its path's bits."""
        space = self.make()
        if not (space.catalogue is not None if self.binds is None else self.binds):
            pytest.skip("binds = False, or the space has no catalogue")
        from medpipe_core.supernet import Supernet

        with in_words(f"space {space.name!r} cannot be bound to modules."):
            supernet = Supernet(space, in_channels=self.in_channels, num_classes=self.num_classes)
        volumes = sample_volumes(2, self.in_channels, self.size)
        for genotype in reach(space).members:
            with torch.no_grad():
                self._runs_step_by_step(supernet.eval(), genotype, volumes)
            with in_words(
                f"genotype {dict(genotype.choices)} of space {space.name!r} cannot be trained on "
                f"volumes {tuple(volumes.shape)}."
            ):
                supernet.zero_grad()
                logits = supernet.train()(volumes, genotype)
                torch.nn.functional.cross_entropy(logits, torch.tensor([0, 1])).backward()  # type: ignore[no-untyped-call]
                path = supernet.eval()(volumes, genotype)
                frozen = supernet.freeze(genotype).eval()(volumes)
            for found in (logits, path):
                require(
                    tuple(found.shape) == (2, self.num_classes) and bool(found.isfinite().all()),
                    f"space {space.name!r} gives logits {found.tolist()} for two volumes",
                )
            require(
                same(path, frozen),
                f"a frozen member of space {space.name!r} computes something else than its path "
                "in the supernet: one of its blocks keeps state outside its state_dict, or draws",
            )

    def _runs_step_by_step(self, supernet: Supernet, genotype: Genotype, features: Tensor) -> None:
        """Run a path block by block, so that a message can name the one that cannot."""
        from medpipe_core.supernet.building import variant_key

        space = supernet.space
        for step in space.resolve(genotype):
            if step.kind != "block":
                continue
            module: Any = supernet.operations[variant_key(step, genotype)]
            shape = tuple(features.shape)
            with (
                in_words(
                    f"{_told(step)} of space {space.name!r} cannot run on what reaches it, "
                    f"{shape}. If volumes are too small for it, set `size` in the test."
                ),
                torch.random.fork_rng(devices=[]),
            ):
                after = module(features)
            found = tuple(after.shape) if isinstance(after, Tensor) else type(after).__name__
            require(
                isinstance(after, Tensor)
                and after.ndim == features.ndim
                and len(after) == len(features)
                and after.shape[1] == module.out_channels
                and after.numel() > 0
                and bool(after.isfinite().all()),
                f"{_told(step)} of space {space.name!r} turns {shape} into {found}; a block says "
                f"how many channels it gives (out_channels = {module.out_channels}), keeps the "
                "batch and the axes, and gives finite values",
            )
            require(
                not step.neutral or (after.shape == features.shape and close(after, features)),
                f"{_told(step)} of space {space.name!r} is at its neutral values, but is not the "
                "identity. `neutral` are the values at which it changes nothing",
            )
            features = after


def _told(step: Step) -> str:
    """Return a step in words."""
    parameters = ", ".join(f"{name}={value!r}" for name, value in step.parameters.items())
    return f"{step.path} ({step.kind} {step.name!r} with {parameters or 'no parameters'})"


def _choices_of_operations(node: Any, path: str) -> Iterator[tuple[str, OperationChoice]]:
    """Iterate over every choice of operations under a node."""
    if isinstance(node, OperationChoice):
        yield path, node
    parts: dict[str, Any] = {}
    for attribute in ("candidates", "children", "parts"):
        parts |= dict(getattr(node, attribute, {}))
    for attribute in ("template", "body"):
        if hasattr(node, attribute):
            parts[""] = getattr(node, attribute)
    for name, part in parts.items():
        yield from _choices_of_operations(part, "/".join(filter(None, (path, name))))
