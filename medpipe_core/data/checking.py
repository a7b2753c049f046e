"""What a dataset hands over, checked before anything is trained on it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from medpipe_core.data.dataset import Development, SealedTest
from medpipe_core.data.stored import value_range
from medpipe_core.data.volumes import DataError, DatasetCard, LabelledVolumes, overlap

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from medpipe_core.data.stored import StoredVolumes


def check_card(card: object) -> None:
    """Check that a card says what a run needs to know.

    Raises:
        DataError: It is no card, or what it says of classes, channels or size cannot be.
    """
    if not isinstance(card, DatasetCard):
        raise DataError(f"its card is a {type(card).__name__}, not a medpipe_core.data.DatasetCard")
    if isinstance(card.classes, str) or not 2 <= len(card.classes) == len(set(card.classes)):
        raise DataError(
            f"its card names the classes {card.classes!r}; name at least two, each once"
        )
    whole = (card.channels, *card.size)
    if not card.size or not all(isinstance(n, int) and n > 0 for n in whole):
        raise DataError(
            f"its card says channels={card.channels!r}, size={card.size!r}; these are whole "
            "numbers above 0: channels, and depth, height and width in voxels"
        )


def check_development(development: object, card: DatasetCard) -> tuple[str, ...]:
    """Check training and validation volumes, against the card and against each other.

    Returns:
        What is odd and yet can be trained on, one text each.

    Raises:
        DataError: They are not what the card says, or figures on them would mean nothing.
    """
    if not isinstance(development, Development):
        raise DataError(
            f"development() gives a {type(development).__name__}; return "
            "Development(train, validation) of medpipe_core.data"
        )
    train, validation = development.train, development.validation
    check_volumes(train, card, "train")
    check_volumes(validation, card, "validation")
    absent = _absent(train, card.classes)
    if absent:
        raise DataError(
            f"train has no volume of {', '.join(absent)}; split by class, or leave the class out "
            "of the card"
        )
    both = overlap(train, validation)
    if both and both == overlap(validation, validation):
        raise DataError(
            "every volume of validation is in train as well, so that validation says nothing; hand "
            "out different volumes (medpipe_core.data.split splits, by patient too)"
        )
    patients = shared_patients(train, validation)
    if patients:
        shown = ", ".join(map(str, patients[:3])) + (", …" if len(patients) > 3 else "")
        raise DataError(
            f"{len(patients)} patients are in train and in validation ({shown}), so that "
            "validation figures are too good; split by patient (medpipe_core.data.split does, with "
            "groups)"
        )
    return tuple(_oddities(validation, both, card))


def check_volumes(data: object, card: DatasetCard, name: str) -> None:
    """Check the volumes and labels of one set against the card.

    Args:
        data: What should be `LabelledVolumes`.
        card: The dataset's card.
        name: How messages call the set: train, validation or test.

    Raises:
        DataError: There are none, or their shape, range or labels are not what the card says.
    """
    if not isinstance(data, LabelledVolumes):
        raise DataError(
            f"{name} is a {type(data).__name__}; return LabelledVolumes(volumes, labels, groups) "
            "of medpipe_core.data"
        )
    if not len(data):
        raise DataError(f"{name} has no volumes")
    found, expected = data.volumes.shape[1:], (card.channels, *card.size)
    if found != expected:
        raise DataError(
            f"{name} has volumes of shape {found}, but the card says {expected} (channels, then "
            "size); mend the card, or resample the volumes"
        )
    if data.labels.max() >= len(card.classes):
        raise DataError(
            f"{name} has labels from {data.labels.min()} to {data.labels.max()}, but the card "
            f"names {len(card.classes)} classes, so they go from 0 to {len(card.classes) - 1}; "
            "number the labels from 0, or add the class to the card"
        )
    _check_range(data.volumes, name)


def check_sealed(sealed: object) -> None:
    """Check that a test set comes sealed.

    Raises:
        DataError: It is no `SealedTest`, or it is open.
    """
    if not isinstance(sealed, SealedTest):
        raise DataError(
            f"sealed_test() gives a {type(sealed).__name__}; return SealedTest(read) of "
            "medpipe_core.data, with a function that reads the test set"
        )
    if sealed.opened:
        raise DataError("sealed_test() gives a test set that is open; do not call open")


def shared_patients(one: LabelledVolumes, other: LabelledVolumes) -> list[Any]:
    """Return the patients that are in both; none are known where a side does not name them."""
    if one.groups is None or other.groups is None:
        return []
    return sorted(set(one.groups.tolist()) & set(other.groups.tolist()), key=str)


def _check_range(volumes: NDArray[Any] | StoredVolumes, name: str) -> None:
    if volumes.dtype == np.uint8:
        return
    low, high = value_range(volumes)
    if not (low >= 0 and high <= 1):  # NaN is neither
        raise DataError(
            f"{name} has intensities in [{low:g}, {high:g}]; floating-point volumes are finite and "
            "in [0, 1]. Divide by the largest possible value, or hand them out as uint8"
        )


def _absent(data: LabelledVolumes, classes: Sequence[str]) -> list[str]:
    there = set(data.labels.tolist())
    return [repr(name) for label, name in enumerate(classes) if label not in there]


def _oddities(validation: LabelledVolumes, both: int, card: DatasetCard) -> Iterator[str]:
    absent = _absent(validation, card.classes)
    if absent:
        yield f"validation has no volume of {', '.join(absent)}."
    if both:
        yield f"{both} volumes are in train and in validation, voxel for voxel."
