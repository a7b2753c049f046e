"""Descriptions of search spaces and their members, in pure Python."""

from medpipe_core.space.catalogue import Catalogue
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
    Repeat,
    Value,
    ValueChoice,
)
from medpipe_core.space.space import SearchSpace, compose
from medpipe_core.space.walk import Choice, Step

__all__ = [
    "Budget",
    "Catalogue",
    "Choice",
    "Declaration",
    "Genotype",
    "GenotypeError",
    "Group",
    "InvalidGenotypeError",
    "Mutable",
    "Operation",
    "OperationChoice",
    "Repeat",
    "SearchSpace",
    "SpaceError",
    "Step",
    "Value",
    "ValueChoice",
    "compose",
    "declared_choices",
    "offered",
    "operation",
]
