"""Making what a plugin registers at its defaults, and seeing what an import of it leaves behind."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any
from unittest import mock

from pydantic import BaseModel, ValidationError

from medpipe_core.errors import MedpipeError
from medpipe_core.plugins.errors import ParameterError, PluginError
from medpipe_core.plugins.parameters import check, keywords_of, model_of
from medpipe_core.testing.toys import toy_spaces

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from medpipe_core.plugins import Entry, Registry

TRACES = """
import contextlib, os, random, tempfile
import numpy as np, torch
import medpipe_core, medpipe_core.testing
from medpipe_core.plugins.discovery import Candidate
from medpipe_core.plugins.loader import load_candidates

def state():
    kind, words, *rest = np.random.get_state()
    return {"torch": torch.get_rng_state().tolist(), "random": random.getstate(),
            "numpy": [kind, words.tolist(), *rest]}

def settings():
    return {"torch.get_default_dtype()": str(torch.get_default_dtype()),
            "torch.is_grad_enabled()": torch.is_grad_enabled(),
            "torch.get_num_threads()": torch.get_num_threads(),
            "torch.are_deterministic_algorithms_enabled()":
                torch.are_deterministic_algorithms_enabled(),
            "numpy.geterr()": np.geterr(), "the working directory": os.getcwd()}

class Registrar:
    def __init__(self):
        self.targets = []
    def register(self, kind, name, factory, *, parameters=None, summary=""):
        self.targets += [target for target in (factory, parameters) if isinstance(target, str)]

before, were = state(), settings()
with tempfile.TemporaryFile("w+") as printed:
    kept = [os.dup(1), os.dup(2)]
    for number in (1, 2):
        os.dup2(printed.fileno(), number)
    try:
        import pkgutil, warnings
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            plugin = elsewhere.from_plain(asked["what"])
            plugin = pkgutil.resolve_name(plugin) if isinstance(plugin, str) else plugin
            candidate = Candidate("yours", "yours", "0", "yours", lambda: plugin)
            registry = load_candidates([candidate])
            for text in registry.plugins[0].registered:
                entry = registry.entry(*text.split("/", 1))
                with contextlib.suppress(Exception):  # another test tells what cannot be imported
                    entry.load()
                with contextlib.suppress(Exception):
                    entry.parameters()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        for number, one in zip((1, 2), kept):
            os.dup2(one, number)
    printed.seek(0)
    text = printed.read()
