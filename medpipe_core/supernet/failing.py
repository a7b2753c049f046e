"""What somebody's operation raises while it runs, told with its name, its plugin and the line."""

from __future__ import annotations

import contextlib
import traceback
from contextlib import contextmanager
from typing import TYPE_CHECKING

from torch import nn

from medpipe_core.errors import MedpipeError, OperationError, place_of
from medpipe_core.memory import out_of_memory
from medpipe_core.supernet.building import NETWORK_KINDS, catalogue_of, variant_key

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from medpipe_core.space import Catalogue, Genotype, SearchSpace, Step


def is_the_operations(error: BaseException) -> bool:
    """Say whether an error that came out of an operation is its own and not yet told by its name.

    `sys.exit` is no way for an operation to end a run. What a person or the system asks for
    (`KeyboardInterrupt`) is not its fault, and out of memory is told by other means.
    """
    known = isinstance(error, OperationError) or out_of_memory(error)
    return isinstance(error, Exception | SystemExit) and not known


def in_words(error: BaseException, author: str = "") -> str:
    """Return an error's type and text, and where it came up in its author's package.

    Args:
        error: The error.
        author: A module of the package that the operation is of.
    """
    text = f": {error}" if str(error) else ""
    return f"{type(error).__name__}{text}{place_of(error, author)}"


@contextmanager
def blocks_named(
    network: nn.Module,
    space: SearchSpace,
    genotype: Genotype,
    *,
    catalogue: Catalogue | None = None,
) -> Iterator[None]:
    """Turn what a block of a network raises inside of this into an error that names it.

    It holds for the forward pass and for a backward pass that the block has written itself. Errors
    that do not come out of a block go on as they are.

    Args:
        network: The genotype's network: what `Supernet.freeze` or `build_network` gave.
        space: The space.
        genotype: What the network was built from.
        catalogue: Who made the blocks; the space's own by default.

    Raises:
        OperationError: A block failed.
    """
    try:
        yield
    except (Exception, SystemExit) as error:
        if not is_the_operations(error):
            raise
        owners = _owners(space, genotype, catalogue_of(space, catalogue))
        found = _failed(error, dict(network.named_children()), owners)
        if not found:
            raise
        raise OperationError(found) from error


def _owners(space: SearchSpace, genotype: Genotype, catalogue: Catalogue) -> dict[str, str]:
    """Return who made each block of a genotype, by the name of its module."""
    return {
        variant_key(step, genotype): operation_of(catalogue, step)
        for step in space.resolve(genotype)
        if step.kind in NETWORK_KINDS
    }


def operation_of(catalogue: Catalogue, step: Step) -> str:
    """Return how messages name a block or model: with the distribution that registered it."""
    return f"{step.kind} {step.name!r} of {' '.join(catalogue.origin(step.kind, step.name))}"


def part_of(error: BaseException, operation: nn.Module) -> str:
    """Return the innermost part of an operation that an error came out of, as `/layer2/0/conv1`.

    It is empty where that is the operation itself, or the error came from elsewhere.
    """
    names = {id(part): path for path, part in operation.named_modules() if path}
    owners = (frame.f_locals.get("self") for frame, _ in traceback.walk_tb(error.__traceback__))
    found = [names[id(owner)] for owner in owners if id(owner) in names]
    return "/" + found[-1].replace(".", "/") if found else ""


def fixed_failed(
    error: BaseException, name: str, network: nn.Module, catalogue: Catalogue
) -> OperationError:
    """Return what a fixed network raised as an error with its plugin, the part and the line.

    Args:
        error: What came out of its forward pass.
        name: Name of the registered model.
        network: The network.
        catalogue: Who knows where the model comes from; one that does not leaves that out.
    """
    who = f"model {name!r}"
    with contextlib.suppress(MedpipeError):
        who += f" of {' '.join(catalogue.origin('model', name))}"
    told = in_words(error, type(network).__module__)
    return OperationError(f"{name}{part_of(error, network)}: {who} failed: {told}")


def _failed(
    error: BaseException, children: Mapping[str, nn.Module], owners: Mapping[str, str]
) -> str:
    """Return what failed in words; nothing if the error came from elsewhere."""
    names = {id(child): name for name, child in children.items()}
    backward = False
    for frame, _ in traceback.walk_tb(error.__traceback__):
        owner = frame.f_locals.get("self")
        if isinstance(owner, nn.Module) and [n for n, _ in owner.named_children()] == list(
            children
        ):
            # The network, or a copy of it.
            names |= {id(child): name for name, child in owner.named_children()}
        name = names.get(id(owner), "")
        if name in owners and isinstance(owner, nn.Module):
            author = type(children[name]).__module__
            part = part_of(error, owner)
            return f"{name}{part}: {owners[name]} failed: {in_words(error, author)}"
        # In its forward pass there is no object yet, only the class.
        backward = backward or (
            frame.f_globals.get("__name__", "") == "torch.autograd.function"
            and frame.f_code.co_name == "apply"
            and "self" in frame.f_locals
        )
    if not backward:
        return ""
    return f"the backward pass of an operation failed: {in_words(error)}"
