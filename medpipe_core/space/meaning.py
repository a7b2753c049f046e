"""What an operation changes of what a task may be about, and forbidding operations by it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from medpipe_core.errors import did_you_mean
from medpipe_core.frozen_mapping import FrozenMapping
from medpipe_core.space.errors import SpaceError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from medpipe_core.space.catalogue import Catalogue

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


def allowed(
    catalogue: Catalogue, names: Iterable[str], forbidden: Iterable[str], key: str = "forbid"
) -> list[str]:
    """Return the augmentations that change nothing that is forbidden, in their order.

    One that `leaves_out` of itself what is forbidden stays; it is to be given `forbid`.

    Args:
        catalogue: Who knows them, such as a registry.
        names: Their names there.
        forbidden: Words, such as `"side"`; none asks the catalogue for nothing.
        key: How users call the list, for messages.

    Raises:
        SpaceError: A word is nowhere known, an operation does not say what it changes, or none is
            left.
    """
    names, words = list(names), list(forbidden)
    if not words:
        return names
    changed: dict[str, frozenset[str]] = {}
    for name in names:
        said = declared_changes(catalogue.factory(_KIND, name))
        if said is None:
            raise SpaceError(
                f"{key}={words}: augmentation {name!r} does not say what it changes, so it cannot "
                "be told whether it may be used; its author declares it in the class, as in "
                f"changes = frozenset({{'{words[0]}'}}), or leave it out"
            )
        changed[name] = said
    known = {*MEANINGS, *(word for said in changed.values() for word in said)}
    for word in words:
        if word not in known:
            near = did_you_mean(word, known)
            raise SpaceError(f"{key}: no operation is known to change {word!r}.{near}")
    left = [
        name
        for name in names
        if not changed[name] & set(words) or leaves_out(catalogue.factory(_KIND, name))
    ]
    if not left:
        raise SpaceError(
            f"{key}={words} leaves no augmentation: {', '.join(names)} each change one of these; "
            "forbid less, or search without augmentation"
        )
    return left


def leaves_out(factory: object) -> bool:
    """Say whether an operation takes a parameter `forbid` and leaves out of itself what it names.

    It says so by `leaves_out = True`, as one that is made of others can.
    """
    return bool(getattr(factory, "leaves_out", False))
