"""What is wrong with choices that are to be a genotype of a space."""

from __future__ import annotations

from typing import TYPE_CHECKING

from medpipe_core.errors import did_you_mean
from medpipe_core.space.choices import active_choices
from medpipe_core.space.errors import InvalidGenotypeError
from medpipe_core.space.genotype import Genotype

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from medpipe_core.space.choices import Choice
    from medpipe_core.space.nodes import Mutable

_SHOWN = 10


def choice_problems(
    root: Mutable, known: Mapping[str, Choice], choices: Mapping[str, str]
) -> list[str]:
    """Return every path or key that is wrong, the first ten with what is near.

    Args:
        root: The description.
        known: Every choice of it by path.
        choices: Path → key.
    """
    found: list[str] = []
    for path, key in choices.items():
        if path not in known:
            problem, word, near = f"{path!r} is no choice.", path, tuple(known)
        elif key not in known[path].keys:
            problem, word, near = f"{path!r} cannot be {key!r}.", key, known[path].keys
        else:
            continue
        # To look for what is near takes long where everything is wrong.
        hint = did_you_mean(str(word), near) if len(found) < _SHOWN else ""
        found.append(problem + hint)
    if found:
        return found
    missing: list[str] = []

    def choose(path: str) -> str:
        if path not in choices:
            missing.append(path)
        return choices.get(path, known[path].keys[0])

    active = set(active_choices(root, choose))
    found += [f"{path!r} is missing" for path in missing]
    found += [f"{path!r} is not active here" for path in choices if path not in active]
    return found


def need_genotype(space: str, found: object) -> None:
    """Refuse what is no genotype at all.

    Raises:
        InvalidGenotypeError: It is something else.
    """
    if not isinstance(found, Genotype):
        kind = "None" if found is None else f"a {type(found).__name__}"
        raise InvalidGenotypeError(
            f"{kind} is no genotype of space {space!r}; take one from it, such as "
            "space.sample(seed=0), or read one with Genotype.from_json"
        )


def of_another_space(
    genotype: Genotype, digest: str, provenance: Mapping[str, str], *, fits: bool
) -> str:
    """Say how a genotype's space is another one, with the plugins that changed in between.

    Args:
        genotype: The genotype.
        digest: Digest of the space that it is held against.
        provenance: Distribution → version of the plugins of that space.
        fits: Whether all its choices fit that space.
    """
    text = (
        f"it was made for space {genotype.space!r} with digest {genotype.space_digest}, this one "
        f"has digest {digest}"
    )
    if fits:
        text += "; all choices fit, so fixed parts, order or limits differ"
    changed = [
        f"{name} {version} (here {provenance.get(name, 'absent')})"
        for name, version in genotype.provenance.items()
        if provenance and provenance.get(name) != version
    ]
    return f"{text}; it was made with {', '.join(changed)}" if changed else text


def refuse(space: str, found: Sequence[str]) -> None:
    """Raise what was found wrong, if anything.

    Raises:
        InvalidGenotypeError: Something was.
    """
    if not found:
        return
    shown = "; ".join(found[:_SHOWN])
    more = f"; and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    raise InvalidGenotypeError(f"not a genotype of space {space!r}: {shown}{more}")
