"""A rehearsal of a run, without data or weights: what must fail later is told now.

It comes before the run folder is made, so that a wrong value, a plugin that is not there or a
missing package costs a second and leaves nothing behind.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import torch

from medpipe_core.config.errors import ConfigurationError
from medpipe_core.errors import MedpipeError, MissingExtraError
from medpipe_core.execution.plan import uses_shared_weights
from medpipe_core.plugins import MissingPluginError, PluginError, UnknownNameError
from medpipe_core.search import Searcher
from medpipe_core.seeding import child_seed
from medpipe_core.space.description import operations
from medpipe_core.supernet import BindingError, Supernet, build_network, build_policy
from medpipe_core.supernet.building import NETWORK_KINDS

if TYPE_CHECKING:
    from medpipe_core.execution.context import RunContext
    from medpipe_core.plugins import Registry
    from medpipe_core.space import Genotype, SearchSpace
    from medpipe_core.supernet import ResourceMeter, Resources

# As many as a searcher draws before it gives up.
_DRAWS = 2000
# How many the search will have is known once the data are read; so many suit every searcher.
_STEPS = 1000


def rehearse(context: RunContext) -> None:
    """Bind the space, look for a network within its budget, and make the searcher.

    Args:
        context: The run's configuration, bound.

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
    if space.size() > 1:  # else there is nothing to search
        _make_searcher(context)


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
        try:
            catalogue.factory(kind, name)
        except MissingPluginError:
            raise
        except UnknownNameError as error:
            raise ConfigurationError([f"{who}: {error}"]) from error


def _beyond_budget(space: SearchSpace, meter: ResourceMeter, *, seed: int) -> str:
    """Measure genotypes until one keeps the budget; return what is wrong where none does."""
    rng = random.Random(child_seed(seed, "rehearsal"))  # noqa: S311
    cheapest = space.sample(rng=rng)
    for _ in range(_DRAWS):
        if meter.admits(cheapest):
            return ""
        cheapest = min(cheapest, space.sample(rng=rng), key=lambda g: _excess(space, meter(g)))
    cost = meter(_cheaper(space, meter, cheapest))
    return (
        f"none of {_DRAWS} genotypes keeps the budget ({space.budget}); the cheapest that was "
        f"found has {cost.parameters:,} parameters and {cost.multiply_adds:,} multiply-adds. Raise "
        "the budget (a preset may have set it), or narrow the channels or the resolution of the "
        "volumes (such as dataset.size)"
    )


def _cheaper(space: SearchSpace, meter: ResourceMeter, start: Genotype) -> Genotype:
    """Change one choice after another for as long as that lowers the cost."""
    now, before = start, None
    while now != before:
        before = now
        for path in before:
            if path not in now.choices:  # a change of this round has closed it
                continue
            for key in space.choices[path].keys:
                kept = {**now.choices, path: key}
                moved = space.decide(lambda choice: kept.get(choice.path, choice.keys[0]))  # noqa: B023
                if space.admits(moved):
                    now = min(now, moved, key=lambda g: _excess(space, meter(g)))
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


def _make_searcher(context: RunContext) -> None:
    configuration = context.configuration
    entry = context.registry.entry("searcher", configuration.searcher)
    try:
        searcher = entry.make(
            context.space,
            seed=configuration.keys.seed,
            steps=_STEPS,
            admit=context.meter.admits,
            **configuration.parameters["searcher"],
        )
    except (PluginError, MissingPluginError, MissingExtraError):
        raise
    except MedpipeError as error:
        raise ConfigurationError([f"searcher={configuration.searcher}: {error}"]) from error
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
