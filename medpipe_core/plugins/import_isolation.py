"""Importing what somebody else wrote, so that it leaves nothing behind but its modules."""

from __future__ import annotations

import contextlib
import random
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@contextlib.contextmanager
def isolated_import() -> Iterator[None]:
    """Keep an import from printing where others read, and from seeding global generators.

    What it prints goes to standard error. The global generators of Python, numpy and torch go on as
    if it had not been: one that the import brought along gets what it has in a fresh process.
    """
    put_back = [_of_python(), _of_numpy(), _of_torch()]
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        for restore in put_back:
            restore()


def _of_python() -> Callable[[], Any]:
    state = random.getstate()
    return lambda: random.setstate(state)


def _of_numpy() -> Callable[[], Any]:
    state = _asked("numpy.random", "get_state")

    def restore() -> None:
        if state is not None:
            _asked("numpy.random", "set_state", state)
        else:
            _asked("numpy.random", "seed", None)  # from the machine's entropy, as at its start

    return restore


def _of_torch() -> Callable[[], Any]:
    state = _asked("torch.random", "get_rng_state")

    def restore() -> None:
        if state is not None:
            _asked("torch.random", "set_rng_state", state)
        elif _asked("torch.random", "initial_seed") not in (None, _TORCH_STARTS_AT):
            _asked("torch.random", "manual_seed", _TORCH_STARTS_AT)

    return restore


_TORCH_STARTS_AT = 67280421310721  # c10::detail::default_rng_seed_val


def _asked(module: str, function: str, *arguments: Any) -> Any:
    """Call a function of a module if that is imported, wholly."""
    found = getattr(sys.modules.get(module), function, None)
    return found(*arguments) if found is not None else None
