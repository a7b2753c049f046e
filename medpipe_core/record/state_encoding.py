"""A nested state of plain values and tensors, as JSON and named tensors; and back, exactly."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from medpipe_core.errors import MedpipeError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_TAG = "$"  # begins the one key of an object that stands for what JSON has not


class StateError(MedpipeError):
    """A state that cannot be written down, or what is none."""


def encode(state: Any) -> tuple[Any, dict[str, Tensor]]:
    """Return a state as JSON can hold it, and its tensors by their paths in it.

    A state is made of None, booleans, numbers, texts, lists, tuples, mappings, tensors, and arrays
    and scalars of NumPy. Tensors are copied to the CPU, so that what goes on cannot change them;
    the order of their axes in memory is kept, which a fused optimiser relies on.

    Raises:
        StateError: There is something else in it; the text says where and what.
    """
    tensors: dict[str, Tensor] = {}

    def store(path: str, tensor: Tensor) -> dict[str, Any]:
        strides = tensor.stride()
        order = sorted(range(tensor.dim()), key=lambda axis: -strides[axis])
        laid = tensor.permute(order)
        if not laid.is_contiguous():  # parts of a larger one
            order, laid = list(range(tensor.dim())), tensor
        tensors[path] = _copied_tensor(laid).contiguous()
        plain = order == sorted(order)
        return {"tensor": path} if plain else {"tensor": path, "order": order}

    return _plain(state, "state", store), tensors


def decode(plain: Any, tensors: Mapping[str, Tensor]) -> Any:
    """Return the state that `encode` was given.

    Raises:
        StateError: This is nothing that `encode` made, or names tensors that are not there.
    """
    try:
        return _restored(plain, tensors)
    except (ValueError, TypeError, LookupError, RecursionError, RuntimeError) as error:
        raise StateError(f"not a state ({type(error).__name__}: {error})") from error


def copied(state: Any) -> Any:
    """Return a copy of a state, its tensors on the CPU, that nothing changes any more."""
    match state:
        case Tensor():
            return _copied_tensor(state)
        case np.ndarray():
            return state.copy()
        case dict():
            return {key: copied(value) for key, value in state.items()}
        case list():
            return [copied(value) for value in state]
        case tuple():
            return tuple(map(copied, state))
    return state


def _plain(value: Any, path: str, store: Callable[[str, Tensor], dict[str, Any]]) -> Any:
    match value:
        case None | bool() | str():
            return value
        case int():
            return int(value)
        case float():
            return float(value) if math.isfinite(value) else {f"{_TAG}float": repr(float(value))}
        case Tensor():
            return {f"{_TAG}torch": store(path, value.detach())}
        case np.ndarray() | np.generic():
            kind = "array" if isinstance(value, np.ndarray) else "scalar"
            return {f"{_TAG}{kind}": store(path, torch.from_numpy(np.array(value)))}
        case list():
            return [_plain(inner, f"{path}/{n}", store) for n, inner in enumerate(value)]
        case tuple():
            return {f"{_TAG}tuple": _plain(list(value), path, store)}
        case dict() if all(isinstance(k, str) and not k.startswith(_TAG) for k in value):
            return {key: _plain(inner, f"{path}/{key}", store) for key, inner in value.items()}
        case dict():
            pairs = [
                [_plain(key, f"{path}/key {n}", store), _plain(inner, f"{path}/{n}:{key}", store)]
                for n, (key, inner) in enumerate(value.items())
            ]
            return {f"{_TAG}dict": pairs}
    raise StateError(
        f"{path} is a {type(value).__module__}.{type(value).__qualname__}; a state that can be "
        "saved is made of numbers, texts, lists, tuples, dicts, tensors and arrays"
    )


def _restored(value: Any, tensors: Mapping[str, Tensor]) -> Any:
    if isinstance(value, list):
        return [_restored(inner, tensors) for inner in value]
    if not isinstance(value, dict):
        return value
    if len(value) != 1 or not next(iter(value)).startswith(_TAG):
        return {key: _restored(inner, tensors) for key, inner in value.items()}
    ((tag, content),) = value.items()
    match tag.removeprefix(_TAG):
        case "float":
            return float(content)
        case "torch":
            return _taken(content, tensors)
        case "array":
            return _taken(content, tensors).numpy()
        case "scalar":
            return _taken(content, tensors).numpy()[()]
        case "tuple":
            return tuple(_restored(content, tensors))
        case "dict":
            return {_restored(k, tensors): _restored(inner, tensors) for k, inner in content}
    raise ValueError(f"unknown mark {tag!r}")


def _taken(content: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Tensor:
    tensor = tensors[content["tensor"]].clone()  # in memory of its own, aligned as torch likes it
    order = content.get("order")
    if order is None:
        return tensor
    return tensor.permute([order.index(axis) for axis in range(len(order))])


def _copied_tensor(tensor: Tensor) -> Tensor:
    return tensor.detach().to("cpu", copy=True)
