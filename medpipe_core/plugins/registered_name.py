"""Parameters that name something registered, checked where a registry is at hand."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic_core import core_schema

from medpipe_core.plugins.errors import MissingPluginError, UnknownNameError

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler, ValidationInfo

REGISTRY = "registry"
"""Key of the registry in the context of pydantic's validation."""


@dataclass(frozen=True)
class Registered:
    """Says in an annotation that a text names something registered.

    A misspelt name is then refused with the nearest ones, before anything is imported.

    Attributes:
        kind: augmentation, block, space, searcher, estimator, dataset or model.
        unless: Texts that match this pattern whole are no such name, and let through.

    Example:
        >>> from typing import Annotated
        >>> names: type = Annotated[str, Registered("augmentation")]
    """

    kind: str
    unless: str | None = None

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        return core_schema.with_info_after_validator_function(self._check, handler(source))

    def _check(self, name: str, info: ValidationInfo) -> str:
        registry = (info.context or {}).get(REGISTRY)
        if registry is None or (self.unless and re.fullmatch(self.unless, name)):
            return name
        try:
            registry.entry(self.kind, name)
        except MissingPluginError:
            raise
        except UnknownNameError as error:
            raise ValueError(str(error)) from None
        return name
