"""A chain of preparations: plain data that says how a scan becomes what a network takes.

The chain is stored with a run, so that new scans go the same way as those it was trained on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol, Self, runtime_checkable

import numpy as np

from medpipe_core.data.errors import DataError
from medpipe_core.errors import MedpipeError, place_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

Chain = list[dict[str, Any]]
"""Steps `{"name": …, "parameters": {…}}`, with `"training": {…}` where training differs."""

_STEP = ("name", "parameters", "training")
_ROUNDING = 1e-5  # by which an interpolation of values in [0, 1] may be beyond them


@dataclass(frozen=True, eq=False)
class Volume:
    """What a preparation takes and returns.

    Attributes:
        values: float32, three axes, or four with the channels first.
        affine: `(4, 4)`, from indices along the last three axes to millimetres; None where that is
            not known.
        notes: What was unusual, a sentence each.
    """

    values: NDArray[np.float32]
    affine: NDArray[np.float64] | None = None
    notes: tuple[str, ...] = ()

    @property
    def spacing(self) -> tuple[float, ...] | None:
        """Millimetres from one voxel to the next along the last three axes."""
        if self.affine is None:
            return None
        return tuple(float(length) for length in np.linalg.norm(self.affine[:3, :3], axis=0))

    def with_values(
        self, values: NDArray[Any], *, affine: NDArray[np.float64] | None = None, note: str = ""
    ) -> Self:
        """Return other values, with the affine as it is unless another is given."""
        return replace(
            self,
            values=np.ascontiguousarray(values, np.float32),
            affine=self.affine if affine is None else affine,
            notes=(*self.notes, note) if note else self.notes,
        )


class Preparation(Protocol):
    """One step: a pure function; what is registered as a `preparation` is a factory of one."""

    def __call__(self, scan: Volume, /) -> Volume:
        """Return the scan prepared; the given one stays as it is."""


@runtime_checkable
class RandomPreparation(Protocol):
    """What a step has besides, if it draws: a training draws it anew in each epoch."""

    def __call__(self, scan: Volume, /) -> Volume:
        """Return the scan prepared as the step's own seed has it, the same every time."""

    def redrawn(self, seed: int) -> Preparation | None:
        """Return the step with another seed; None where its parameters leave nothing to draw."""


@dataclass(frozen=True)
class MadeStep:
    """A step of a chain that has been made.

    Attributes:
        where: How messages call it.
        preparation: What is called with a scan.
    """

    where: str
    preparation: Preparation


class Preparations(Protocol):
    """What makes preparations by name: a `Registry`."""

    def entry(self, kind: str, name: str) -> Any:
        """Return the entry of a name."""

    def create(self, kind: str, name: str, /, *args: Any, **parameters: Any) -> Any:
        """Check parameters and make what they are of."""


def check_chain(chain: object, registry: Preparations) -> Chain:
    """Return a chain as plain data with every parameter filled in.

    Raises:
        DataError: It is no chain, or names or parameters of its steps do not fit; all is told.
    """
    if not isinstance(chain, Sequence) or isinstance(chain, str):
        raise DataError(f"a chain of preparations is a list of steps, not {chain!r}")
    checked, problems = [], []
    for number, step in enumerate(chain, 1):
        try:
            checked.append(_checked(step, registry))
        except MedpipeError as error:
            problems.append(f"step {number}: {error}")
    if problems:
        raise DataError("; ".join(problems))
    return checked


def prepared(
    scan: Any, chain: Sequence[Mapping[str, Any]], registry: Preparations, *, training: bool = False
) -> NDArray[np.float32]:
    """Run a chain on a scan, and return its values; see `prepared_volume`.

    Args:
        scan: Anything with `values`, and `affine` where it is known.
        chain: Steps, as plain data.
        registry: Who knows the preparations.
        training: Whether steps take what they have for training alone.

    Returns:
        `(channel, depth, height, width)`, float32 in [0, 1].

    Raises:
        DataError: A step failed, or what comes out is no such volume; the text says which and why.

    Example:
        >>> import numpy as np
        >>> from medpipe_core.plugins import load_plugins
        >>> chain = [{"name": "window", "parameters": {"low": 0, "high": 10}}]
        >>> prepared(Volume(np.full((1, 2, 3), 5.0)), chain, load_plugins()).shape
        (1, 1, 2, 3)
    """
    return prepared_volume(scan, chain, registry, training=training).values


