"""What a dataset hands over, checked before anything is trained on it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from medpipe_core.data.arrays import FULL, patient_names
from medpipe_core.data.dataset import Development, Outline, SealedTest
from medpipe_core.data.errors import DataError
from medpipe_core.data.stored import parts
from medpipe_core.data.volumes import DatasetCard, LabelledVolumes, overlap
from medpipe_core.errors import counted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

# Names that a message shows of many.
_SHOWN = 5
# Share of the range of intensities below which something has probably not been scaled.
_FAINT = 0.1


def check_card(card: object) -> None:
    """Check that a card says what a run needs to know.

    Raises:
        DataError: It is no card, or what it says of classes, channels or size cannot be; all that
            is wrong is told at once.
    """
    if not isinstance(card, DatasetCard):
        raise DataError(f"its card is a {type(card).__name__}, not a medpipe_core.data.DatasetCard")
    _refuse(_wrong_with_card(card))


def check_development(development: object, card: DatasetCard) -> tuple[str, ...]:
    """Check training and validation volumes, against the card and against each other.

    Returns:
        What is odd and yet can be trained on, one text each.

    Raises:
        DataError: They are not what the card says, or figures on them would mean nothing. What is
            wrong with either set is told at once, with the volumes' positions and patients.
    """
    if not isinstance(development, Development):
        raise DataError(
            f"development() gives a {type(development).__name__}; return "
            "Development(train, validation) of medpipe_core.data"
        )
    train, validation = development.train, development.validation
    _refuse(
        problem
        for data, name in ((train, "train"), (validation, "validation"))
        for problem in _wrong_with(data, card, name)
    )
    both = overlap(train, validation)
    _refuse(_wrong_between(train, validation, both, card))
    return tuple(_oddities(train, validation, both, card))


def check_volumes(data: object, card: DatasetCard, name: str) -> None:
    """Check the volumes and labels of one set against the card.

    Args:
        data: What should be `LabelledVolumes`.
        card: The dataset's card.
        name: How messages call the set: train, validation or test.

    Raises:
        DataError: There are none, or their shape, range or labels are not what the card says.
    """
    _refuse(_wrong_with(data, card, name))


def check_sealed(sealed: object, card: DatasetCard | None = None) -> None:
    """Check that a test set comes sealed, and what its outline tells; it stays closed.

    Args:
        sealed: What should be a `SealedTest`.
        card: The dataset's card, for its outline to be held to.

    Raises:
        DataError: It is no `SealedTest`, it is open, or its outline does not fit the card.
    """
    if not isinstance(sealed, SealedTest):
        raise DataError(
            f"sealed_test() gives a {type(sealed).__name__}; return SealedTest(read) of "
            "medpipe_core.data, with a function that reads the test set"
        )
    if sealed.opened:
        raise DataError("sealed_test() gives a test set that is open; do not call open")
    if sealed.outline is None or card is None:
        return
    if not isinstance(sealed.outline, Outline):
        raise DataError(
            f"the outline of the test set is a {type(sealed.outline).__name__}, not a "
            "medpipe_core.data.Outline"
        )
    try:
        empty = sealed.outline.empty()
    except (DataError, TypeError, ValueError) as error:
        raise DataError(f"test: {error}") from error
    _refuse(_wrong_shape(empty, card, "test"))


def shared_patients(one: LabelledVolumes, other: LabelledVolumes) -> list[str]:
    """Return the patients that are in both, as texts: 1 and "1" are the same.

    None are known where a side does not name them.
    """
    if one.groups is None or other.groups is None:
        return []
    return sorted(set(patient_names(one.groups)) & set(patient_names(other.groups)))


def absent_classes(labels: NDArray[np.int64], classes: Sequence[str]) -> list[str]:
    """Return the names of the classes that no label is of."""
    there = set(np.unique(labels).tolist())
    return [name for label, name in enumerate(classes) if label not in there]


def _refuse(problems: Iterator[str]) -> None:
    told = list(problems)
    if told:
        raise DataError("; ".join(told))


def _wrong_with_card(card: DatasetCard) -> Iterator[str]:
    classes = card.classes
    if not isinstance(classes, tuple) or not 2 <= len(classes) == len(set(classes)):
        yield f"its card names the classes {classes!r}; name at least two, each once"
    size = card.size if isinstance(card.size, tuple) else ()
    if not size or not all(isinstance(n, int) and n > 0 for n in (card.channels, *size)):
        yield (
            f"its card says channels={card.channels!r}, size={card.size!r}; these are whole "
            "numbers above 0: channels, and depth, height and width in voxels"
        )
    if card.spacing is not None and not _is_spacing(card.spacing, len(size)):
        yield (
            f"its card says spacing={card.spacing!r}; it is None, or millimetres between voxels "
            "along each axis of size, above 0"
        )
    for field in ("name", "title", "source", "licence"):
        if not isinstance(getattr(card, field), str):
            yield f"its card says {field}={getattr(card, field)!r}, which is no text"


def _is_spacing(spacing: object, axes: int) -> bool:
    return (
        isinstance(spacing, tuple)
        and len(spacing) == axes
        and all(isinstance(one, float) and 0 < one < math.inf for one in spacing)
    )


def _wrong_with(data: object, card: DatasetCard, name: str) -> Iterator[str]:
    if not isinstance(data, LabelledVolumes):
        yield (
            f"{name} is a {type(data).__name__}; return LabelledVolumes(volumes, labels, groups) "
            "of medpipe_core.data"
        )
    elif not len(data):
        yield f"{name} has no volumes"
    else:
        yield from _wrong_shape(data, card, name)
        yield from _wrong_labels(data, card, name)
        yield from _wrong_intensities(data, name)


def _wrong_shape(data: LabelledVolumes, card: DatasetCard, name: str) -> Iterator[str]:
    found, expected = tuple(data.volumes.shape[1:]), (card.channels, *card.size)
    if found != expected:
        yield (
            f"{name} has volumes of shape {found}, but the card says {expected} (channels, then "
            "size); mend the card, or resample the volumes"
        )


def _wrong_labels(data: LabelledVolumes, card: DatasetCard, name: str) -> Iterator[str]:
    beyond = np.flatnonzero(data.labels >= len(card.classes))
    if len(beyond):
        yield (
            f"{name} has labels from {data.labels.min()} to {data.labels.max()}, but the card "
            f"names {len(card.classes)} classes, so they go from 0 to {len(card.classes) - 1}; "
            f"the label of {_named(data, beyond)} is none of these. Number the labels from 0, or "
            "add the class to the card"
        )


def _wrong_intensities(data: LabelledVolumes, name: str) -> Iterator[str]:
    if data.volumes.dtype == np.uint8:
        return
    low, high = _ranges(data)
    unknown = np.flatnonzero(~(np.isfinite(low) & np.isfinite(high)))
    if len(unknown):
        yield (
            f"{name} has voxels that are not finite in {_named(data, unknown)}; floating-point "
            "volumes are finite and in [0, 1]. Mend these volumes, or leave them out"
        )
    outside = np.flatnonzero((low < 0) & np.isfinite(low) | (high > 1) & np.isfinite(high))
    if len(outside):
        yield (
            f"{name} has intensities in [{low[outside].min():g}, {high[outside].max():g}] in "
            f"{_named(data, outside)}; floating-point volumes are finite and in [0, 1]. Divide by "
            "the largest possible value, or hand them out as uint8"
        )


def _wrong_between(
    train: LabelledVolumes, validation: LabelledVolumes, both: int, card: DatasetCard
) -> Iterator[str]:
    absent = absent_classes(train.labels, card.classes)
    if absent:
        yield (
            f"train has no volume of {_quoted(absent)}; split by class, or leave the class out "
            "of the card"
        )
    if both and both == overlap(validation, validation):
        yield (
            "every volume of validation is in train as well, so that validation says nothing; hand "
            "out different volumes (medpipe_core.data.split splits, by patient too)"
        )
    patients = shared_patients(train, validation)
    if patients:
        are = "is" if len(patients) == 1 else "are"
        yield (
            f"{counted(len(patients), 'patient')} {are} in train and in validation "
            f"({_first(patients)}), so that validation figures are too good; split by patient "
            "(medpipe_core.data.split does, with groups)"
        )


def _oddities(
    train: LabelledVolumes, validation: LabelledVolumes, both: int, card: DatasetCard
) -> Iterator[str]:
    absent = absent_classes(validation.labels, card.classes)
    if absent:
        yield f"validation has no volume of {_quoted(absent)}."
    if both:
        are = "is" if both == 1 else "are"
        yield f"{counted(both, 'volume')} {are} in train and in validation, voxel for voxel."
    for data, name in ((train, "train"), (validation, "validation")):
        yield from _faint(data, name)


def _faint(data: LabelledVolumes, name: str) -> Iterator[str]:
    """Say where intensities use so little of their range that they were probably never scaled."""
    full = FULL if data.volumes.dtype == np.uint8 else 1
    highest = float(_ranges(data)[1].max())
    if highest >= _FAINT * full:
        return
    cure = (
        "hand masks out as bool, and multiply others up"
        if full == FULL
        else "divide by the largest value that occurs, not by that of the file's type"
    )
    yield (
        f"no voxel of {name} exceeds {highest:g} of {full}, so that networks see at most "
        f"{highest / full:.2g} of 1, which noise and other augmentations bury: {cure}."
    )


def _ranges(data: LabelledVolumes) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the least and the largest voxel of each volume; NaN where there is one."""
    flat = (part.reshape(len(part), -1) for part in parts(data.volumes))
    least, largest = zip(*((rows.min(axis=1), rows.max(axis=1)) for rows in flat), strict=True)
    return np.concatenate(least), np.concatenate(largest)


def _named(data: LabelledVolumes, positions: NDArray[np.int64]) -> str:
    """Return how messages name volumes: by position, and by patient where that is known."""
    shown = [str(position) for position in positions[:_SHOWN]]
    if data.groups is not None:
        patients = patient_names(data.groups[positions[:_SHOWN]])
        shown = [f"{place} (patient {who})" for place, who in zip(shown, patients, strict=True)]
    number = "volume number" if len(positions) == 1 else f"{len(positions)} volumes, numbers"
    return f"{number} {_first(shown, len(positions))}"


def _first(names: Sequence[str], count: int | None = None) -> str:
    more = (len(names) if count is None else count) > _SHOWN
    return ", ".join(names[:_SHOWN]) + (", …" if more else "")


def _quoted(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names))
