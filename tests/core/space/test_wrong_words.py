"""What is no node, no name and no genotype is told in words, not by an error from inside."""

from __future__ import annotations

import pytest

from medpipe_core import (
    Group,
    Operation,
    OperationChoice,
    Repeat,
    SearchSpace,
    Shared,
    SpaceError,
    ValueChoice,
)
from medpipe_core.space import InvalidGenotypeError

ONE = Operation("block", "identity")
SPACE = SearchSpace("toy", Group({"a": ValueChoice(1, 2)}))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Group([ONE]), r"Group needs names, as in Group\(\{'first': .* got a list"),
        (lambda: OperationChoice(ONE), r"OperationChoice needs names.* got a Operation"),
        (lambda: Shared([ONE], ONE), "Shared needs names"),
        (
            lambda: Shared({"a": ValueChoice(1)}, {"b": 1}),
            "Shared: the body is a dict, not a node",
        ),
        (lambda: Group({"a": SPACE}), r"Group: 'a' is a SearchSpace, not a node .*space\.root"),
        (lambda: Repeat(ONE, 3), r"Repeat needs the numbers to choose from, .*\(3,\) for always"),
        (lambda: Repeat(ONE, "12"), "Repeat needs the numbers to choose from"),
        (lambda: Repeat("conv", (1, 2)), "Repeat: what is repeated is a str, not a node"),
        (lambda: SearchSpace("x", {"a": ONE}), "space 'x': its description is a dict, not a node"),
    ],
)
def test_a_wrong_part_of_a_description_is_told_with_what_to_give(make, words):
    with pytest.raises(SpaceError, match=words):
        make()


@pytest.mark.parametrize("wrong", [None, "x", {"a": "1"}])
@pytest.mark.parametrize("ask", ["validate", "resolve", "rank", "effective", "canonical"])
def test_what_is_no_genotype_is_refused_with_where_to_take_one(ask, wrong):
    kind = "None" if wrong is None else f"a {type(wrong).__name__}"
    with pytest.raises(InvalidGenotypeError, match=f"^{kind} is no genotype of space 'toy'; take"):
        getattr(SPACE, ask)(wrong)
