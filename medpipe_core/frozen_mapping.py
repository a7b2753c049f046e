"""A mapping that cannot be changed, and that can be copied, pickled and sent to another process."""

from __future__ import annotations

import copy
from collections.abc import ItemsView, Iterator, KeysView, Mapping, ValuesView
from typing import Any, TypeVar, overload

K = TypeVar("K")
V = TypeVar("V", covariant=True)
T = TypeVar("T")


class FrozenMapping(Mapping[K, V]):
    """A read-only copy of a mapping; `types.MappingProxyType` can be neither copied nor pickled.

    Args:
        items: What it holds, in this order.

    Example:
        >>> import copy
        >>> frozen = FrozenMapping({"a": 1})
        >>> copy.deepcopy(frozen) == frozen == {"a": 1}
        True
    """

    __slots__ = ("_items",)

    _items: dict[K, V]

    def __init__(self, items: Mapping[K, V] | None = None) -> None:
        object.__setattr__(self, "_items", dict(items or {}))

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"a FrozenMapping is immutable; cannot set {name!r}")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"a FrozenMapping is immutable; cannot delete {name!r}")

    def __getitem__(self, key: K) -> V:
        return self._items[key]

    def __iter__(self) -> Iterator[K]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __contains__(self, key: object) -> bool:
        return key in self._items

    # Those of `Mapping` would go through Python for every item.

    @overload
    def get(self, key: K, /) -> V | None: ...
    @overload
    def get(self, key: K, /, default: V | T) -> V | T: ...
    def get(self, key: K, /, default: Any = None) -> Any:
        """Return the value of a key, or else the default."""
        return self._items.get(key, default)

    def keys(self) -> KeysView[K]:
        """Return its keys."""
        return self._items.keys()

    def values(self) -> ValuesView[V]:
        """Return its values."""
        return self._items.values()

    def items(self) -> ItemsView[K, V]:
        """Return its items."""
        return self._items.items()

    def __eq__(self, other: object) -> bool:
        if isinstance(other, FrozenMapping):
            return self._items == other._items
        return self._items == other if isinstance(other, dict) else super().__eq__(other)

    __hash__ = None  # type: ignore[assignment]  # as of every mapping whose values may change

    def __repr__(self) -> str:
        return f"FrozenMapping({self._items!r})"

    def __reduce__(self) -> tuple[type[FrozenMapping[K, V]], tuple[dict[K, V]]]:
        return type(self), (self._items,)

    def __copy__(self) -> FrozenMapping[K, V]:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> FrozenMapping[K, V]:
        return type(self)(copy.deepcopy(self._items, memo))
