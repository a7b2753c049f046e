"""Small spaces that every searcher has to manage, and made-up outcomes of what it decides."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from medpipe_core.search import Outcome
from medpipe_core.seeding import child_seed
from medpipe_core.space import Group, Operation, OperationChoice, Repeat, SearchSpace, ValueChoice

if TYPE_CHECKING:
    from collections.abc import Callable

    from medpipe_core.space import Genotype
    from medpipe_core.supernet import Decision


@dataclass(frozen=True)
class ToySpace:
    """A space to try a searcher on.

    Attributes:
        space: The space.
        admit: Its budget; None for none.
    """

    space: SearchSpace
    admit: Callable[[Genotype], bool] | None = None

    def admits(self, genotype: Genotype) -> bool:
        """Say whether a genotype keeps the budget."""
        return self.admit is None or self.admit(genotype)


def toy_spaces() -> tuple[ToySpace, ...]:
    """Return the small spaces: values, operations, conditional, single member, with budgets."""
    numbers = Group({name: ValueChoice(*range(5)) for name in ("a", "b", "c", "d")})
    return (
        ToySpace(SearchSpace("toy-values", numbers)),
        ToySpace(SearchSpace("toy-operations", _operations())),
        ToySpace(SearchSpace("toy-conditional", _conditional())),
        ToySpace(SearchSpace("toy-single", Group({"only": ValueChoice("this")}))),
        ToySpace(SearchSpace("toy-pair", Group({"one": ValueChoice("this", "that")}))),
        ToySpace(SearchSpace("toy-budget", numbers), lambda genotype: _total(genotype) <= 8),
        ToySpace(SearchSpace("toy-narrow", numbers), lambda genotype: _total(genotype) <= 2),
    )


def large_space(choices: int) -> SearchSpace:
    """Return a space of so many choices of three values."""
    names = (f"choice{number}" for number in range(choices))
    return SearchSpace("toy-large", Group({name: ValueChoice(1, 2, 3) for name in names}))


def outcome_of(decision: Decision, step: int, needs: frozenset[str]) -> Outcome:
    """Return what a step might have found: numbers that follow from the decision and the step."""
    genotype = decision.genotype
    gradients = {path: _number(path, genotype[path], str(step)) for path in decision.gates}
    loss = 1 + 0.5 * _number(genotype.digest, str(step))
    return Outcome(
        genotype,
        step,
        train_loss=loss,
        validation_loss=loss if needs else None,
        gate_gradients=gradients if "gate_gradients" in needs else {},
        validated=frozenset(path for path in genotype if _number(path) > 0),
        agreement=loss - 1 if "agreement" in needs else None,
        improvement=loss - 1 if "look_ahead" in needs else None,
    )


def score_of(genotype: Genotype) -> float:
    """Return a figure of merit in [0, 1] that follows from the genotype."""
    return 0.5 + 0.5 * _number("score", genotype.digest)


def _operations() -> Group:
    p = ValueChoice(0.0, 0.5, 1.0)

    def augmentation(name: str) -> Operation:
        return Operation(
            "augmentation", name, {"p": p, "amount": ValueChoice(1, 2)}, neutral={"p": 0.0}
        )

    layers = {
        "conv": Operation("block", "conv", {"channels": 4, "kernel": ValueChoice(1, 3)}),
        "identity": Operation("block", "identity"),
    }
    return Group(
        {
            "augment": Group({name: augmentation(name) for name in ("noise", "blur")}),
            "layer1": OperationChoice(layers),
            "layer2": OperationChoice(layers),
        }
    )


def _conditional() -> Group:
    rich = Group({"one": ValueChoice(1, 2, 3), "two": ValueChoice("x", "y", "z", "w")})
    nested = OperationChoice({"more": rich, "less": ValueChoice(1, 2)})
    return Group(
        {
            "method": OperationChoice({"nested": nested, "poor": ValueChoice(1, 2)}),
            "often": Repeat(ValueChoice("left", "right"), (0, 1, 3)),
        }
    )


def _total(genotype: Genotype) -> int:
    return sum(int(key) for key in genotype.choices.values())


def _number(*names: str) -> float:
    """Return a number in [-1, 1) that follows from some names."""
    return child_seed(0, *names) / 2**62 - 1