def prepared_volume(
    scan: Any, chain: Sequence[Mapping[str, Any]], registry: Preparations, *, training: bool = False
) -> Volume:
    """Run a chain on a scan, as `prepared` does.

    Returns:
        Values `(channel, depth, height, width)`, float32 in [0, 1], where they lie in millimetres
        if that is known, and what was unusual on the way.

    Raises:
        DataError: As of `prepared`.
    """
    return finished(begun_volume(scan, chain, registry, training=training))


def begun_volume(
    scan: Any, chain: Sequence[Mapping[str, Any]], registry: Preparations, *, training: bool = False
) -> Volume:
    """Run the first part of a chain on a scan; values may still be of any range and shape.

    Raises:
        DataError: A step failed; the text says which and why.
    """
    volume = Volume(np.asarray(scan.values, np.float32), getattr(scan, "affine", None))
    return passed(volume, made_steps(chain, registry, training=training))


def made_steps(
    chain: Sequence[Mapping[str, Any]],
    registry: Preparations,
    *,
    training: bool = False,
    first: int = 1,
) -> list[MadeStep]:
    """Make the steps of a chain, or of a part of one that begins with step number `first`."""
    found = []
    for number, step in enumerate(chain, first):
        asked = {**step.get("parameters", {}), **(step.get("training", {}) if training else {})}
        preparation = registry.create("preparation", step["name"], **asked)
        found.append(MadeStep(f"preparation {number}, {step['name']!r}", preparation))
    return found


def passed(volume: Volume, steps: Sequence[MadeStep]) -> Volume:
    """Return a volume after some steps.

    Raises:
        DataError: A step failed; the text says which and why.
    """
    for step in steps:
        try:
            volume = step.preparation(volume)
        except MedpipeError as error:
            raise DataError(f"{step.where}: {error}") from error
        except Exception as error:
            raise DataError(
                f"{step.where} raised {type(error).__name__}: {error}{place_of(error)}"
            ) from error
    return volume


def finished(volume: Volume) -> Volume:
    """Return what a chain ends in, with values as a network takes them.

    Raises:
        DataError: They are none.
    """
    return replace(volume, values=_as_input(volume))


def _as_input(volume: Volume) -> NDArray[np.float32]:
    values = np.ascontiguousarray(volume.values, np.float32)
    if values.ndim == 3:
        values = values[None]
    if values.ndim != 4 or not values.size:
        raise DataError(
            f"the preparation ends in the shape {values.shape}, not in channel, depth, height, "
            "width with one voxel at least"
        )
    low, high = float(values.min()), float(values.max())
    if not (low >= -_ROUNDING and high <= 1 + _ROUNDING):
        raise DataError(
            f"the preparation ends in intensities from {low:g} to {high:g}; they have to be finite "
            "and in [0, 1]. A chain that ends in another range needs a step that maps it there, "
            "such as 'window'"
        )
    return values if low >= 0 and high <= 1 else np.clip(values, 0, 1)


def _checked(step: object, registry: Preparations) -> dict[str, Any]:
    if not isinstance(step, Mapping) or not isinstance(step.get("name"), str):
        raise DataError(f'a step is {{"name": …, "parameters": {{…}}}}, not {step!r}')
    unknown = [key for key in step if key not in _STEP]
    if unknown:
        raise DataError(f"a step has name, parameters and training, but no {unknown[0]!r}")
    for key in _STEP[1:]:
        if not isinstance(step.get(key, {}), Mapping):
            raise DataError(f"{key} of {step['name']!r} are {step[key]!r}, not name: value")
    entry = registry.entry("preparation", step["name"])
    given = dict(step.get("parameters", {}))
    registry.create("preparation", step["name"], **given)
    filled = entry.parameters().model_validate(given).model_dump(mode="json")
    checked = {"name": step["name"], "parameters": filled}
    training = dict(step.get("training", {}))
    if training:
        registry.create("preparation", step["name"], **{**given, **training})
        checked["training"] = training
    return checked
