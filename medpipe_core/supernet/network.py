"""The supernet: every candidate of a space as modules, of which one path runs."""

from __future__ import annotations

import copy
from collections import OrderedDict
from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor, nn

from medpipe_core.errors import MedpipeError, OperationError
from medpipe_core.seeding import child_seed, seeded_init
from medpipe_core.supernet.binding import bind_blocks, whole_models
from medpipe_core.supernet.building import (
    NETWORK_KINDS,
    BindingError,
    build_block,
    catalogue_of,
    check_plugins,
    module_name,
    variant_key,
)
from medpipe_core.supernet.decision import Decision
from medpipe_core.supernet.failing import (
    fixed_failed,
    in_words,
    is_the_operations,
    operation_of,
    part_of,
)
from medpipe_core.supernet.gate import gated
from medpipe_core.supernet.head import PooledLinear
from medpipe_core.supernet.policy import policy_from_steps
from medpipe_core.supernet.recent import Recent
from medpipe_core.supernet.width import narrowed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from medpipe_core.space import Catalogue, Genotype, SearchSpace, Step
    from medpipe_core.supernet.policy import Policy


class VolumesError(MedpipeError):
    """What a supernet was called with is no batch of volumes; the text says what one is."""


class HeadFactory(Protocol):
    """Makes the task's head: `(in_channels, num_classes)` to a module from features to logits."""

    def __call__(self, in_channels: int, num_classes: int, /) -> nn.Module:
        """Make one head."""


_LEAST_AXES = 3  # batch, channel and one of space


