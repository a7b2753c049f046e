"""What is read of other people's run folders is checked before anything is made of it."""

from __future__ import annotations

from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from medpipe_core.config.errors import RunFolderError


class Content(BaseModel):
    """What has to be in a part of a file; what else is there is left alone."""

    model_config = ConfigDict(extra="ignore", frozen=True)


Model = TypeVar("Model", bound=Content)


def checked(model: type[Model], content: Any, where: str) -> Model:
    """Return the content of a file or event, checked.

    Raises:
        RunFolderError: It is not as a run writes it; the text says where.
    """
    try:
        return model.model_validate(content)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise RunFolderError(
            f"{where}: {place}: {first['msg']}; was it written by another version, or changed?"
        ) from error


class Row(Content):
    """A row of the table of candidates."""

    genotype_digest: str
    epoch: int
    parameters: int
    multiply_adds: int
    validation: dict[str, Any]
    failed: str = ""


class Reported(Content):
    """What a report cannot do without, of `result.json`."""

    space: str
    searcher: str
    dataset: str
    seed: int
    genotype_digest: str
    test: dict[str, Any]
    validation: dict[str, Any]
    majority: dict[str, Any]
    candidates: list[Row]
    seconds: dict[str, float]
    classes: list[str] = []
    test_confusion: list[list[int]] = []
    card: dict[str, Any] = {}
    data: dict[str, Any] = {}
    searched: dict[str, Any] = {}
