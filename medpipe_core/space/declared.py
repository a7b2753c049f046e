"""Operations as their authors declare them: searchable parameters are `ValueChoice` attributes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from medpipe_core.errors import did_you_mean
from medpipe_core.space.errors import SpaceError
from medpipe_core.space.nodes import Operation, ValueChoice

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from medpipe_core.space.catalogue import Catalogue
    from medpipe_core.space.values import Value


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
    parameters: Mapping[str, Value | ValueChoice] | None = None,
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
        SpaceError: `offering` names what is not declared, or values that are not allowed.
    """
    declared = declared_choices(catalogue.factory(kind, name))
    what = f"{kind} {name!r}"
    chosen = offered(declared, offering or {}, what)
    return Operation(kind, name, {**chosen, **(parameters or {})}, neutral=neutral)


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
