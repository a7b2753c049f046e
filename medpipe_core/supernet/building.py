"""Building single operations: a block, a model or an augmentation of a catalogue."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import nn

from medpipe_core.errors import MedpipeError, place_of
from medpipe_core.memory import out_of_memory
from medpipe_core.seeding import child_seed, seeded_init
from medpipe_core.space import Genotype
from medpipe_core.supernet.augmentation import Augmentation

if TYPE_CHECKING:
    from medpipe_core.space import Catalogue, SearchSpace, Step

AUGMENTATION = "augmentation"
BLOCK = "block"
MODEL = "model"
NETWORK_KINDS = (BLOCK, MODEL)
"""What a network is made of: blocks and a head, or one whole model."""


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
    # A space that is one operation has no path to it, and nothing beside it.
    return ",".join((path or "root", *chosen)).replace(".", "%2E")


def build_block(
    catalogue: Catalogue,
    name: str,
    *,
    path: str,
    in_channels: int,
    parameters: dict[str, Any],
    seed: int | None,
    kind: str = BLOCK,
    num_classes: int = 0,
) -> nn.Module:
    """Build one block or model; with a seed its first weights depend on the seed and `path` alone.

    Args:
        catalogue: Who makes it.
        name: Its name there.
        path: Where it stands.
        in_channels: Channels that reach it.
        parameters: Its own parameters.
        seed: Seed of the first weights; None leaves them to torch's generator.
        kind: `BLOCK`, or `MODEL` for a network from volumes to logits.
        num_classes: Logits of a model, which count as the channels that it gives.

    Raises:
        BindingError: The factory refused its parameters, or made no module with `out_channels`.
    """
    factory = catalogue.factory(kind, name)

    def make() -> Any:
        if kind == BLOCK:
            return factory(in_channels, **parameters)
        model = factory(in_channels=in_channels, num_classes=num_classes, **parameters)
        if isinstance(model, nn.Module):
            model.out_channels = num_classes  # type: ignore[assignment]
        return model

    try:
        if seed is None:
            block = make()
        else:
            with seeded_init(child_seed(seed, "weights", path)):
                block = make()
    except (Exception, SystemExit) as error:
        if isinstance(error, MedpipeError) or out_of_memory(error):
            raise
        raise BindingError(
            f"{path}: {kind} {name!r} of {origin_of(catalogue, kind, name)} refused "
            f"in_channels={in_channels}, {parameters}: {_refusal(error)}"
        ) from error
    if not isinstance(block, nn.Module) or not isinstance(getattr(block, "out_channels", 0), int):
        raise BindingError(
            f"{path}: {kind} {name!r} of {origin_of(catalogue, kind, name)} made a "
            f"{type(block).__name__}; a {kind} is a torch.nn.Module with an int out_channels"
        )
    if not hasattr(block, "out_channels"):
        raise BindingError(
            f"{path}: block {name!r} of {origin_of(catalogue, BLOCK, name)} does not say how many "
            "channels it gives; set self.out_channels in its constructor"
        )
    return block


def build_augmentation(catalogue: Catalogue, step: Step) -> tuple[Augmentation, dict[str, Any]]:
    """Build an augmentation and split off its magnitudes: `(operation, magnitudes)`.

    Parameters that are not magnitudes (and not `p`) go to the constructor.

    Raises:
        BindingError: What the catalogue holds is no augmentation, or a magnitude has no value.
    """
    origin = origin_of(catalogue, AUGMENTATION, step.name)
    who = f"{step.path}: augmentation {step.name!r} of {origin}"
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
    magnitudes = operation.magnitudes()
    missing = sorted(set(magnitudes) - set(values))
    if missing:
        raise BindingError(f"{who} got no value for {', '.join(missing)}; add it to the space")
    return operation, {name: values[name] for name in magnitudes}


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


def origin_of(catalogue: Catalogue, kind: str, name: str) -> str:
    """Return the distribution of an operation and its version."""
    return " ".join(catalogue.origin(kind, name))
