"""Descriptions of search spaces and their members, in pure Python."""

from medpipe_core.space.activity import active_weights, idle, idle_keys
from medpipe_core.space.budget import Budget
from medpipe_core.space.catalogue import Catalogue
from medpipe_core.space.choices import Choice
from medpipe_core.space.composition import compose
from medpipe_core.space.constraints import Limit, forbid
from medpipe_core.space.declared_operations import (
    declared_choices,
    declared_widths,
    offered,
    operation,
    widths,
)
from medpipe_core.space.errors import GenotypeError, InvalidGenotypeError, SpaceError
from medpipe_core.space.genotype import Genotype
from medpipe_core.space.genotype_steps import Step
from medpipe_core.space.meaning import MEANINGS, allowed_augmentations, declared_changes
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
from medpipe_core.space.search_space import SearchSpace
from medpipe_core.space.value_declaration import Declaration
from medpipe_core.space.values import Value

__all__ = [
    "MEANINGS",
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
    "active_weights",
    "allowed_augmentations",
    "compose",
    "declared_changes",
    "declared_choices",
    "declared_widths",
    "forbid",
    "idle",
    "idle_keys",
    "offered",
    "operation",
    "widths",
]
