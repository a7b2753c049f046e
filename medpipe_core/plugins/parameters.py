"""The parameters of a registered factory: their model, and what is wrong with given ones."""

from __future__ import annotations

import inspect
import reprlib
import sys
import types
import typing
import warnings
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from medpipe_core.errors import did_you_mean
from medpipe_core.plugins.errors import ParameterError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence


def model_of(factory: Callable[..., Any], name: str) -> type[BaseModel]:
    """Derive a model from a factory's signature.

    Its settings are the parameters that are keyword-only or have a default; those without a
    default and not keyword-only are what the framework hands over. An annotation that cannot be
    evaluated, as when it is imported for type checkers only, allows anything.
    """
    config = ConfigDict(extra="forbid", arbitrary_types_allowed=True)
    fields: dict[str, Any] = {
        parameter.name: (
            Any if parameter.annotation is parameter.empty else parameter.annotation,
            ... if parameter.default is parameter.empty else parameter.default,
        )
        for parameter in _parameters(factory)
        if _is_setting(parameter)
    }
    with warnings.catch_warnings():
        # A factory may well have a parameter `copy`, which a model has as a method.
        warnings.filterwarnings("ignore", message="Field name .* shadows", category=UserWarning)
        return create_model(name, __config__=config, **fields)


def keywords_of(factory: Callable[..., Any]) -> frozenset[str]:
    """Return the names that a factory takes as keywords, without what `**` would take."""
    try:
        parameters = inspect.signature(factory).parameters.values()
    except (TypeError, ValueError):  # something callable that does not tell
        return frozenset()
    return frozenset(parameter.name for parameter in parameters if _is_setting(parameter))


def check(
    model: type[BaseModel],
    parameters: Mapping[str, Any],
    what: str,
    context: Mapping[str, Any] | None = None,
) -> BaseModel:
    """Validate parameters.

    Raises:
        ParameterError: They do not fit; it lists every mistake with its key and what is near.
    """
    problems = [_unknown(model, (key,)) for key in _ignored(model, parameters)]
    try:
        checked = model.model_validate(dict(parameters), context=context)
    except ValidationError as error:
        told = [_problem(model, parameters, e) for e in error.errors(include_url=False)]
        raise ParameterError(what, list(dict.fromkeys([*problems, *told]))) from None
    if problems:
        raise ParameterError(what, problems)
    return checked


def inner_model(annotation: Any) -> type[BaseModel] | None:
    """Return the model that an annotation is, or the first that it is an alternative of."""
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        found = map(inner_model, typing.get_args(annotation))
        return next((model for model in found if model is not None), None)
    is_model = isinstance(annotation, type) and issubclass(annotation, BaseModel)
    return annotation if is_model else None


def _parameters(factory: Callable[..., Any]) -> Iterator[inspect.Parameter]:
    try:
        yield from inspect.signature(factory, eval_str=True).parameters.values()
    except (NameError, AttributeError, TypeError, SyntaxError):
        for parameter in inspect.signature(factory).parameters.values():
            yield parameter.replace(annotation=_evaluated(parameter.annotation, factory))


def _evaluated(annotation: Any, factory: Callable[..., Any]) -> Any:
    module = sys.modules.get(getattr(factory, "__module__", ""))
    alone = types.SimpleNamespace(__annotations__={"it": annotation})
    try:
        return typing.get_type_hints(alone, vars(module), include_extras=True)["it"]
    except Exception:  # evaluating what somebody wrote can raise anything
        return Any


def _is_setting(parameter: inspect.Parameter) -> bool:
    if parameter.name.startswith("_"):
        return False
    if parameter.kind is parameter.POSITIONAL_OR_KEYWORD:
        return parameter.default is not parameter.empty
    return parameter.kind is parameter.KEYWORD_ONLY


def _ignored(model: type[BaseModel], parameters: Mapping[str, Any]) -> list[str]:
    """Return the keys that a model would pass over in silence."""
    if model.model_config.get("extra", "ignore") != "ignore":
        return []
    aliases = {field.alias for field in model.model_fields.values()}
    return [key for key in parameters if key not in model.model_fields and key not in aliases]


def _problem(model: type[BaseModel], parameters: Mapping[str, Any], error: Any) -> str:
    location = _location(error, parameters)
    key = ".".join(location)
    message = str(error["msg"]).removeprefix("Value error, ").removeprefix("Assertion failed, ")
    if error["type"] == "extra_forbidden":
        return _unknown(model, location)
    if error["type"] == "missing":
        return f"{key} is required"
    if not key:
        return message
    return f"{key}={reprlib.repr(error['input'])}: {message[0].lower()}{message[1:]}"


def _unknown(model: type[BaseModel], location: Sequence[str]) -> str:
    *above, last = location
    none = "" if model.model_fields else " It takes no parameters."
    near = did_you_mean(last, _fields_at(model, above)) or none
    return f"there is no key {'.'.join(location)!r}.{near}"


def _location(error: Any, parameters: Mapping[str, Any]) -> tuple[str, ...]:
    """Return where in the parameters an error is, without pydantic's names of alternatives."""
    location = []
    value: Any = parameters
    *above, last = error["loc"] or [None]
    for part in above:
        inside = _inside(value, part)
        if inside:
            value = inside[0]
            location.append(str(part))
    if last is not None and (error["type"] == "missing" or _inside(value, last)):
        location.append(str(last))
    return tuple(location)


def _inside(value: Any, part: int | str) -> tuple[Any, ...]:
    """Return what lies in a value under a key or position, as a tuple of one or none."""
    try:
        return (getattr(value, str(part)) if isinstance(value, BaseModel) else value[part],)
    except (KeyError, IndexError, TypeError, AttributeError):
        return ()


def _fields_at(model: type[BaseModel], location: Sequence[str]) -> list[str]:
    """Return the field names of the model that lies at a location inside another."""
    for part in location:
        field = model.model_fields.get(part)
        inner = inner_model(field.annotation) if field else None
        if inner is None:
            return []
        model = inner
    return list(model.model_fields)
