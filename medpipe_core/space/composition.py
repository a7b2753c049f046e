"""Putting spaces side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING

from medpipe_core.space.budget import Budget
from medpipe_core.space.catalogue import merge
from medpipe_core.space.description import operations
from medpipe_core.space.errors import SpaceError
from medpipe_core.space.known import known_below
from medpipe_core.space.nodes import Group, Mutable
from medpipe_core.space.search_space import SearchSpace

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from medpipe_core.space.catalogue import Catalogue
    from medpipe_core.space.constraints import Limit


def compose(
    name: str,
    *,
    budget: Budget | None = None,
    constraints: Iterable[Limit] = (),
    **parts: SearchSpace | Mutable,
) -> SearchSpace:
    """Put spaces side by side; the choices of each get its name as a prefix.

    What several parts know by one name becomes one.

    Args:
        name: Name of the new space.
        budget: Limits of the new space; `Budget()` for none. By default those of the one part that
            has a budget, if no other part has blocks.
        constraints: Further ones, on the new paths; those of the parts are kept.
        parts: Name → space or node, in running order.

    Raises:
        SpaceError: A part is neither space nor node, or a budget has to be given: a budget is about
            the whole network, and that of a part cannot stand for it where another part has blocks
            or a budget of its own.

    Example:
        >>> from medpipe_core import Group, SearchSpace, ValueChoice, compose
        >>> one = SearchSpace("one", Group({"x": ValueChoice(1, 2)}))
        >>> list(compose("both", a=one, b=one).choices)
        ['a/x', 'b/x']
    """
    nodes: dict[str, Mutable] = {}
    catalogues: list[Catalogue | None] = []
    limits: list[Limit] = []
    known: dict[str, dict[str, str]] = {}
    for key, part in parts.items():
        if isinstance(part, Mutable):
            nodes[key] = part
            continue
        if not isinstance(part, SearchSpace):
            raise SpaceError(
                f"compose {name!r}: part {key!r} is a {type(part).__name__}; give a SearchSpace, "
                "such as registry.space(...), or a node, such as ValueChoice(1, 2)"
            )
        nodes[key] = part.root
        catalogues.append(part.catalogue)
        limits += [limit.below(key, part.choices) for limit in part.constraints]
        for named, choices in known_below(part.known, key).items():
            known.setdefault(named, {}).update(choices)
    return SearchSpace(
        name,
        Group(nodes),
        budget=budget if budget is not None else _budget_of(name, parts, nodes),
        constraints=(*limits, *constraints),
        catalogue=merge(catalogues),
        known=known,
    )


_NETWORK = ("block", "model")


def _budget_of(
    name: str, parts: Mapping[str, SearchSpace | Mutable], nodes: Mapping[str, Mutable]
) -> Budget | None:
    """Return the one budget that stands for the whole network."""
    own = {
        key: part.budget
        for key, part in parts.items()
        if isinstance(part, SearchSpace) and part.budget not in (None, Budget())
    }
    if not own:
        return None
    beside = [
        key
        for key, node in nodes.items()
        if key not in own and any(kind in _NETWORK for kind, _ in operations(node))
    ]
    if len(own) == 1 and not beside:
        return next(iter(own.values()))
    budgets = ", ".join(f"{key!r} has {budget}" for key, budget in own.items())
    blocks = "".join(f", {key!r} has blocks" for key in beside)
    raise SpaceError(
        f"compose {name!r}: a budget is about the whole network, and no part's can stand for it: "
        f"{budgets}{blocks}. Give compose(..., budget=Budget(...)), or budget=Budget() for none"
    )
