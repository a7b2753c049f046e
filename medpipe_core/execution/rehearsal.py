"""A rehearsal of a run, without data or weights: what must fail later is told now.

It comes before the run folder is made, so that a wrong value, a plugin that is not there or a
missing package costs a second and leaves nothing behind.
"""

from __future__ import annotations

import math
import random
from typing import TYPE_CHECKING

import torch

from medpipe_core.config.errors import ConfigurationError
from medpipe_core.execution.configured import configured
from medpipe_core.execution.plan import uses_shared_weights
from medpipe_core.plugins import PluginError
from medpipe_core.search import Searcher
from medpipe_core.seeding import child_seed
from medpipe_core.space.description import operations
from medpipe_core.supernet import BindingError, Supernet, build_network, build_policy
from medpipe_core.supernet.building import NETWORK_KINDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from medpipe_core.execution.context import RunContext
    from medpipe_core.plugins import Registry
    from medpipe_core.space import Genotype, SearchSpace
    from medpipe_core.supernet import ResourceMeter, Resources

# As many as a searcher draws before it gives up.
_DRAWS = 2000
# Of a space with very many choices fewer are drawn: so many choices are walked through in all.
_MOST_STEPS = 50_000
_FEWEST_DRAWS = 20
_MOST_ONE_BY_ONE = 100
# How many the search will have is known once the data are read; so many suit every searcher.
_STEPS = 1000


def rehearse(context: RunContext) -> bool:
    """Bind the space, look for a network within its budget, and make the searcher.

    Args:
        context: The run's configuration, bound.

    Returns:
        Whether there is something to search.

    Raises:
        ConfigurationError: The space has no network or cannot be bound, (almost) nothing keeps its
            budget, or the searcher refuses its settings.
        MissingPluginError: An operation may be of a plugin that is not there.
        MissingExtraError: The searcher needs a package that is not installed.
        PluginError: An operation or the searcher cannot be imported or made.
    """
    space = context.space
    who = f"space={context.configuration.space}"
    _find_operations(space, context.registry, who)
    try:
        with torch.device("meta"):  # modules without numbers
            Supernet(space, **context.shape)
            for level in context.keys.search.levels():
                if level["width"] < 1:
                    genotype = space.sample(seed=0)
                    build_network(space, genotype, width=level["width"], **context.shape)
        build_policy(space, space.sample(seed=0))
        problem = _beyond_budget(space, context.meter, seed=context.keys.seed)
    except BindingError as error:
        raise ConfigurationError([f"{who}: {error}"]) from error
    except (RuntimeError, OverflowError, MemoryError) as error:  # what torch says of absurd sizes
        reason = str(error).partition("\n")[0]
        raise ConfigurationError([f"{who}: its network cannot be made: {reason}"]) from error
    if problem:
        raise ConfigurationError([f"{who}: {problem}"])
    return space.size() > 1 and _make_searcher(context).answer is None


def _find_operations(space: SearchSpace, registry: Registry, who: str) -> None:
    catalogue = space.catalogue or registry
    found = sorted(set(operations(space.root)))
    if not any(kind in NETWORK_KINDS for kind, _ in found):
        raise ConfigurationError(
            [
                f"{who}: it has no block, so that its network would be one linear layer on the "
                "mean of each channel; compose it with a network, as medpipe-joint does"
            ]
        )
    for kind, name in found:
        with configured(who):
            catalogue.factory(kind, name)


def _beyond_budget(space: SearchSpace, meter: ResourceMeter, *, seed: int) -> str:
    """Measure genotypes until one keeps the budget; return what is wrong where none does."""
    rng = random.Random(child_seed(seed, "rehearsal"))  # noqa: S311
    cheapest = space.sample(rng=rng)
    least = _excess(space, meter(cheapest))
    draws = max(min(_DRAWS, _MOST_STEPS // max(len(cheapest.choices), 1)), _FEWEST_DRAWS)
    for _ in range(draws):
        if least <= 1:
            return ""
        drawn = space.sample(rng=rng)
        excess = _excess(space, meter(drawn))
        if excess < least:
            cheapest, least = drawn, excess
    cost = meter(_cheaper(space, meter, cheapest))
    return (
        f"none of {draws} genotypes drawn at random keeps the budget ({space.budget}), so that a "
        "search finds none either; the cheapest that was "
        f"found has {cost.parameters:,} parameters and {cost.multiply_adds:,} multiply-adds. Raise "
        "the budget (a preset may have set it), or narrow the channels or the resolution of the "
        "volumes (such as dataset.size)"
    )


def _cheaper(space: SearchSpace, meter: ResourceMeter, start: Genotype) -> Genotype:
    """Change choices for as long as that lowers the cost: alike ones at once, then one by one.

    In a space of very many choices it is left at the first, since the second takes their square.
    """
    alike: dict[tuple[str, ...], list[str]] = {}
    for path, choice in space.choices.items():
        alike.setdefault(choice.keys, []).append(path)
    now = _changed(space, meter, start, alike.values())
    if len(space.choices) <= _MOST_ONE_BY_ONE:
        before = None
        while now != before:
            before = now
            now = _changed(space, meter, now, [[path] for path in before])
    return now


def _changed(
    space: SearchSpace, meter: ResourceMeter, now: Genotype, groups: Iterable[Sequence[str]]
) -> Genotype:
    """Give the choices of one group after another the key with which the network costs least."""
    least = _excess(space, meter(now))
    for paths in groups:
        if not any(path in now.choices for path in paths):  # a change has closed them
            continue
        for key in space.choices[paths[0]].keys:
            kept = {**now.choices, **dict.fromkeys(paths, key)}
            moved = space.decide(lambda choice: kept.get(choice.path, choice.keys[0]))  # noqa: B023
            excess = _excess(space, meter(moved)) if space.admits(moved) else math.inf
            if excess < least:
                now, least = moved, excess
    return now


def _excess(space: SearchSpace, cost: Resources) -> float:
    """Return by what factor a cost is above the budget, of its limits the one most exceeded."""
    budget = space.budget
    limits = (
        ()
        if budget is None
        else ((cost.parameters, budget.parameters), (cost.multiply_adds, budget.multiply_adds))
    )
    return max((spent / limit for spent, limit in limits if limit is not None), default=0.0)


def _make_searcher(context: RunContext) -> Searcher:
    configuration = context.configuration
    entry = context.registry.entry("searcher", configuration.searcher)
    with configured(f"searcher={configuration.searcher}"):
        searcher = entry.make(
            context.space,
            seed=configuration.keys.seed,
            steps=_STEPS,
            admit=context.meter.admits,
            **configuration.parameters["searcher"],
        )
    if not isinstance(searcher, Searcher):
        raise PluginError(
            f"{entry.who} made a {type(searcher).__name__}, not a medpipe_core.Searcher"
        )
    search = configuration.keys.search
    if searcher.carries and (search.scores != "trained" or search.rungs > 1):
        raise ConfigurationError(
            [
                f"searcher={configuration.searcher}: its trainings go on from epoch to epoch; give "
                "search.scores=trained and search.rungs=1"
            ]
        )
    steps = search.steps
    if steps is not None and not uses_shared_weights(configuration.keys, searcher.needs):
        raise ConfigurationError(
            [
                f"search.steps={steps} counts steps that train shared weights, but nobody uses "
                f"any: searcher={configuration.searcher} learns from trainings of their own; give "
                "search.trials or search.hours"
            ]
        )
    return searcher
