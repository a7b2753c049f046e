"""Asking the same in other processes, whose sets and hashes have other orders.

Torch and the kit are imported where they are needed, so that a process which does not need them
does not wait for them: it loads this file alone.
"""

from __future__ import annotations

import importlib.util
import inspect
import json
import os
import pathlib
import sys
from typing import Any

_OF_A_CONTRACT = """
found = elsewhere.answer(asked["what"])
print("\\n" + json.dumps(found))
"""
KIT = ("medpipe_core.testing", "medpipe_core.search")
"""What the process has imported that a contract is asked in."""


class NotPlainError(Exception):
    """Something that another process cannot make; the text says what."""


def elsewhere(
    contract: object, method: str, argument: Any = None, *, hash_seeds: tuple[int, ...] = (77,)
) -> list[Any]:
    """Return what a method of a contract gives in other processes, one answer for each.

    Args:
        contract: An instance of a class of tests.
        method: A method of it, called with one argument, whose answer is plain data.
        argument: Plain data and tensors.
        hash_seeds: What decides the order of sets in each of the processes.

    Raises:
        ContractError: A process failed.
        pytest.skip.Exception: The contract cannot be made anew in another process.
    """
    __tracebackhide__ = True
    import pytest

    from medpipe_core.testing.processes import NESTED

    if os.environ.get(NESTED):
        pytest.skip("this is another process already")
    try:
        what = {
            "contract": _class_as_plain(type(contract)),
            "attributes": {name: as_plain(value) for name, value in vars(contract).items()},
            "method": method,
            "argument": as_plain(argument),
        }
    except NotPlainError as error:
        pytest.skip(f"another process cannot make {error}; define it at the top of a module")
    found = run_elsewhere(_OF_A_CONTRACT, what, type(contract).__name__, hash_seeds)
    return [from_plain(one) for one in found]


def run_elsewhere(
    program: str,
    what: Any,
    who: str,
    hash_seeds: tuple[int, ...] = (77,),
    imported: tuple[str, ...] | None = KIT,
) -> list[Any]:
    """Run a program in other processes at once and return what each prints last, as JSON.

    Args:
        program: Python text; it finds `asked["what"]` and this module as `elsewhere`.
        what: What it is asked, as JSON can hold it.
        who: Who is to blame where it fails, for messages.
        hash_seeds: As `elsewhere`.
        imported: What the processes may have imported before; None for nothing.

    Raises:
        ContractError: A process failed.
    """
    __tracebackhide__ = True
    from medpipe_core.testing.checking import require
    from medpipe_core.testing.processes import run_programs

    answers = []
    for ended in run_programs(
        program,
        what,
        modules={"elsewhere": __file__},
        hash_seeds=hash_seeds,
        imported=imported,
    ):
        require(ended.code == 0, f"{who} fails in another process:\n{ended.problems[-2000:]}")
        answers.append(json.loads(ended.output.splitlines()[-1]))
    return answers


def answer(what: dict[str, Any]) -> Any:
    """Answer what `elsewhere` asks, in the other process."""
    contract = _class_from_plain(what["contract"])()
    for name, value in what["attributes"].items():
        setattr(contract, name, from_plain(value))
    return as_plain(getattr(contract, what["method"])(from_plain(what["argument"])))


def as_plain(value: Any) -> Any:
    """Return a value as JSON can hold it: plain data, paths, tensors, classes, functions, spaces.

    Raises:
        NotPlainError: It is something else.
    """
    if value is None or type(value) in (bool, int, float, str):
        return value
    if isinstance(value, list | tuple):
        parts = [as_plain(part) for part in value]
        return parts if isinstance(value, list) else {"tuple": parts}
    if isinstance(value, dict):
        return {"items": [[as_plain(key), as_plain(part)] for key, part in value.items()]}
    if isinstance(value, pathlib.Path):
        return {"path": str(value)}
    if isinstance(value, staticmethod):
        return {"static": as_plain(value.__func__)}
    if inspect.isclass(value) or inspect.isfunction(value):
        return {"object": _place_of(value)}
    if inspect.ismodule(value):
        if sys.modules.get(value.__name__) is not value or not getattr(value, "__file__", None):
            raise NotPlainError(f"module {value.__name__}")
        return {"module": [value.__name__, value.__file__]}
    from medpipe_core.space import SearchSpace

    if type(value) is SearchSpace:
        return {"space": value.to_json()}
    import torch

    if isinstance(value, torch.Tensor):
        return {"tensor": value.tolist(), "dtype": str(value.dtype).removeprefix("torch.")}
    from medpipe_core.testing.toys import ToySpace

    if isinstance(value, ToySpace):
        return _toy_as_plain(value)
    raise NotPlainError(f"a {type(value).__name__}")