class Supernet(nn.Module):
    """A search space bound to modules; a forward pass runs one path and nothing else.

    Augmentations act in training mode only, as dropout does. Candidates that are not sampled cost
    no time, no activations and get no gradient.

    Args:
        space: What is searched. Its operations of kind `augmentation` act on the input, its
            operations of kind `block` make the network, both in the order of the space. In place
            of blocks it may have one operation of kind `model`, a whole network without a head.
        in_channels: Channels of a volume.
        num_classes: Logits of a volume.
        seed: Seed of the first weights and of the augmentations' default generator.
        head: Makes the head; global average pooling and one linear layer by default.
        catalogue: Who makes the operations; the space's own by default.
        spacing: Millimetres between the volumes' voxels along each axis, for augmentations; None
            for cubes.
        fixed: Networks that are not searched, by name, from volumes to logits. A decision may name
            one to run in place of its path's network.

    Raises:
        BindingError: The space cannot be bound; the text names the path.
    """

    def __init__(
        self,
        space: SearchSpace,
        *,
        in_channels: int,
        num_classes: int,
        seed: int = 0,
        head: HeadFactory = PooledLinear,
        catalogue: Catalogue | None = None,
        fixed: Mapping[str, nn.Module] | None = None,
        spacing: tuple[float, ...] | None = None,
    ) -> None:
        super().__init__()
        self.space = space
        self._spacing = spacing
        self._in_channels = in_channels
        self.catalogue = catalogue_of(space, catalogue)
        bound = bind_blocks(
            space, self.catalogue, in_channels=in_channels, num_classes=num_classes, seed=seed
        )
        self.operations = nn.ModuleDict(bound.modules)
        head = _no_head if bound.whole else head
        self.head = _build_head(head, bound.out_channels, num_classes, seed)
        self.fixed = nn.ModuleDict(
            {module_name(name, []): network for name, network in (fixed or {}).items()}
        )
        self._generator_seed = child_seed(seed, "supernet", "augmentation")
        self._generator: torch.Generator | None = None
        self._steps: Recent[tuple[Step, ...]] = Recent()
        self._policies: Recent[Policy] = Recent()

    def forward(
        self,
        volumes: Tensor,
        decision: Decision | Genotype,
        *,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Return the logits of one path, `(batch, num_classes)`.

        Args:
            volumes: `(batch, channel, *space)`, intensities in [0, 1].
            decision: The path, and gates for searchers that need their gradient.
            generator: Source of the augmentations' draws in training mode; by default one that
                belongs to this supernet, on the CPU, and was seeded by its `seed`. With one on a
                GPU each call waits for what the GPU draws.

        Raises:
            VolumesError: The volumes are no such batch.
            InvalidGenotypeError: The decision is none, or not for a genotype of the space.
        """
        self._check(volumes)
        decision = decision if isinstance(decision, Decision) else Decision(decision)
        if self.training:
            volumes = self.augment(volumes, decision, generator=generator)
        return self.classify(volumes, decision)

    def augment(
        self,
        volumes: Tensor,
        decision: Decision,
        *,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Return the volumes after the path's augmentations; the same shape."""
        policy = self.policy(decision.genotype)
        if not policy.layers:
            return volumes
        augmented: Tensor = policy(volumes, generator or self._own_generator(), decision)
        return augmented

    def policy(self, genotype: Genotype) -> Policy:
        """Return the augmentations of a path, with those that have no effect."""
        return self._policies.of(genotype, self._make_policy)

    def steps(self, genotype: Genotype) -> tuple[Step, ...]:
        """Return the steps that a genotype describes, as `SearchSpace.resolve`, at most once."""
        return self._steps.of(genotype, self.space.resolve)

    def classify(self, volumes: Tensor, decision: Decision) -> Tensor:
        """Return the logits of the path's network, or of the fixed one, without augmentation.

        Raises:
            BindingError: The decision names a fixed network that is not there.
            OperationError: A block or the fixed network failed; the text has its place, its plugin
                and the line.
            VolumesError: The volumes are no batch.
        """
        self._check(volumes)
        if decision.network is not None:
            return self._by_fixed(decision.network, volumes)
        features = volumes
        for step in self.steps(decision.genotype):
            if step.kind not in NETWORK_KINDS:
                continue
            key = variant_key(step, decision.genotype)
            operation = self.operations[key]
            try:
                features = gated(operation(features), decision.gate(step.choices))
            except (Exception, SystemExit) as error:
                if not is_the_operations(error):
                    raise
                raise OperationError(
                    f"{key}{part_of(error, operation)}: "
                    f"{operation_of(self.catalogue, step)} failed: "
                    f"{in_words(error, type(operation).__module__)}"
                ) from error
        logits: Tensor = self.head(features)
        return logits

    def freeze(self, genotype: Genotype) -> nn.Sequential:
        """Return the genotype's network alone, with a copy of the weights it has here.

        The result is a plain `nn.Sequential` that computes bit for bit what this path computes
        here in evaluation mode. It holds no augmentation: those belong to training
        (`build_policy`).

        Raises:
            InvalidGenotypeError: The genotype is not of this space.
        """
        return copy.deepcopy(nn.Sequential(OrderedDict(self._path(genotype))))

    def parameters_of(self, decision: Decision | Genotype) -> Iterator[nn.Parameter]:
        """Iterate over the parameters that a path uses, the head's included.

        Where the decision names a fixed network, these are the fixed network's.
        """
        for module in self.modules_of(decision):
            yield from module.parameters()

    def modules_of(self, decision: Decision | Genotype) -> list[nn.Module]:
        """Return the modules that a path runs, in order, or the fixed network that it names."""
        decision = decision if isinstance(decision, Decision) else Decision(decision)
        if decision.network is not None:
            return [self._fixed(decision.network)]
        return [module for _, module in self._path(decision.genotype)]

    def _check(self, volumes: Tensor) -> None:
        if not volumes.is_floating_point():
            raise VolumesError(
                f"the volumes are {volumes.dtype}; a supernet takes floating-point intensities in "
                "[0, 1], such as volumes.float() / 255"
            )
        if volumes.ndim < _LEAST_AXES or volumes.shape[1] != self._in_channels:
            raise VolumesError(
                f"the volumes have shape {tuple(volumes.shape)}; a supernet takes (batch, channel, "
                f"*space), this one with {self._in_channels} at channel. volumes[None] makes a "
                "batch of one volume, volumes[:, None] gives volumes a channel"
            )

    def _by_fixed(self, name: str, volumes: Tensor) -> Tensor:
        network = self._fixed(name)
        try:
            logits: Tensor = network(volumes)
        except (Exception, SystemExit) as error:
            if not is_the_operations(error):
                raise
            raise fixed_failed(error, name, network, self.catalogue) from error
        return logits

    def _fixed(self, name: str) -> nn.Module:
        key = module_name(name, [])
        if key not in self.fixed:
            raise BindingError(
                f"a decision names the fixed network {name!r}, which this supernet does not have; "
                "hand it over as Supernet(..., fixed={name: network})"
            )
        return self.fixed[key]

    def _path(self, genotype: Genotype) -> Iterator[tuple[str, nn.Module]]:
        for step in self.steps(genotype):
            if step.kind in NETWORK_KINDS:
                key = variant_key(step, genotype)
                yield key, self.operations[key]
        yield "head", self.head

    def _make_policy(self, genotype: Genotype) -> Policy:
        return policy_from_steps(self.steps(genotype), self.catalogue, self._spacing)

    def _own_generator(self) -> torch.Generator:
        """Return the generator on the CPU that is used where a caller brings none."""
        if self._generator is None:
            self._generator = torch.Generator().manual_seed(self._generator_seed)
        return self._generator


def build_network(
    space: SearchSpace,
    genotype: Genotype,
    *,
    in_channels: int,
    num_classes: int,
    seed: int = 0,
    head: HeadFactory = PooledLinear,
    catalogue: Catalogue | None = None,
    width: float = 1.0,
) -> nn.Sequential:
    """Build a genotype's network with fresh weights, without building the supernet.

    With the seed of a supernet its first weights are the supernet's first weights. With a width
    below 1 it is a narrower network of the same genotype, as `narrowed` has it.

    Raises:
        InvalidGenotypeError: The genotype is not of this space.
        BindingError: A block could not be built, or not be made narrower.
    """
    catalogue = catalogue_of(space, catalogue)
    check_plugins(genotype, catalogue)
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    channels = in_channels
    steps = space.resolve(genotype)
    parameters = narrowed(steps, catalogue, width)
    for step in steps:
        if step.kind not in NETWORK_KINDS:
            continue
        key = variant_key(step, genotype)
        layers[key] = build_block(
            catalogue,
            step.name,
            path=key,
            in_channels=channels,
            parameters=parameters[step.path],
            seed=seed,
            kind=step.kind,
            num_classes=num_classes,
        )
        channels = int(layers[key].out_channels)  # type: ignore[arg-type]
    head = _no_head if whole_models(space) else head
    layers["head"] = _build_head(head, channels, num_classes, seed)
    return nn.Sequential(layers)


def _build_head(head: HeadFactory, in_channels: int, num_classes: int, seed: int) -> nn.Module:
    with seeded_init(child_seed(seed, "weights", "head")):
        return head(in_channels, num_classes)


def _no_head(_in_channels: int, _num_classes: int) -> nn.Module:
    """Return nothing to add to a whole model, whose logits are what arrives."""
    return nn.Identity()
