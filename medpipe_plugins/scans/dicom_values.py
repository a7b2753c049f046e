"""Values of DICOM attributes, as far as they can be what they have to be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from medpipe_core.data import DataError

if TYPE_CHECKING:
    from pathlib import Path

    from pydicom.dataset import Dataset

    from medpipe_plugins.scans.dicom_plain import PlainHeader


def text(ds: Dataset | PlainHeader, name: str) -> str:
    """Return an attribute as a text, empty where it is missing."""
    value = ds.get(name)
    return "" if value is None else str(value).strip()


def texts(value: Any) -> tuple[str, ...]:
    """Return the values of an attribute that may have several."""
    if value is None:
        return ()
    return (value,) if isinstance(value, str) else tuple(str(word) for word in value)


def whole(path: Path, ds: Dataset | PlainHeader, name: str, default: int | None = None) -> int:
    """Return a whole number above 0.

    Raises:
        DataError: It is none.
    """
    value = ds.get(name)
    if value is None and default is not None:
        return default
    try:
        found = int(value)
    except (TypeError, ValueError):
        found = 0
    if found < 1:
        raise DataError(f"{path}: {name} is {value!r}; it has to be a whole number above 0")
    return found


def number(ds: Dataset | PlainHeader, name: str) -> int | None:
    """Return a whole number, or None."""
    value = ds.get(name)
    return None if value is None or value == "" else int(value)


def finite(path: Path, value: Any, name: str) -> float | None:
    """Return a number, or None where it is missing.

    Raises:
        DataError: It is NaN or infinite, or not one number.
    """
    if value is None or value == "":
        return None
    try:
        found = float(value)
    except (TypeError, ValueError):
        found = np.nan
    if not np.isfinite(found):
        raise DataError(f"{path}: {name} is {value}, which is not one number")
    return found


def vector(path: Path, value: Any, length: int, name: str) -> tuple[float, ...] | None:
    """Return so many numbers, or None where they are missing; six are two directions.

    Raises:
        DataError: They are others.
    """
    if value is None or value == "" or (hasattr(value, "__len__") and not len(value)):
        return None
    try:
        found = tuple(float(one) for one in value)
    except (TypeError, ValueError):  # one number alone, or a text
        found = ()
    if len(found) != length or not np.isfinite(found).all():
        raise DataError(f"{path}: {name} is {value}; it has to be {length} numbers")
    if length == 6:
        lengths = np.linalg.norm(np.reshape(found, (2, 3)), axis=1)
        if np.abs(lengths - 1).max() > 0.01 or abs(np.dot(found[:3], found[3:])) > 0.01:
            raise DataError(
                f"{path}: {name} is {value}; it has to be two directions at right angles"
            )
    return found


def spacing_of_pixels(path: Path, value: Any) -> tuple[float, ...] | None:
    """Return the distances of rows and of columns, or None where they are missing.

    Raises:
        DataError: They are not above 0.
    """
    found = vector(path, value, 2, "PixelSpacing")
    if found is not None and min(found) <= 0:
        raise DataError(f"{path}: PixelSpacing is {value}; it has to be above 0")
    return found


def sortable(value: Any) -> tuple[bool, float, str]:
    """Return a value that sorts beside others of its attribute, missing ones first."""
    if value is None or value == "":
        return (False, 0.0, "")
    try:
        return (True, float(value), "")
    except (TypeError, ValueError):
        return (True, 0.0, str(value))
