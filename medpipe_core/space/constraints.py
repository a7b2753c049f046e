"""Constraints over several choices, as plain data."""

from __future__ import annotations

import fnmatch
import reprlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from medpipe_core.frozen_mapping import FrozenMapping
from medpipe_core.space.errors import SpaceError
from medpipe_core.space.values import plain_text, plain_value, value_key

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from medpipe_core.space.values import Value

_WILD = "*?["


@dataclass(frozen=True)
class Limit:
    """How many choices may take certain keys.

    Counted are the active choices whose path matches and whose key is named; a choice that several
    patterns match counts once, and so does one that is shared by several places.

    Attributes:
        keys: Path, or pattern with `*`, `?` and `[...]` as in file names (`*` crosses slashes) →
            keys, or the values they stand for.
        at_least: Fewest that must take one of their keys, 0 or more.
        at_most: Most that may; None for no bound.
        reason: Why, for whoever breaks it.

    Raises:
        SpaceError: It limits nothing, or its bounds contradict each other. Whether paths and keys
            exist is checked by `SearchSpace`.

    Example:
        >>> from medpipe_core import Group, SearchSpace, ValueChoice
        >>> root = Group({name: ValueChoice("on", "off") for name in "abcd"})
        >>> SearchSpace("two", root, constraints=[Limit({"*": ["on"]}, at_most=2)]).size()
        11
    """

    keys: Mapping[str, tuple[str, ...]]
    at_least: int = 0
    at_most: int | None = None
    reason: str = ""

    def __init__(
        self,
        keys: Mapping[str, Iterable[Value]],
        *,
        at_least: int = 0,
        at_most: int | None = None,
        reason: str = "",
    ) -> None:
        put = object.__setattr__
        put(self, "keys", FrozenMapping({path: limit_keys(path, keys[path]) for path in keys}))
        put(self, "at_least", at_least)
        put(self, "at_most", at_most)
        put(self, "reason", reason)
        if not keys:
            raise SpaceError("a Limit needs at least one path with its keys")
        if type(at_least) is not int or at_least < 0:
            raise SpaceError(f"a Limit's at_least must be an integer from 0, but is {at_least!r}")
        if at_most is not None and (type(at_most) is not int or at_most < at_least):
            raise SpaceError(
                f"a Limit's at_most must be an integer from at_least={at_least}, but is {at_most!r}"
            )
        if at_most is None and at_least == 0:
            raise SpaceError(
                "a Limit needs at_most, or an at_least above 0; else it limits nothing"
            )
        if not isinstance(reason, str):
            raise SpaceError(f"a Limit's reason must be a text, but is {reason!r}")
        plain_text(reason)

    def __str__(self) -> str:
        what = "; ".join(f"{path} = {' or '.join(keys)}" for path, keys in self.keys.items())
        return f"{self.bounds} of ({what})" + (f", because {self.reason}" if self.reason else "")

    @property
    def bounds(self) -> str:
        """How many, in words."""
        if self.at_most is None:
            return f"at least {self.at_least}"
        if self.at_most == 0:
            return "none"
        if self.at_least == self.at_most:
            return f"exactly {self.at_most}"
        return f"{self.at_least} to {self.at_most}" if self.at_least else f"at most {self.at_most}"

    def below(self, name: str, paths: Iterable[str]) -> Limit:
        """Return the same limit for a space of these choices that stands under a name."""
        keys: dict[str, tuple[str, ...]] = {}
        for pattern, taken in self.keys.items():
            matched = [path for path in paths if fnmatch.fnmatchcase(path, pattern)]
            if "" in matched:  # the root is a choice itself, and its path becomes the name alone
                keys[name] = tuple(dict.fromkeys((*keys.get(name, ()), *taken)))
            if any(matched):
                keys[f"{name}/{pattern}"] = taken
        return self.with_keys(keys)

    def within(self, name: str) -> Limit | None:
        """Return the limit for what stands under a name; None where it reaches beyond that."""
        if not all(path == name or path.startswith(f"{name}/") for path in self.keys):
            return None
        return self.with_keys(
            {path.removeprefix(name).removeprefix("/"): taken for path, taken in self.keys.items()}
        )

    def with_keys(self, keys: Mapping[str, tuple[str, ...]]) -> Limit:
        """Return the same limit on other keys."""
        return Limit(keys, at_least=self.at_least, at_most=self.at_most, reason=self.reason)


def forbid(keys: Mapping[str, Iterable[Value]], *, reason: str = "") -> Limit:
    """Return the limit that these choices do not all take one of their keys together.

    Args:
        keys: Path → keys, or the values they stand for; no patterns.
        reason: Why, for whoever breaks it.

    Raises:
        SpaceError: A path is a pattern, so that a combination could not be told.

    Example:
        >>> print(forbid({"blur/p": [0.8], "noise/p": [0.8]}))
        at most 1 of (blur/p = 0.8; noise/p = 0.8)
    """
    for path in keys:
        if any(sign in path for sign in _WILD):
            raise SpaceError(
                f"forbid: {path!r} is a pattern; name the paths one by one, or use a Limit, which "
                "counts"
            )
    return Limit(keys, at_most=len(keys) - 1, reason=reason)


def limit_to_plain(limit: Limit) -> dict[str, Any]:
    """Return a limit as data that JSON can hold."""
    return {
        "keys": {path: list(keys) for path, keys in limit.keys.items()},
        "at_least": limit.at_least,
        "at_most": limit.at_most,
        "reason": limit.reason,
    }


def limit_from_plain(plain: Any) -> Limit:
    """Read what `limit_to_plain` gave.

    Raises:
        SpaceError: It is something else.
    """
    match plain:
        case {
            "keys": dict(keys),
            "at_least": at_least,
            "at_most": at_most,
            "reason": reason,
            **rest,
        } if not rest:
            return Limit(keys, at_least=at_least, at_most=at_most, reason=reason)
    raise SpaceError(f"a constraint cannot be {reprlib.repr(plain)}")


def limit_keys(path: str, keys: Iterable[Value]) -> tuple[str, ...]:
    """Return the keys that are given for a path, or for the values they stand for.

    Raises:
        SpaceError: It is no path, or they are no list of plain values.
    """
    if not isinstance(path, str):
        raise SpaceError(f"the path of a choice must be a text, but is {path!r}")
    plain_text(path)
    if not isinstance(keys, list | tuple) or not keys:
        raise SpaceError(f"{path!r} needs a list of keys, such as ['x'], but got {keys!r}")
    return tuple(dict.fromkeys(value_key(plain_value(key)) for key in keys))
