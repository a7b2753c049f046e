"""One member of a space, as immutable plain data."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from medpipe_core.frozen_mapping import FrozenMapping
from medpipe_core.space.errors import GenotypeError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from medpipe_core.errors import MedpipeError

_FORMAT = "medpipe-genotype-1"
_LARGEST_TEXT = 64 * 2**20


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
        for key in ("space", "space_digest"):
            if not isinstance(data.get(key), str):
                raise GenotypeError(f"not a genotype: {key!r} must be a text")
        for key in ("choices", "provenance"):
            table = data.get(key)
            if not isinstance(table, dict) or not _texts(table):
                raise GenotypeError(f"not a genotype: {key!r} must map texts to texts")
        return cls(
            data["choices"],
            space=data["space"],
            space_digest=data["space_digest"],
            provenance=data["provenance"],
        )

    @classmethod
    def from_json(cls, text: str) -> Genotype:
        """Read JSON text that `to_json` gave; whether it fits a space is `validate`'s question.

        Raises:
            GenotypeError: The text is no JSON, or not a genotype.
        """
        return cls.from_dict(parse_json(text, GenotypeError, "a genotype"))


def parse_json(text: str, error: type[MedpipeError], what: str) -> Any:
    """Parse JSON from a file that anybody may have written; every failure becomes `error`."""
    if len(text) > _LARGEST_TEXT:
        raise error(f"not {what}: the text has {len(text)} characters")
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as problem:
        raise error(f"not {what}: the text is not usable JSON ({problem})") from None


def _texts(table: dict[Any, Any]) -> bool:
    return all(isinstance(k, str) and isinstance(v, str) for k, v in table.items())
