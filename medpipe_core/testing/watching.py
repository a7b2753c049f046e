"""Randomness, settings and gradient modes, watched or tried around what is under test."""

from __future__ import annotations

import os
import random
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, cast
from unittest import mock

import numpy as np
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from medpipe_core.testing.checking import require

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

GRADIENT_MODES: tuple[tuple[str, Callable[[], AbstractContextManager[Any]], bool], ...] = (
    ("where the volumes require gradients", torch.enable_grad, True),
    ("under torch.no_grad()", torch.no_grad, False),
    ("under torch.no_grad(), with volumes that require gradients,", torch.no_grad, True),
    ("under torch.inference_mode()", torch.inference_mode, False),
)
"""In words, the mode, and whether the volumes require gradients."""

_DROPOUT = {"aten::bernoulli", "aten::bernoulli_", "aten::dropout", "aten::native_dropout"}
_OWN = ((np.random, "default_rng"), (np.random, "RandomState"), (random, "Random"))


class Draws(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Note every random number that torch draws inside the block.

    Attributes:
        seeds: For each draw what its generator was last seeded with.
        others: The operators that drew, those of dropout and drop path (Bernoulli) left out.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.seeds: list[int] = []
        self.others: list[str] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if _draws(func) and not any(isinstance(a, Tensor) and a.is_meta for a in args):
            given = [v for v in (*args, *kwargs.values()) if isinstance(v, torch.Generator)]
            source = given[0] if given else torch.default_generator
            self.seeds.append(source.initial_seed())
            if func.name().partition(".")[0] not in _DROPOUT:
                self.others.append(func.name().removeprefix("aten::").partition(".")[0])
        return func(*args, **kwargs)


class MeanDropout(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Let every Bernoulli draw inside the block come out as its mean.

    Attributes:
        others: Whether something else was drawn.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.others = False

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if not _draws(func):
            return func(*args, **kwargs)
        name, first = func.name(), cast("Tensor", args[0] if args else None)
        if name in ("aten::bernoulli_.float", "aten::bernoulli.p"):
            share = args[1] if len(args) > 1 else kwargs.get("p", 0.5)
            return first.fill_(share) if name.endswith("_.float") else torch.full_like(first, share)
        if name == "aten::bernoulli_.Tensor":
            return first.copy_(args[1])
        if name == "aten::bernoulli":
            return first.clone()
        if name == "aten::dropout":
            return first
        if name == "aten::native_dropout":
            return first, torch.ones_like(first, dtype=torch.bool)
        self.others = True
        return func(*args, **kwargs)


def global_state() -> tuple[Any, ...]:
    """Return the states of torch's, numpy's and Python's global generators."""
    numpys = np.random.get_state()  # noqa: NPY002 - it is what must not move
    return (torch.get_rng_state(), numpys, random.getstate())


@contextmanager
def global_seeds(seed: int) -> Iterator[None]:
    """Seed the three global generators inside the block, and put them back after it."""
    torchs, numpys, pythons = global_state()
    torch.default_generator.manual_seed(seed)
    np.random.seed(seed)  # noqa: NPY002
    random.seed(seed)
    try:
        yield
    finally:
        torch.set_rng_state(torchs)
        np.random.set_state(numpys)  # noqa: NPY002
        random.setstate(pythons)


@contextmanager
def global_state_kept(who: str, remedy: str, *, but: str = "") -> Iterator[None]:
    """Watch the global generators, and settings that hold for everybody, inside the block.

    Args:
        who: What is watched.
        remedy: What to do about a generator that moved.
        but: The one generator that may move.

    Raises:
        ContractError: One of them moved.
    """
    __tracebackhide__ = True
    before, settings = global_state(), _settings()
    yield
    after, found = global_state(), _settings()
    torch.set_grad_enabled(settings["torch.is_grad_enabled()"])
    torch.set_default_dtype(settings["torch.get_default_dtype()"])
    np.seterr(**settings["numpy.geterr()"])
    moved = [
        name
        for name, same_state in (
            ("torch", torch.equal(before[0], after[0])),
            ("numpy", _same_numpy(before[1], after[1])),
            ("random", before[2] == after[2]),
        )
        if not same_state and name != but
    ]
    require(
        not moved,
        f"{who} moves the global random state of {' and '.join(moved)}, so that it changes what "
        f"everybody else draws and cannot be repeated. {remedy}",
    )
    changed = [f"{w} from {v} to {found[w]}" for w, v in settings.items() if v != found[w]]
    require(
        not changed,
        f"{who} changes {'; '.join(changed)}, which holds for everybody in the process. Put it "
        "back (`with torch.no_grad():` does), or leave it alone",
    )


@contextmanager
def own_generators() -> Iterator[list[str]]:
    """Note which generators of numpy or Python are made inside the block."""
    made: list[str] = []

    def noting(name: str, original: Any) -> Any:
        def noted(*args: Any, **kwargs: Any) -> Any:
            made.append(name)
            return original(*args, **kwargs)

        if not isinstance(original, type):
            return noted
        body = {"__new__": lambda _, *args, **kwargs: noted(*args, **kwargs)}
        return type(original.__name__, (original,), body)  # annotations still take it for a class

    with Draws():
        torch.zeros(1)  # what torch imports for a mode must not meet the classes noted here
    with ExitStack() as stack:
        for module, name in _OWN:
            noted = noting(f"{module.__name__}.{name}", getattr(module, name))
            stack.enter_context(mock.patch.object(module, name, noted))
        yield made


def _draws(func: Any) -> bool:
    return torch.Tag.nondeterministic_seeded in func.tags


def _settings() -> dict[str, Any]:
    return {
        "torch.is_grad_enabled()": torch.is_grad_enabled(),
        "torch.get_default_dtype()": torch.get_default_dtype(),
        "torch.get_num_threads()": torch.get_num_threads(),
        "torch.are_deterministic_algorithms_enabled()": (
            torch.are_deterministic_algorithms_enabled()
        ),
        "numpy.geterr()": np.geterr(),
        "the working directory": os.getcwd(),
    }


def _same_numpy(one: Any, other: Any) -> bool:
    return np.array_equal(one[1], other[1]) and one[2:] == other[2:]
