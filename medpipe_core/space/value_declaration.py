"""What the values of a choice may be: their kind, bounds and unit."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from medpipe_core.space.errors import SpaceError

if TYPE_CHECKING:
    from collections.abc import Iterable

Kind = Literal["integer", "number", "boolean", "string", "any"]

_NUMERIC = ("integer", "number")
_SIGNS = {"gt": ">", "ge": "≥", "lt": "<", "le": "≤"}
_SCHEMA = {
    "gt": "exclusiveMinimum",
    "ge": "minimum",
    "lt": "exclusiveMaximum",
    "le": "maximum",
}


@dataclass(frozen=True)
class Declaration:
    """What values there may be.

    Attributes:
        kind: integer, number, boolean, string or any.
        gt: What numbers have to be above, or None.
        ge: What they have to reach.
        lt: What they have to stay below.
        le: What they must not exceed.
        unit: Their unit, or an empty text.
        description: One line about them, or an empty text.
    """

    kind: Kind
    gt: float | None = None
    ge: float | None = None
    lt: float | None = None
    le: float | None = None
    unit: str = ""
    description: str = ""

    @classmethod
    def of(cls, values: Iterable[Any], *declared: Any) -> Declaration:
        """Return a declaration whose kind is that of these values.

        Raises:
            SpaceError: A bound is no finite number, or there is one and the values are no numbers.
        """
        found = list(values)
        declaration = cls(_kind(found), *declared)
        declaration._check_bounds(found)
        return declaration

    def _check_bounds(self, values: list[Any]) -> None:
        bounds = {name: getattr(self, name) for name in _SIGNS if getattr(self, name) is not None}
        for name, bound in bounds.items():
            if _kind([bound]) not in _NUMERIC or not math.isfinite(bound):
                raise SpaceError(f"{name}={bound!r} is no bound; give a finite number or leave it")
        if bounds and self.kind not in _NUMERIC:
            given = ", ".join(f"{name}={bound}" for name, bound in bounds.items())
            odd = ", ".join(repr(value) for value in values if _kind([value]) not in _NUMERIC)
            raise SpaceError(
                f"{given} can hold for numbers only, but among the values is {odd}; give numbers, "
                "or leave the bound out"
            )

    @property
    def limits(self) -> str:
        """The bounds as people read them, such as `> 0, ≤ 1`, or an empty text."""
        bounds = ((sign, getattr(self, name)) for name, sign in _SIGNS.items())
        return ", ".join(f"{sign} {bound}" for sign, bound in bounds if bound is not None)

    def schema(self) -> dict[str, Any]:
        """Return the JSON schema of one value."""
        schema: dict[str, Any] = {} if self.kind == "any" else {"type": self.kind}
        for name, word in _SCHEMA.items():
            if getattr(self, name) is not None:
                schema[word] = getattr(self, name)
        texts = [self.description, f"in {self.unit}" if self.unit else ""]
        if any(texts):
            schema["description"] = ", ".join(filter(None, texts))
        return schema

    def checked(self, values: Iterable[Any]) -> tuple[Any, ...]:
        """Return values that are what it says; a whole number may come as 4.0.

        Raises:
            SpaceError: Some are not; the text has every one of them and what is asked.
        """
        given = [_whole(value) if self.kind == "integer" else value for value in values]
        wrong = [value for value in given if not self._allows(value)]
        if wrong:
            asked = f"{_ARTICLE[self.kind]} {self.limits}".rstrip()
            found = ", ".join(map(repr, wrong))
            raise SpaceError(f"each value must be {asked}, but got {found}")
        return tuple(given)

    def _allows(self, value: Any) -> bool:
        if self.kind == "any":
            return True
        kind = _kind([value])
        if kind != self.kind and (kind, self.kind) != ("integer", "number"):
            return False
        if self.kind not in _NUMERIC:
            return True
        return (
            (self.gt is None or value > self.gt)
            and (self.ge is None or value >= self.ge)
            and (self.lt is None or value < self.lt)
            and (self.le is None or value <= self.le)
        )


_ARTICLE = {
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "string": "a text",
    "any": "a plain value",
}


def _kind(values: list[Any]) -> Kind:
    if all(isinstance(value, bool) for value in values):
        return "boolean"
    if any(isinstance(value, bool) for value in values):
        return "any"
    if all(isinstance(value, int) for value in values):
        return "integer"
    if all(isinstance(value, int | float) for value in values):
        return "number"
    return "string" if all(isinstance(value, str) for value in values) else "any"


def _whole(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value
