"""Binding a description to modules: every operation of a space gets the modules it can run as."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from medpipe_core.errors import did_you_mean
from medpipe_core.space import (
    Group,
    Mutable,
    Operation,
    OperationChoice,
    Ref,
    Repeat,
    Shared,
    SpaceError,
)
from medpipe_core.space.declared_operations import check_values, values_of
from medpipe_core.space.description import operations
from medpipe_core.space.sharing import NOTHING_SHARED, Declared, declare, join
from medpipe_core.space.values import value_key
from medpipe_core.supernet.building import (
    AUGMENTATION,
    BLOCK,
    MODEL,
    NETWORK_KINDS,
    BindingError,
    build_block,
    module_name,
    origin_of,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import nn

    from medpipe_core.space import Catalogue, SearchSpace

    Names = Mapping[str, Declared]

_MOST_VARIANTS = 64


@dataclass
class BoundBlocks:
    """Every block of a space as modules, and the channels that leave the last one.

    Attributes:
        modules: Variant key → module, in tree order.
        out_channels: Channels of the last feature map, or logits of a model.
        whole: Whether they are whole models, which need no head.
    """

    modules: dict[str, nn.Module] = field(default_factory=dict)
    out_channels: int = 0
    whole: bool = False


def bind_blocks(
    space: SearchSpace, catalogue: Catalogue, *, in_channels: int, num_classes: int, seed: int
) -> BoundBlocks:
    """Build a module for every candidate of every block of a space.

    A block whose parameter is a choice gets one module for each of the choice's values, with
    weights of its own; so it is at every place where a shared choice or part is referred to.

    Raises:
        BindingError: Candidates of one choice disagree about channels, an augmentation stands
            after a block, an operation is of no kind that runs or does not take its parameters, or
            a factory failed.
    """
    whole = whole_models(space)
    binder = _Binder(catalogue, seed, num_classes)
    out_channels = binder.walk(space.root, "", in_channels, NOTHING_SHARED)
    return BoundBlocks(binder.modules, out_channels, whole)


def whole_models(space: SearchSpace) -> bool:
    """Say whether the networks of a space are whole models, which need no head.

    Raises:
        BindingError: A space has blocks as well, or networks of several models.
    """
    kinds = {kind for kind, _ in operations(space.root)}
    if MODEL not in kinds:
        return False
    if BLOCK in kinds:
        raise BindingError(
            f"space {space.name!r} has models and blocks; a model is a whole network, so offer it "
            "in place of the blocks, in a space of its own"
        )
    models = [step for step in space.resolve(space.sample(seed=0)) if step.kind == MODEL]
    if len(models) > 1:
        raise BindingError(
            f"space {space.name!r} has several models in a row: "
            f"{', '.join(step.path for step in models)}; a model gives logits, so make them the "
            "candidates of one choice"
        )
    return True


class _Binder:
    def __init__(self, catalogue: Catalogue, seed: int, num_classes: int) -> None:
        self.catalogue = catalogue
        self.seed = seed
        self.num_classes = num_classes
        self.modules: dict[str, nn.Module] = {}

    def walk(self, node: Mutable, path: str, channels: int, names: Names) -> int:
        """Bind what lies under `node`, which may refer to `names`; return the channels after it."""
        match node:
            case Group():
                for name, child in node.children.items():
                    channels = self.walk(child, join(path, name), channels, names)
                return channels
            case OperationChoice():
                return self._agree(
                    path,
                    {
                        key: self.walk(candidate, join(path, key), channels, names)
                        for key, candidate in node.candidates.items()
                    },
                )
            case Repeat():
                return self._repeat(node, path, channels, names)
            case Shared():
                # The paths of its choices are of no matter here: a module stands at its own place.
                return self.walk(node.body, path, channels, declare(node, path, names))
            case Ref(name=name):
                return self.walk(names[name].node, path, channels, names[name].names)
            case Operation():
                return self._operation(node, path, channels, names)
        return channels

    def _operation(self, node: Operation, path: str, channels: int, names: Names) -> int:
        if node.kind not in (AUGMENTATION, *NETWORK_KINDS):
            raise BindingError(
                f"{path}: operation {node.name!r} is of kind {node.kind!r}, which nothing runs."
                f"{did_you_mean(node.kind, (AUGMENTATION, *NETWORK_KINDS))}"
            )
        shared = {ref.name: names[ref.name].choice for ref in node.references.values()}
        try:
            check_values(self.catalogue, node.kind, node.name, values_of(node, shared))
        except SpaceError as error:
            raise BindingError(
                f"{path}: {error} (it is of {origin_of(self.catalogue, node.kind, node.name)})"
            ) from error
        if node.kind in NETWORK_KINDS:
            return self._block(node, path, channels, names)
        if self.modules:
            raise BindingError(
                f"{path}: an augmentation stands after the network's {next(iter(self.modules))}"
                "; augmentations come first, so compose them before the network"
            )
        return channels

    def _repeat(self, node: Repeat, path: str, channels: int, names: Names) -> int:
        after = {0: channels}
        for number in range(1, max(node.counts) + 1):
            after[number] = self.walk(
                node.template, join(path, f"item{number}"), after[number - 1], names
            )
        return self._agree(path, {str(count): after[count] for count in node.counts})

    def _block(self, node: Operation, path: str, channels: int, names: Names) -> int:
        # Parameters that refer to one shared choice take their values together.
        shared = {parameter: ref.name for parameter, ref in node.references.items()}
        origin = {
            n: shared.get(n, f"/{n}") for n in node.parameters if n in shared or n in node.choices
        }
        choices = {
            origin[n]: names[shared[n]].choice if n in shared else node.choices[n] for n in origin
        }
        fixed = {n: v for n, v in node.parameters.items() if n not in origin}
        if math.prod(len(choice.values) for choice in choices.values()) > _MOST_VARIANTS:
            raise BindingError(
                f"{path}: {node.kind} {node.name!r} has more than {_MOST_VARIANTS} combinations of "
                "its parameters, and each would get weights of its own; offer fewer values"
            )
        leaving: dict[str, int] = {}
        for values in itertools.product(*(choice.values for choice in choices.values())):
            taken = dict(zip(choices, values, strict=True))
            chosen = {n: taken[source] for n, source in origin.items()}
            keys = [f"{n}={value_key(value)}" for n, value in chosen.items()]
            key = module_name(path, keys)
            block = build_block(
                self.catalogue,
                node.name,
                path=key,
                in_channels=channels,
                parameters={**fixed, **chosen},
                seed=self.seed,
                kind=node.kind,
                num_classes=self.num_classes,
            )
            self.modules[key] = block
            leaving[key] = int(block.out_channels)  # type: ignore[arg-type]
        return self._agree(path, leaving)

    @staticmethod
    def _agree(path: str, leaving: dict[str, int]) -> int:
        if len(set(leaving.values())) > 1:
            found = ", ".join(f"{key} gives {channels}" for key, channels in leaving.items())
            raise BindingError(
                f"{path}: candidates must give the same number of channels, but {found}"
            )
        return next(iter(leaving.values()))
