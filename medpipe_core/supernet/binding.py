"""Binding a description to modules: every operation of a space gets the modules it can run as."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from torch import nn

from medpipe_core.errors import MedpipeError, did_you_mean, place_of
from medpipe_core.memory import out_of_memory
from medpipe_core.seeding import child_seed, seeded_init
from medpipe_core.space import (
    Genotype,
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
from medpipe_core.space.sharing import NOTHING_SHARED, Declared, declare, join
from medpipe_core.space.values import value_key
from medpipe_core.supernet.augmentation import Augmentation

if TYPE_CHECKING:
    from collections.abc import Mapping

    from medpipe_core.space import Catalogue, SearchSpace, Step

    Names = Mapping[str, Declared]

AUGMENTATION = "augmentation"
BLOCK = "block"
_MOST_VARIANTS = 64


class BindingError(MedpipeError):
    """A description that modules cannot be bound to."""


def catalogue_of(space: SearchSpace, catalogue: Catalogue | None) -> Catalogue:
    """Return the catalogue that makes a space's operations.

    Raises:
        BindingError: The space carries none and none is given.
    """
    found = catalogue or space.catalogue
    if found is None:
        raise BindingError(
            f"space {space.name!r} does not know who makes its operations; take it from a registry "
            "(registry.space(...)) or hand one in (catalogue=registry)"
        )
    return found


def check_plugins(genotype: Genotype, catalogue: Catalogue) -> None:
    """Refuse a genotype that a plugin had a part in which is not here.

    Raises:
        BindingError: It is none; or the text has each missing distribution with the version it was
            made with.
    """
    if not isinstance(genotype, Genotype):
        raise BindingError(
            f"a genotype is needed to build a network or a policy, but got a "
            f"{type(genotype).__name__}; space.sample(seed=0) is one"
        )
    here = {name.lower() for name in catalogue.versions()}
    missing = [
        f"{name}=={version}"
        for name, version in genotype.provenance.items()
        if name.lower() not in here
    ]
    if missing:
        raise BindingError(
            f"genotype {genotype.digest} was made with plugins that are not here: "
            f"{', '.join(missing)}. Install them, or enable them if they failed or are disabled "
            "(`medpipe plugins` tells)"
        )


def variant_key(step: Step, genotype: Genotype) -> str:
    """Name the module that a block step runs as: its path and the values chosen for it."""
    chosen = [f"{name}={genotype[path]}" for name, path in step.sources.items()]
    return module_name(step.path, chosen)


def module_name(path: str, chosen: list[str]) -> str:
    """Return a name that torch accepts for a submodule: the path, then the chosen values."""
    return ",".join((path, *chosen)).replace(".", "%2E")


def build_block(
    catalogue: Catalogue,
    name: str,
    *,
    path: str,
    in_channels: int,
    parameters: dict[str, Any],
    seed: int | None,
) -> nn.Module:
    """Build one block; with a seed its first weights depend on the seed and `path` alone.

    Raises:
        BindingError: The factory refused its parameters, or made no module with `out_channels`.
    """
    factory = catalogue.factory(BLOCK, name)
    try:
        if seed is None:
            block = factory(in_channels, **parameters)
        else:
            with seeded_init(child_seed(seed, "weights", path)):
                block = factory(in_channels, **parameters)
    except (Exception, SystemExit) as error:
        if isinstance(error, MedpipeError) or out_of_memory(error):
            raise
        raise BindingError(
            f"{path}: block {name!r} of {_who(catalogue, BLOCK, name)} refused "
            f"in_channels={in_channels}, {parameters}: {_refusal(error)}"
        ) from error
    if not isinstance(block, nn.Module) or not isinstance(getattr(block, "out_channels", 0), int):
        raise BindingError(
            f"{path}: block {name!r} of {_who(catalogue, BLOCK, name)} made a "
            f"{type(block).__name__}; a block is a torch.nn.Module with an int out_channels"
        )
    if not hasattr(block, "out_channels"):
        raise BindingError(
            f"{path}: block {name!r} of {_who(catalogue, BLOCK, name)} does not say how many "
            "channels it gives; set self.out_channels in its constructor"
        )
    return block


def build_augmentation(catalogue: Catalogue, step: Step) -> tuple[Augmentation, dict[str, Any]]:
    """Build an augmentation and split off its magnitudes: `(operation, magnitudes)`.

    Parameters that are not magnitudes (and not `p`) go to the constructor.

    Raises:
        BindingError: What the catalogue holds is no augmentation, or a magnitude has no value.
    """
    who = f"{step.path}: augmentation {step.name!r} of {_who(catalogue, AUGMENTATION, step.name)}"
    factory = catalogue.factory(AUGMENTATION, step.name)
    names = magnitude_names(factory)
    values = {name: value for name, value in step.parameters.items() if name != "p"}
    try:
        operation = factory(**{n: value for n, value in values.items() if n not in names})
    except (Exception, SystemExit) as error:
        if isinstance(error, MedpipeError) or out_of_memory(error):
            raise
        raise BindingError(f"{who} refused its parameters {values}: {_refusal(error)}") from error
    if not isinstance(operation, Augmentation):
        raise BindingError(
            f"{who} made a {type(operation).__name__}; it must be a medpipe_core.Augmentation"
        )
    missing = sorted(set(operation.magnitudes()) - set(values))
    if missing:
        raise BindingError(f"{who} got no value for {', '.join(missing)}; add it to the space")
    return operation, {name: values[name] for name in operation.magnitudes()}


@dataclass
class BoundBlocks:
    """Every block of a space as modules, and the channels that leave the last one.

    Attributes:
        modules: Variant key → module, in tree order.
        out_channels: Channels of the last feature map.
    """

    modules: dict[str, nn.Module] = field(default_factory=dict)
    out_channels: int = 0


def bind_blocks(
    space: SearchSpace, catalogue: Catalogue, *, in_channels: int, seed: int
) -> BoundBlocks:
    """Build a module for every candidate of every block of a space.

    A block whose parameter is a choice gets one module for each of the choice's values, with
    weights of its own; so it is at every place where a shared choice or part is referred to.

    Raises:
        BindingError: Candidates of one choice disagree about channels, an augmentation stands
            after a block, an operation is of no kind that runs or does not take its parameters, or
            a factory failed.
    """
    binder = _Binder(catalogue, seed)
    out_channels = binder.walk(space.root, "", in_channels, NOTHING_SHARED)
    return BoundBlocks(binder.modules, out_channels)


class _Binder:
    def __init__(self, catalogue: Catalogue, seed: int) -> None:
        self.catalogue = catalogue
        self.seed = seed
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
        if node.kind not in (AUGMENTATION, BLOCK):
            raise BindingError(
                f"{path}: operation {node.name!r} is of kind {node.kind!r}, which nothing runs."
                f"{did_you_mean(node.kind, (AUGMENTATION, BLOCK))}"
            )
        shared = {ref.name: names[ref.name].choice for ref in node.references.values()}
        try:
            check_values(self.catalogue, node.kind, node.name, values_of(node, shared))
        except SpaceError as error:
            raise BindingError(
                f"{path}: {error} (it is of {_who(self.catalogue, node.kind, node.name)})"
            ) from error
        if node.kind == BLOCK:
            return self._block(node, path, channels, names)
        if self.modules:
            raise BindingError(
                f"{path}: an augmentation stands after the block {next(iter(self.modules))}"
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
                f"{path}: block {node.name!r} has more than {_MOST_VARIANTS} combinations of its "
                "parameters, and each would get weights of its own; offer fewer values"
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


def magnitude_names(factory: object) -> frozenset[str]:
    """Return the names of an augmentation's magnitudes; none where it is no class."""
    if isinstance(factory, type) and issubclass(factory, Augmentation):
        return frozenset(factory.magnitudes())
    return frozenset()


def _refusal(error: BaseException) -> str:
    """Return the text of what was said on purpose; of anything else its type and place too."""
    if isinstance(error, TypeError | ValueError):
        return str(error)
    return f"{type(error).__name__}: {error}{place_of(error)}"


def _who(catalogue: Catalogue, kind: str, name: str) -> str:
    return " ".join(catalogue.origin(kind, name))
