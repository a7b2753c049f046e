"""What an operation changes of what a task may be about, and forbidding operations by it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from medpipe_core.errors import did_you_mean
from medpipe_core.frozen_mapping import FrozenMapping
from medpipe_core.space.errors import SpaceError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from medpipe_core.space.catalogue import Catalogue
    from medpipe_core.space.values import Value

MEANINGS: Mapping[str, str] = FrozenMapping(
    {
        "side": "which side things are on: left and right, say, are exchanged",
        "orientation": "how the content is turned",
        "position": "where the content as a whole lies",
        "size": "lengths, areas and volumes, such as millilitres",
        "intensity": "intensities, such as Hounsfield units",
        "texture": "fine detail: noise and sharpness",
        "content": "what is there: parts are covered",
    }
)
"""The words that all share; an operation may have others of its own."""

_KIND = "augmentation"


def declared_changes(factory: object) -> frozenset[str] | None:
    """Return what an operation says that it changes; None where it says nothing.

    Raises:
        SpaceError: What it says are no words.
    """
    said = getattr(factory, "changes", None)
    if said is None:
        return None
    if isinstance(said, str) or not all(isinstance(word, str) and word for word in said):
        raise SpaceError(
            f"{getattr(factory, '__name__', factory)}: changes must be words, as in "
            f"changes = frozenset({{'side'}}), but is {said!r}"
        )
    return frozenset(said)


def allowed_augmentations(
    catalogue: Catalogue, names: Iterable[str], forbidden: Iterable[str], key: str = "forbid"
) -> dict[str, dict[str, Value]]:
    """Return the augmentations that change nothing that is forbidden, in their order.

    One that is made of others stays where it says `leaves_out = True`: it takes a parameter
    `forbid` and leaves out of itself what changes that.

    Args:
        catalogue: Who knows them, such as a registry.
        names: Their names there.
        forbidden: Words, such as `"side"`; none asks the catalogue for nothing.
        key: How users call the list, for messages.

    Returns:
        Name → the parameters that it is to be given for this: `forbid`, or none.

    Raises:
        SpaceError: A word is nowhere known, an operation does not say what it changes, or none is
            left.
    """
    names, words = list(names), tuple(forbidden)
    if not words:
        return {name: {} for name in names}
    changed: dict[str, frozenset[str]] = {}
    for name in names:
        said = declared_changes(catalogue.factory(_KIND, name))
        if said is None:
            raise SpaceError(
                f"{key}={list(words)}: augmentation {name!r} does not say what it changes, so it "
                "cannot be told whether it may be used; its author declares it in the class, as "
                f"in changes = frozenset({{'{words[0]}'}}), or leave it out"
            )
        changed[name] = said
    known = {*MEANINGS, *(word for said in changed.values() for word in said)}
    for word in words:
        if word not in known:
            near = did_you_mean(word, known)
            raise SpaceError(f"{key}: no operation is known to change {word!r}.{near}")
    left: dict[str, dict[str, Value]] = {}
    for name in names:
        if not changed[name] & set(words):
            left[name] = {}
        elif getattr(catalogue.factory(_KIND, name), "leaves_out", False):
            left[name] = {"forbid": words}
    if not left:
        raise SpaceError(
            f"{key}={list(words)} leaves no augmentation: {', '.join(names)} each change one of "
            "these; forbid less, or search without augmentation"
        )
    return left
