"""Descriptions of search spaces and their members, in pure Python."""

from medpipe_core.space.catalogue import Catalogue
from medpipe_core.space.composition import compose
from medpipe_core.space.constraints import Limit, forbid
from medpipe_core.space.declaration import Declaration
from medpipe_core.space.declared import declared_choices, offered, operation
from medpipe_core.space.description import Budget
from medpipe_core.space.errors import GenotypeError, InvalidGenotypeError, SpaceError
from medpipe_core.space.genotype import Genotype
from medpipe_core.space.nodes import (
    Group,
    Mutable,
    Operation,
    OperationChoice,
    Ref,
    Repeat,
    Shared,
    ValueChoice,
)
from medpipe_core.space.space import SearchSpace
from medpipe_core.space.steps import Step
from medpipe_core.space.values import Value
from medpipe_core.space.walk import Choice

__all__ = [
    "Budget",
    "Catalogue",
    "Choice",
    "Declaration",
    "Genotype",
    "GenotypeError",
    "Group",
    "InvalidGenotypeError",
    "Limit",
    "Mutable",
    "Operation",
    "OperationChoice",
    "Ref",
    "Repeat",
    "SearchSpace",
    "Shared",
    "SpaceError",
    "Step",
    "Value",
    "ValueChoice",
    "compose",
    "declared_choices",
    "forbid",
    "offered",
    "operation",
]
