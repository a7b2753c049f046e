"""Estimators by name: whoever registered one makes it; torch-free, for help and checking."""

from __future__ import annotations

import pkgutil
from typing import TYPE_CHECKING, Any

from medpipe_core.errors import did_you_mean
from medpipe_core.plugins import REGISTRY, UnknownNameError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pydantic import ValidationInfo

    from medpipe_core.plugins import Registry
    from medpipe_core.space import SearchSpace

KIND = "estimator"
CORE = {
    "look-ahead": "medpipe_core.search.score_function:LookAheadEstimator",
    "agreement": "medpipe_core.search.score_function:AgreementEstimator",
    "score": "medpipe_core.search.score_function:AugmentedLossEstimator",
    "orbit": "medpipe_core.search.orbit_estimator:OrbitEstimator",
    "gate": "medpipe_core.search.gate_estimator:GateEstimator",
}
"""The core's own estimators: name → import string."""


class RegisteredEstimator(str):
    """The name of an estimator, with the registry that it was found in."""

    __slots__ = ("registry",)
    registry: Registry

    @classmethod
    def found(cls, name: str, info: ValidationInfo) -> str:
        """Return a name that knows its registry, where a validation has one at hand."""
        registry = (info.context or {}).get(REGISTRY)
        if registry is None:
            return name
        known = cls(name)
        known.registry = registry
        return known


def make_estimator(
    estimator: str | Callable[..., Any],
    space: SearchSpace,
    parameters: Mapping[str, Any] | None = None,
) -> Any:
    """Return what is to be an `Estimator` for a space.

    Args:
        estimator: A class, or what else makes one of `(space, **parameters)`; or a name. Settings
            that were checked against a registry hand over names that know it; of any other name
            only the core's own are known: `look-ahead`, `agreement`, `score`, `orbit` and `gate`.
        space: The space that is searched.
        parameters: The estimator's own.

    Raises:
        UnknownNameError: There is none of that name.
        PluginError: What is registered cannot be made.
    """
    given = dict(parameters or {})
    if isinstance(estimator, RegisteredEstimator):
        return estimator.registry.create(KIND, str(estimator), space, **given)
    if not isinstance(estimator, str):
        return estimator(space, **given)
    if estimator not in CORE:
        raise UnknownNameError(
            f"there is no estimator {estimator!r} in the core.{did_you_mean(estimator, CORE)} One "
            "of another package is handed over as a class, or by its name where the searcher is "
            "made by a registry: registry.create('searcher', 'gumbel', space, ..., "
            f"estimator={estimator!r})"
        )
    return pkgutil.resolve_name(CORE[estimator])(space, **given)
