"""One member of a space, as immutable plain data."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from medpipe_core.frozen_mapping import FrozenMapping
from medpipe_core.space.errors import GenotypeError
from medpipe_core.space.untrusted_json import parse_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_FORMAT = "medpipe-genotype-1"


class Genotype:
    """The chosen key of every active choice.

    Equality and hash look at the choices and the space's digest; the provenance is a note of who
    made the operations.

    Attributes:
        choices: Choice path → key, active choices only, in the order of the space.
        space: Name of the space.
        space_digest: Digest of its description.
        provenance: Distribution → version of the plugins whose operations it uses.
    """

    __slots__ = ("_digest", "choices", "provenance", "space", "space_digest")

    choices: Mapping[str, str]
    space: str
    space_digest: str
    provenance: Mapping[str, str]

    def __init__(
        self,
        choices: Mapping[str, str],
        *,
        space: str,
        space_digest: str,
        provenance: Mapping[str, str] | None = None,
    ) -> None:
        _check(choices, space, space_digest, provenance or {})
        put = object.__setattr__
        put(self, "choices", FrozenMapping(choices))
        put(self, "space", space)
        put(self, "space_digest", space_digest)
        put(self, "provenance", FrozenMapping(provenance))
        text = json.dumps([space_digest, sorted(self.choices.items())])
        put(self, "_digest", hashlib.sha256(text.encode()).hexdigest()[:16])

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"a Genotype is immutable; cannot set {name!r}")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"a Genotype is immutable; cannot delete {name!r}")

    def __reduce__(self) -> tuple[Any, tuple[dict[str, Any]]]:
        return type(self).from_dict, (self.to_dict(),)

    @property
    def digest(self) -> str:
        """Sixteen hexadecimal digits over the choices and the space's digest."""
        digest: str = self._digest  # type: ignore[attr-defined]
        return digest

    def __getitem__(self, path: str) -> str:
        return self.choices[path]

    def __iter__(self) -> Iterator[str]:
        return iter(self.choices)

    def __len__(self) -> int:
        return len(self.choices)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Genotype):
            return NotImplemented
        return self.space_digest == other.space_digest and self.choices == other.choices

    def __hash__(self) -> int:
        return hash(self.digest)

    def __repr__(self) -> str:
        return f"<Genotype {self.digest} of {self.space}: {len(self)} choices>"

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data for JSON."""
        return {
            "format": _FORMAT,
            "space": self.space,
            "space_digest": self.space_digest,
            "provenance": dict(self.provenance),
            "choices": dict(self.choices),
        }

    def to_json(self) -> str:
        """Return it as JSON text that `from_json` reads back."""
        return json.dumps(self.to_dict(), indent=2, ensure_ascii=False) + "\n"

    @classmethod
    def from_dict(cls, data: Any) -> Genotype:
        """Read what `to_dict` gave.

        Raises:
            GenotypeError: It is something else.
        """
        if not isinstance(data, dict) or data.get("format") != _FORMAT:
            found = data.get("format") if isinstance(data, dict) else type(data).__name__
            raise GenotypeError(f"not a genotype: expected format {_FORMAT!r}, found {found!r}")
        found = {key: data.get(key) for key in ("choices", "space", "space_digest", "provenance")}
        _check(**found)
        return cls(found.pop("choices"), **found)

    @classmethod
    def from_json(cls, text: str) -> Genotype:
        """Read JSON text that `to_json` gave; whether it fits a space is `validate`'s question.

        Raises:
            GenotypeError: The text is no JSON, or not a genotype.
        """
        return cls.from_dict(parse_json(text, GenotypeError, "a genotype"))


def _check(choices: Any, space: Any, space_digest: Any, provenance: Any) -> None:
    for what, text in (("space", space), ("space_digest", space_digest)):
        if not isinstance(text, str):
            raise GenotypeError(f"not a genotype: {what!r} must be a text")
    for what, table in (("choices", choices), ("provenance", provenance)):
        if not isinstance(table, Mapping) or not (
            _are_texts(table.keys()) and _are_texts(table.values())
        ):
            raise GenotypeError(f"not a genotype: {what!r} must map texts to texts")


def _are_texts(found: Iterable[object]) -> bool:
    return all(issubclass(kind, str) for kind in {*map(type, found)})
