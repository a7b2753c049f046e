"""Names of a package that are imported on first use, so that importing it costs nothing."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping


def lazy_names(package: str, names: Mapping[str, Iterable[str]]) -> Callable[[str], Any]:
    """Return a module-level `__getattr__` (PEP 562) for a package.

    Args:
        package: The package's `__name__`.
        names: Module within the package → the names that are found in it.

    Example:
        >>> find = lazy_names("medpipe_core", {"seeding": ["child_seed"]})
        >>> find("child_seed").__name__
        'child_seed'
    """
    module_of = {name: module for module, found in names.items() for name in found}

    def getattribute(name: str) -> Any:
        if name not in module_of:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(importlib.import_module(f"{package}.{module_of[name]}"), name)

    return getattribute
