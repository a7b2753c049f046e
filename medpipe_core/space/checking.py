"""What is wrong with choices that are to be a genotype of a space."""

from __future__ import annotations

from typing import TYPE_CHECKING

from medpipe_core.errors import did_you_mean
from medpipe_core.space import walk
from medpipe_core.space.errors import InvalidGenotypeError
from medpipe_core.space.genotype import Genotype

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from medpipe_core.space.space import SearchSpace


def problems(space: SearchSpace, choices: Mapping[str, str]) -> list[str]:
    """Return every wrong path with what is near; where none is, the constraints that are broken."""
    found = []
    for path, key in choices.items():
        if path not in space.choices:
            found.append(f"{path!r} is no choice.{did_you_mean(path, space.choices)}")
        elif key not in space.choices[path].keys:
            hint = did_you_mean(str(key), space.choices[path].keys)
            found.append(f"{path!r} cannot be {key!r}.{hint}")
    if found:
        return found
    missing: list[str] = []

    def choose(path: str) -> str:
        if path not in choices:
            missing.append(path)
        return choices.get(path, space.choices[path].keys[0])

    active = set(walk.active_choices(space.root, choose))
    found += [f"{path!r} is missing" for path in missing]
    found += [f"{path!r} is not active here" for path in choices if path not in active]
    return found or space.tally.problems(choices)


def need_genotype(space: SearchSpace, found: object) -> None:
    """Refuse what is no genotype at all.

    Raises:
        InvalidGenotypeError: It is something else.
    """
    if not isinstance(found, Genotype):
        kind = "None" if found is None else f"a {type(found).__name__}"
        raise InvalidGenotypeError(
            f"{kind} is no genotype of space {space.name!r}; take one from it, such as "
            "space.sample(seed=0), or read one with Genotype.from_json"
        )


def another_space(space: SearchSpace, genotype: Genotype, *, fits: bool) -> str:
    """Say how a genotype's space is another one, with the plugins that changed in between."""
    text = (
        f"it was made for space {genotype.space!r} with digest {genotype.space_digest}, this one "
        f"has digest {space.digest}"
    )
    if fits:
        text += "; all choices fit, so fixed parts, order or limits differ"
    made, here = genotype.provenance, space.provenance
    changed = [
        f"{name} {version} (here {here.get(name, 'absent')})"
        for name, version in made.items()
        if here and here.get(name) != version
    ]
    return f"{text}; it was made with {', '.join(changed)}" if changed else text


def refuse(space: SearchSpace, found: Sequence[str]) -> None:
    """Raise what was found wrong, if anything.

    Raises:
        InvalidGenotypeError: Something was.
    """
    if not found:
        return
    shown = "; ".join(found[:10])
    more = f"; and {len(found) - 10} more" if len(found) > 10 else ""
    raise InvalidGenotypeError(f"not a genotype of space {space.name!r}: {shown}{more}")
