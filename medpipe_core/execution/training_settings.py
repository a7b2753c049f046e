"""Settings of a training that the space decides: its part `training`."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from pydantic import ValidationError

from medpipe_core.config.errors import ConfigurationError
from medpipe_core.errors import did_you_mean
from medpipe_core.train.settings import FitSettings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from medpipe_core.config.settings import EvaluateKeys
    from medpipe_core.space import Choice, Genotype, SearchSpace

_PART = "training/"
Settings = TypeVar("Settings", bound=FitSettings)


def trained_as(space: SearchSpace, genotype: Genotype, settings: Settings) -> Settings:
    """Return the settings of a training, with those that the genotype decides in their place."""
    own = {
        path.removeprefix(_PART): space.value(genotype, path)
        for path in genotype
        if path.startswith(_PART)
    }
    return type(settings).model_validate({**settings.model_dump(), **own}) if own else settings


def as_trial(settings: EvaluateKeys, epochs: int) -> EvaluateKeys:
    """Return how a candidate is trained to be scored: as in evaluation, but from fresh weights.

    Validation volumes are looked at on the way only where they pick the epoch that counts.
    """
    every = settings.validate_every if settings.select == "best" else epochs
    changed = {"epochs": epochs, "inherit": False, "validate_every": every}
    return settings.model_copy(update=changed)


def check_training(space: SearchSpace) -> None:
    """Refuse a part `training` that decides what is no setting, or offers a wrong value.

    Raises:
        ConfigurationError: The text has every path and what is near or wrong.
    """
    problems = [
        f"space {space.name!r}: {problem}"
        for path, choice in space.choices.items()
        if path.startswith(_PART)
        for problem in _problems(choice)
    ]
    if problems:
        raise ConfigurationError(problems)


def _problems(choice: Choice) -> Iterator[str]:
    name = choice.path.removeprefix(_PART)
    if name not in FitSettings.model_fields:
        near = did_you_mean(name, FitSettings.model_fields)
        yield f"{choice.path!r} is decided, but a training has no setting {name!r}.{near}"
        return
    for value in choice.values or ():
        try:
            FitSettings.model_validate({name: value})
        except ValidationError as error:
            yield f"{choice.path}={value!r}: {error.errors()[0]['msg']}"
