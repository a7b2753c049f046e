"""Forbidding augmentations by what they change."""

from __future__ import annotations

import pytest

from medpipe_core import SpaceError, allowed_augmentations
from medpipe_core.space import declared_changes


class Flip:
    changes = frozenset({"side"})


class Warm:
    changes = frozenset({"temperature"})


class Nothing:
    changes = frozenset()


class Silent:
    pass


class Parts:
    changes = frozenset({"side", "size"})
    leaves_out = True


class Catalogue:
    def factory(self, kind, name):
        assert kind == "augmentation"
        return {c.__name__.lower(): c for c in (Flip, Warm, Nothing, Silent, Parts)}[name]


def test_nothing_forbidden_asks_for_nothing():
    assert allowed_augmentations(None, ["flip", "unknown"], []) == {"flip": {}, "unknown": {}}


@pytest.mark.parametrize(
    ("words", "left"),
    [
        (["side"], ["warm", "nothing", "parts"]),
        (["temperature"], ["flip", "nothing", "parts"]),
        (["side", "temperature", "texture"], ["nothing", "parts"]),
        (["content"], ["flip", "warm", "nothing", "parts"]),
    ],
)
def test_what_changes_a_word_is_left_out_unless_it_leaves_that_out_itself(words, left):
    found = allowed_augmentations(Catalogue(), ["flip", "warm", "nothing", "parts"], words)
    assert list(found) == left
    given = {"forbid": tuple(words)} if {"side", "size"} & set(words) else {}
    assert found == {name: given if name == "parts" else {} for name in left}


@pytest.mark.parametrize(
    ("names", "words", "said"),
    [
        (["flip", "silent"], ["side"], "'silent' does not say what it changes"),
        (["flip"], ["sides"], r"no operation is known to change 'sides'. Did you mean 'side'"),
        (["flip"], ["zzz"], "Known: content, intensity"),
        (["flip", "warm"], ["side", "temperature"], "leaves no augmentation: flip, warm"),
    ],
)
def test_what_cannot_be_kept_is_refused_in_words(names, words, said):
    with pytest.raises(SpaceError, match=said):
        allowed_augmentations(Catalogue(), names, words)


def test_what_an_operation_says_must_be_words():
    class Wrong:
        changes = "side"

    with pytest.raises(SpaceError, match=r"Wrong: changes must be words"):
        declared_changes(Wrong)