def from_plain(value: Any) -> Any:
    """Return what `as_plain` was given."""
    match value:
        case None | bool() | int() | float() | str():
            return value
        case list():
            return [from_plain(part) for part in value]
        case {"tuple": parts}:
            return tuple(from_plain(part) for part in parts)
        case {"items": items}:
            return {from_plain(key): from_plain(part) for key, part in items}
        case {"path": text}:
            return pathlib.Path(text)
        case {"object": place}:
            return _at(place)
        case {"module": [name, file]}:
            return sys.modules.get(name) or _imported(name, file)
        case {"tensor": numbers, "dtype": dtype}:
            import torch

            return torch.tensor(numbers, dtype=getattr(torch, dtype))
        case {"static": function}:
            return staticmethod(from_plain(function))
        case {"toy": name}:
            from medpipe_core.testing.toys import toy_spaces

            return next(toy for toy in toy_spaces() if toy.space.name == name)
        case {"toy-space": text}:
            from medpipe_core.space import SearchSpace
            from medpipe_core.testing.toys import ToySpace

            return ToySpace(SearchSpace.from_json(text))
        case {"space": text}:
            from medpipe_core.space import SearchSpace

            return SearchSpace.from_json(text)
    raise NotPlainError(f"{value!r}")


def _class_as_plain(contract: type) -> dict[str, Any]:
    """Say where a class of tests stands, or what one that was made on the way is made of."""
    try:
        return {"place": _place_of(contract)}
    except NotPlainError:
        kept = ("__module__", "__doc__", "__dict__", "__weakref__", "__qualname__")
        own = {name: part for name, part in vars(contract).items() if name not in kept}
        attributes = {
            name: as_plain(part) for name, part in own.items() if not name.startswith("test_")
        }
        return {
            "bases": [_class_as_plain(base) for base in contract.__bases__],
            "name": contract.__name__,
            "attributes": {n: a for n, a in attributes.items() if not n.startswith("__")},
        }


def _class_from_plain(plain: dict[str, Any]) -> type:
    if "place" in plain:
        found: type = _at(plain["place"])
        return found
    bases = tuple(_class_from_plain(base) for base in plain["bases"])
    attributes = {name: from_plain(part) for name, part in plain["attributes"].items()}
    return type(plain["name"], bases, attributes)


def _toy_as_plain(toy: Any) -> dict[str, str]:
    from medpipe_core.space import SearchSpace
    from medpipe_core.testing.toys import toy_spaces

    digests = {known.space.name: known.space.digest for known in toy_spaces()}
    if digests.get(toy.space.name) == toy.space.digest:
        return {"toy": toy.space.name}
    if toy.admit is None and type(toy.space) is SearchSpace:
        return {"toy-space": toy.space.to_json()}
    raise NotPlainError(f"the budget of space {toy.space.name!r}")


def _place_of(found: Any) -> list[str]:
    """Return module, name and file of a class or function."""
    module, name = found.__module__, found.__qualname__
    held: Any = sys.modules.get(module)
    file = getattr(held, "__file__", None)
    for part in name.split("."):
        held = getattr(held, part, None)
    if held is not found or not file:
        raise NotPlainError(f"{name} of {module}")
    return [module, name, file]


def _at(place: list[str]) -> Any:
    module_name, name, file = place
    module: Any = sys.modules.get(module_name) or _imported(module_name, file)
    for part in name.split("."):
        module = getattr(module, part)
    return module


def _imported(name: str, file: str) -> Any:
    """Import a module by name if that leads to its file, else from the file, as pytest does."""
    found = None if name == "__main__" else _spec(name)
    if found is None or found.origin is None or not os.path.samefile(found.origin, file):
        name = "__tests__" if name == "__main__" else name
        found = importlib.util.spec_from_file_location(name, file)
    module = importlib.util.module_from_spec(found)  # type: ignore[arg-type]
    sys.modules[name] = module
    found.loader.exec_module(module)  # type: ignore[union-attr]
    return module


def _spec(name: str) -> Any:
    try:
        return importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return None
