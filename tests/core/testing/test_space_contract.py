"""The contract of spaces asks nothing that a right space cannot keep."""

from __future__ import annotations

import inspect

import pytest

from medpipe_core import Budget, Group, Limit, Operation, SearchSpace, ValueChoice, forbid
from medpipe_core.testing import ContractError, SpaceContract

PAIR = Group({"a": ValueChoice(1, 2), "b": ValueChoice(1, 2)})


def switch():
    p = ValueChoice(0.0, 0.5, 0.8)
    return Operation("augmentation", "v_flip", {"p": p, "by": ValueChoice(1, 2)}, neutral={"p": 0})


SPACES = {
    "limit": SearchSpace("limit", PAIR, constraints=[Limit({"*": [2]}, at_most=1)]),
    "budget": SearchSpace("budget", PAIR, budget=Budget(parameters=10)),
    "both": SearchSpace(
        "both",
        Group({name: switch() for name in ("noise", "blur", "erase")}),
        budget=Budget(multiply_adds=10),
        constraints=[
            Limit({"*/p": [0.5, 0.8]}, at_most=2),
            forbid({"noise/p": [0.8], "blur/p": [0.8]}),
        ],
    ),
    "rare": SearchSpace(
        "rare",
        Group({f"x{n}": ValueChoice(*range(10)) for n in range(12)}),
        constraints=[Limit({"*": [*range(1, 10)]}, at_most=1)],
    ),
}
TESTS = [name for name, _ in inspect.getmembers(SpaceContract, callable) if name.startswith("test")]


@pytest.mark.parametrize("test", TESTS)
@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
def test_a_right_space_with_limits_keeps_its_contract(space, test):
    contract = type("TestIt", (SpaceContract,), {"space": space})()
    getattr(contract, test)()


def test_a_sample_that_breaks_a_constraint_is_caught():
    class Careless(SearchSpace):
        def sample(self, *, seed=None, rng=None):
            return self.decide(lambda choice: "2")

    space = Careless("careless", PAIR, constraints=[Limit({"*": [2]}, at_most=1)])
    contract = type("TestIt", (SpaceContract,), {"space": space})()
    with pytest.raises(ContractError, match=r"gives no member.*at most 1"):
        contract.test_every_sample_is_a_member()
