"""Operations as their authors declare them: searchable parameters are `ValueChoice` attributes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from medpipe_core.errors import did_you_mean
from medpipe_core.space.catalogue import SettingsChecker
from medpipe_core.space.errors import SpaceError
from medpipe_core.space.nodes import Operation, Ref, ValueChoice

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from medpipe_core.space.catalogue import Catalogue
    from medpipe_core.space.values import Value


_AUGMENTATION, _PROBABILITY = "augmentation", "p"
_WIDTHS = "widths"
Factory = TypeVar("Factory")


def widths(*names: str) -> Callable[[Factory], Factory]:
    """Say which parameters of a block or model are its width, so that it can be made narrower.

    Each is a whole number of channels from 1 that may be any other, or None for as many as come in.
    A block without a width of its own has `@widths()`; what says nothing is never made narrower.

    Example:
        >>> @widths("channels")
        ... class Block: ...
    """

    def say(factory: Factory) -> Factory:
        setattr(factory, _WIDTHS, names)
        return factory

    return say


def declared_widths(factory: object) -> tuple[str, ...] | None:
    """Return the parameters that are a factory's width; None where it does not say."""
    return getattr(factory, _WIDTHS, None)


def declared_choices(factory: object) -> dict[str, ValueChoice]:
    """Return the searchable parameters that a class declares, those of base classes first.

    What is no class declares none.
    """
    found: dict[str, ValueChoice] = {}
    for base in reversed(getattr(factory, "__mro__", ())):
        found |= {n: value for n, value in vars(base).items() if isinstance(value, ValueChoice)}
    return found


def operation(
    catalogue: Catalogue,
    kind: str,
    name: str,
    parameters: Mapping[str, Value | ValueChoice | Ref] | None = None,
    *,
    offering: Mapping[str, Sequence[Value]] | None = None,
    neutral: Mapping[str, Value] | None = None,
) -> Operation:
    """Describe a registered operation with the searchable parameters that it declares.

    Args:
        catalogue: Who knows the operation, such as a registry.
        kind: augmentation or block.
        name: Its name there.
        parameters: Further parameters, fixed or searchable; they win over declared ones.
        offering: Declared parameter → other values to choose from.
        neutral: Parameter → value at which the operation is the identity.

    Raises:
        MedpipeError: The catalogue does not know the operation, or cannot import it.
        SpaceError: `offering` names what is not declared, or `parameters` what the operation does
            not take, or values that are not allowed. What a `Ref` stands for is checked where the
            space is bound to modules.
    """
    declared = declared_choices(catalogue.factory(kind, name))
    what = f"{kind} {name!r}"
    chosen = offered(declared, offering or {}, what)
    described = Operation(kind, name, {**chosen, **(parameters or {})}, neutral=neutral)
    if not described.references:
        check_values(catalogue, kind, name, values_of(described))
    return described


def values_of(
    described: Operation, shared: Mapping[str, ValueChoice] | None = None
) -> dict[str, tuple[Value, ...]]:
    """Return the values that each parameter of an operation may take.

    Args:
        described: The operation.
        shared: Name → choice, for what it refers to.
    """
    found: dict[str, tuple[Value, ...]] = {}
    for name, value in described.parameters.items():
        choice = (shared or {})[value.name] if isinstance(value, Ref) else value
        found[name] = choice.values if isinstance(choice, ValueChoice) else (choice,)
    return found


def check_values(
    catalogue: Catalogue, kind: str, name: str, values: Mapping[str, Sequence[Value]]
) -> None:
    """Refuse values of parameters that an operation does not take.

    A declared parameter must keep its declaration. The others are settings of the factory; what
    those may be, only some catalogues know.

    Args:
        catalogue: Who knows the operation.
        kind: augmentation or block.
        name: Its name there.
        values: Parameter → every value that it may be given.

    Raises:
        MedpipeError: The catalogue does not know the operation, or cannot import it.
        SpaceError: A parameter or a value is wrong; the text has all of them.
    """
    declared = declared_choices(catalogue.factory(kind, name))
    what = f"{kind} {name!r}"
    offered(declared, {n: values[n] for n in values if n in declared}, what)
    if not isinstance(catalogue, SettingsChecker):
        return
    # Of an augmentation, magnitudes and probability are no business of the constructor.
    apart = {*declared, _PROBABILITY} if kind == _AUGMENTATION else set()
    settings = {n: values[n] for n in values if n not in apart}
    problems = catalogue.settings_problems(kind, name, settings)
    if problems:
        raise SpaceError(f"{what}: {'; '.join(problems)}")


def offered(
    declared: Mapping[str, ValueChoice], offering: Mapping[str, Sequence[Value]], what: str
) -> dict[str, ValueChoice]:
    """Return declared choices, some with other values.

    Raises:
        SpaceError: A name is not declared, or a value not allowed; the text has `what` and where.
    """
    chosen: dict[str, Any] = dict(declared)
    for name, values in offering.items():
        if name not in declared:
            near = did_you_mean(name, declared) or " It declares none."
            raise SpaceError(f"{what} declares no searchable parameter {name!r}.{near}")
        try:
            chosen[name] = declared[name].offering(*values)
        except SpaceError as error:
            raise SpaceError(f"{what}, {name}: {error}") from None
    return chosen