after, are = state(), settings()
print("\\n" + json.dumps({
    "printed": text,
    "moved": [name for name in before if before[name] != after[name]],
    "changed": [f"{n} from {were[n]} to {are[n]}" for n in were if were[n] != are[n]],
}))
"""
"""What another process runs: it imports a plugin with all that it registers, and looks around."""

_MEMBERS = {
    "dataset": ("card", "development", "sealed_test"),
    "reader": ("reads", "header", "read"),
    "preparation": ("__call__",),
}
"""What is made has to have, where its kind has no base class."""
_WRONG = (TypeError, ValueError, AttributeError, LookupError, AssertionError)


def problem_of_making(registry: Registry, entry: Entry) -> str:
    """Say what is wrong with making a registered name at the defaults of its parameters.

    What cannot be made for want of a file, an optional package or a required parameter is passed
    over.
    """
    try:
        model = entry.parameters()
        factory = entry.load()
    except MedpipeError as error:
        return str(error)
    problem = _wrong_default(model)
    handed = _handed(entry, model)
    settings = {n: field for n, field in model.model_fields.items() if n not in handed}
    if entry.kind == "executor":  # it is made for a run, and may start processes
        return problem
    if problem or any(field.is_required() for field in settings.values()):
        return problem
    # A factory without a registered model knows its own defaults.
    registered = {n: v for n, v in model.model_construct() if n in settings}
    arguments = {} if entry._parameters is None else registered
    remedy = (
        f". It is called with {', '.join(arguments) or 'no settings'}, as its parameters say. "
        "Register with parameters= the model whose fields the factory takes as keyword arguments"
    )
    refused = _refused(factory, arguments)
    if refused:
        return f"its factory refuses defaults of its parameters: {refused}{remedy}"
    try:
        with _noting_models() as used:
            made = _made(registry, entry, factory, arguments)
    except (Exception, SystemExit) as error:
        cause = error.__cause__ if isinstance(error, PluginError) else error
        if not isinstance(cause, _WRONG) or isinstance(cause, MedpipeError):
            return ""  # a file or an optional package that is not there, and the like
        told = " ".join(str(cause).split())
        return f"its factory cannot be called: {type(cause).__name__}: {told}{remedy}"
    return _problem_of_kind(entry.kind, made) or _passed_over(factory, arguments, used)


def _made(registry: Registry, entry: Entry, factory: Any, arguments: Mapping[str, Any]) -> Any:
    import torch

    if entry.kind == "space":
        return registry.space(entry.name)
    if entry.kind == "estimator":
        return factory(toy_spaces()[1].space, **arguments)
    if entry.kind == "searcher":
        return factory(toy_spaces()[1].space, seed=0, steps=20, admit=None, **arguments)
    with torch.device("meta") if entry.kind in ("block", "model") else contextlib.nullcontext():
        if entry.kind == "block":
            return factory(4, **arguments)
        if entry.kind == "model":
            return factory(in_channels=1, num_classes=2, **arguments)
        return factory(**arguments)


def _handed(entry: Entry, model: type[BaseModel]) -> dict[str, Any]:
    """Return the parameters that the framework fills in."""
    names = {"model": ("in_channels", "num_classes"), "searcher": ("seed", "steps", "admit")}
    return {name: 1 for name in names.get(entry.kind, ()) if name in model.model_fields}


def _wrong_default(model: type[BaseModel]) -> str:
    """Say which default of a model its own annotation refuses."""
    try:
        made = model()
    except ValidationError:
        return ""  # something is required
    try:
        check(model, made.model_dump(by_alias=True), "defaults")
    except ParameterError as error:
        return f"its parameters refuse their own defaults: {'; '.join(error.problems)}"
    return ""


def _problem_of_kind(kind: str, made: Any) -> str:
    """Say why what was made is not what its kind says."""
    from torch import nn

    from medpipe_core.search import Estimator, Searcher
    from medpipe_core.space import SearchSpace
    from medpipe_core.supernet import Augmentation

    bases = {
        "augmentation": Augmentation,
        "block": nn.Module,
        "estimator": Estimator,
        "model": nn.Module,
        "searcher": Searcher,
        "space": SearchSpace,
    }
    if kind in bases:
        base = bases[kind]
        fits = isinstance(made, base)
        return "" if fits else f"it makes a {type(made).__name__}, which is no {base.__name__}"
    lacking = [n for n in _MEMBERS.get(kind, ()) if not hasattr(type(made), n)]
    lacking = [n for n in lacking if n not in vars(made)] if hasattr(made, "__dict__") else lacking
    what = f"it makes a {type(made).__name__}, which has no {', '.join(lacking)}"
    return what if lacking else ""


def _refused(factory: Any, arguments: Mapping[str, Any]) -> str:
    """Say what annotations of a factory's signature refuse."""
    try:
        signature = model_of(factory, "signature")
    except Exception:  # a signature that cannot be read is told elsewhere
        return ""
    taken = {name: v for name, v in arguments.items() if name in signature.model_fields}
    lacking = {name for name in signature.model_fields if name not in taken}
    try:
        check(signature, taken, "signature")
    except ParameterError as error:
        told = [p for p in error.problems if p.removesuffix(" is required") not in lacking]
        return "; ".join(told)
    return ""


@contextlib.contextmanager
def _noting_models() -> Iterator[list[type[BaseModel]]]:
    """Note the classes of the pydantic models that are made inside the block."""
    used: list[type[BaseModel]] = []
    original = BaseModel.__init__

    def noting(self: BaseModel, /, **data: Any) -> None:
        used.append(type(self))
        original(self, **data)

    with mock.patch.object(BaseModel, "__init__", noting):
        yield used


def _passed_over(
    factory: Any, arguments: Mapping[str, Any], used: Sequence[type[BaseModel]]
) -> str:
    """Say which settings a factory that takes anything (`**settings`) hands to a model without."""
    left = set(arguments) - keywords_of(factory)
    if not used or not left or any(left <= set(model.model_fields) for model in used):
        return ""
    name = used[0].__name__
    return (
        f"its factory makes settings of the class {name}, which does not know "
        f"{', '.join(sorted(left - set(used[0].model_fields)))}: what users set by that name is "
        f"passed over. Register {name} with parameters=, or the model that the factory uses"
    )
