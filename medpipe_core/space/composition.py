"""Putting spaces side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING

from medpipe_core.space.catalogue import merge
from medpipe_core.space.nodes import Group, Mutable
from medpipe_core.space.space import SearchSpace

if TYPE_CHECKING:
    from collections.abc import Iterable

    from medpipe_core.space.catalogue import Catalogue
    from medpipe_core.space.constraints import Limit
    from medpipe_core.space.description import Budget


def compose(
    name: str,
    *,
    budget: Budget | None = None,
    constraints: Iterable[Limit] = (),
    **parts: SearchSpace | Mutable,
) -> SearchSpace:
    """Put spaces side by side; the choices of each get its name as a prefix.

    Args:
        name: Name of the new space.
        budget: Limits of the new space; those of the parts are not taken over.
        constraints: Further ones, on the new paths; those of the parts are kept.
        parts: Name → space or node, in running order.

    Example:
        >>> from medpipe_core import Group, SearchSpace, ValueChoice, compose
        >>> one = SearchSpace("one", Group({"x": ValueChoice(1, 2)}))
        >>> list(compose("both", a=one, b=one).choices)
        ['a/x', 'b/x']
    """
    nodes: dict[str, Mutable] = {}
    catalogues: list[Catalogue | None] = []
    limits: list[Limit] = []
    for key, part in parts.items():
        if isinstance(part, Mutable):
            nodes[key] = part
            continue
        nodes[key] = part.root
        catalogues.append(part.catalogue)
        limits += [limit.below(key, part.choices) for limit in part.constraints]
    return SearchSpace(
        name,
        Group(nodes),
        budget=budget,
        constraints=(*limits, *constraints),
        catalogue=merge(catalogues),
    )
