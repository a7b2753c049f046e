"""The parameters of a registered factory: their model, and what is wrong with given ones."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, get_args

from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from medpipe_core.errors import did_you_mean
from medpipe_core.plugins.errors import ParameterError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def model_of(factory: Callable[..., Any], name: str) -> type[BaseModel]:
    """Derive a model from a factory's signature.

    Its settings are the parameters that are keyword-only or have a default; those without a
    default and not keyword-only are what the framework hands over.
    """
    fields: dict[str, Any] = {}
    for parameter in inspect.signature(factory, eval_str=True).parameters.values():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        required = parameter.default is parameter.empty
        if required and parameter.kind is not parameter.KEYWORD_ONLY:
            continue
        annotation = Any if parameter.annotation is parameter.empty else parameter.annotation
        fields[parameter.name] = (annotation, ... if required else parameter.default)
    config = ConfigDict(extra="forbid", arbitrary_types_allowed=True)
    return create_model(name, __config__=config, **fields)


def check(model: type[BaseModel], parameters: Mapping[str, Any], what: str) -> BaseModel:
    """Validate parameters.

    Raises:
        ParameterError: They do not fit; it lists every mistake with its key and what is near.
    """
    try:
        return model(**parameters)
    except ValidationError as error:
        raise ParameterError(what, problems(model, error)) from None


def problems(model: type[BaseModel], error: ValidationError, prefix: str = "") -> list[str]:
    """Return one line for each mistake in a validation error, keys dotted."""
    return [_problem(model, details, prefix) for details in error.errors(include_url=False)]


def _problem(model: type[BaseModel], details: Any, prefix: str) -> str:
    location = [str(part) for part in details["loc"]]
    key = prefix + ".".join(location)
    if details["type"] == "extra_forbidden":
        known = _fields_at(model, location[:-1])
        return f"there is no key {key!r}.{did_you_mean(location[-1], known)}"
    message = details["msg"].removeprefix("Value error, ")
    if not location:
        return f"{prefix.rstrip('.') or 'parameters'}: {message}"
    if details["type"] == "missing":
        return f"{key} is required"
    return f"{key}={details['input']!r}: {message[0].lower()}{message[1:]}"


def _fields_at(model: type[BaseModel], location: list[str]) -> list[str]:
    """Return the field names of the model that lies at a location inside another."""
    for part in location:
        field = model.model_fields.get(part)
        annotation: Any = field.annotation if field else None
        inner = [t for t in (annotation, *get_args(annotation)) if _is_model(t)]
        if not inner:
            return []
        model = inner[0]
    return list(model.model_fields)


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)
