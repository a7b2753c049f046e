"""What every contract is written with: failures in words, volumes, and comparisons."""

from __future__ import annotations

import inspect
import pkgutil
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Sequence

_LOOSE = {torch.float16: 2e-2, torch.bfloat16: 6e-2, torch.float32: 1e-4, torch.float64: 1e-8}


class ContractError(AssertionError):
    """A plugin that breaks its contract; the text says what is wrong and how to mend it."""


def require(holds: bool, text: str) -> None:
    """Fail with a text unless something holds.

    Raises:
        ContractError: It does not hold.
    """
    __tracebackhide__ = True
    if not holds:
        raise ContractError(text)


class in_words:  # noqa: N801 - reads as the function that it stands for
    """Put words before whatever goes wrong inside the block.

    A class, so that a report shows the block and not how it was entered.

    Raises:
        ContractError: Something inside raised an error.
    """

    def __init__(self, text: str) -> None:
        self._text = text

    def __enter__(self) -> None:
        """Begin."""

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        """Turn an error into words."""
        __tracebackhide__ = True
        if isinstance(error, Exception) and not isinstance(error, ContractError):
            raise ContractError(
                f"{self._text} It raised {type(error).__name__}: {error}"
            ) from error


def given(contract: object, name: str) -> Any:
    """Return what the author set as an attribute; a function stays one, a text is imported.

    Raises:
        ContractError: Nothing was set, or the text cannot be imported.
    """
    __tracebackhide__ = True
    found = inspect.getattr_static(contract, name)
    if isinstance(found, staticmethod):
        found = found.__func__
    if isinstance(found, property):
        found = getattr(contract, name)
    who = type(contract).__name__
    require(
        found is not None,
        f"{who} does not say what to test: give it a class attribute `{name}`, such as "
        f"`{name} = MyClass`, a function that makes one, or 'package.module:attribute'",
    )
    if isinstance(found, str):
        with in_words(f"{who}: {name} = {found!r} cannot be imported."):
            return pkgutil.resolve_name(found)
    return found


def generator(seed: int, device: str = "cpu") -> torch.Generator:
    """Return a generator of its own."""
    return torch.Generator(device).manual_seed(seed)


def sample_volumes(
    count: int,
    channels: int,
    size: Sequence[int],
    *,
    seed: int = 7,
    dtype: torch.dtype = torch.float32,
    device: str = "cpu",
) -> Tensor:
    """Draw volumes `(count, channels, *size)` with intensities in [0, 1]."""
    drawn = torch.rand(count, channels, *size, generator=generator(seed), dtype=torch.float64)
    return drawn.to(device=device, dtype=dtype)


def same(one: Tensor, other: Tensor) -> bool:
    """Say whether two tensors agree bit for bit, NaN included."""
    if one.shape != other.shape or one.dtype != other.dtype:
        return False
    return bool(((one == other) | (one.isnan() & other.isnan())).all())


def alike(one: Any, other: Any) -> bool:
    """Say whether two states agree: plain values, and tensors bit for bit."""
    if isinstance(one, Tensor) and isinstance(other, Tensor):
        return same(one, other)
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(alike(v, other[k]) for k, v in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(alike, one, other))
    return bool(one == other)


def close(one: Tensor, other: Tensor) -> bool:
    """Say whether two tensors agree up to the rounding of their type, however it was ordered."""
    if one.shape != other.shape or one.dtype != other.dtype:
        return False
    loose = _LOOSE.get(one.dtype, 0.0)
    return torch.allclose(one, other, rtol=loose, atol=loose, equal_nan=True)
