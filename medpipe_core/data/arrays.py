"""Arrays as a whole data set has them: one type, one scale, and a form that torch takes.

numpy allows much that torch refuses or reads otherwise: negative strides, other byte orders, memory
that must not be written, labels in a column. It is made right here or refused, so that no array
fails later, and none of a test set after everything is trained.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from medpipe_core.data.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

FULL = 255
"""The value of uint8 volumes that is 1."""


def as_volumes(given: Any) -> NDArray[Any]:
    """Return volumes `(count, channel, *space)` as uint8 in [0, 255] or float32.

    Floating-point numbers of another width become float32, and booleans uint8 with True at 255.

    Raises:
        DataError: They have another type, no channel axis, an axis without voxels or masked voxels.
    """
    array = _array(given, "volumes")
    kind = array.dtype.kind
    if array.ndim < 3 or not (kind in "fb" or array.dtype == np.uint8):
        raise DataError(
            "volumes must be (count, channel, *space) of uint8, 0 to 255, of floating-point in "
            f"[0, 1] or of bool, but are {array.shape} of {array.dtype}. A set without a channel "
            "axis gets one by volumes[:, None]; other intensities have to be scaled"
        )
    if 0 in array.shape[1:]:
        raise DataError(f"volumes of shape {array.shape[1:]} have no voxels")
    if kind == "b":
        array = array.astype(np.uint8) * np.uint8(FULL)
    elif kind == "f":
        array = _float32(array)
    return np.require(array, requirements=["C", "A", "W"])


def as_labels(given: Any, count: int) -> NDArray[np.int64]:
    """Return labels, `(count,)` or `(count, 1)`, as int64 from 0.

    Raises:
        DataError: They are no whole numbers, not so many, negative or beyond int64.
    """
    array = _of_objects(_array(given, "labels"))
    if array.shape == (count, 1):
        array = array[:, 0]
    if array.shape != (count,) or array.dtype.kind not in "iub":
        raise DataError(
            f"labels must be ({count},) of whole numbers, but are {array.shape} of {array.dtype}"
        )
    if count and array.min() < 0:
        raise DataError(f"labels count from 0, but the least is {array.min()}")
    if count and int(array.max()) > np.iinfo(np.int64).max:
        raise DataError(f"labels count from 0, one for each class, but one is {array.max()}")
    return np.require(array, np.int64, ["C", "A", "W"])


def as_patients(given: Any, count: int) -> NDArray[Any]:
    """Return the patient of each volume, `(count,)`: whole numbers, or texts if any is a text.

    Raises:
        DataError: They are something else, or not so many.
    """
    array = _of_objects(_array(given, "groups"))
    if array.dtype.kind == "S":
        array = np.char.decode(array, "utf-8", "replace")
    if array.shape == (count, 1):
        array = array[:, 0]
    if array.shape != (count,) or array.dtype.kind not in "iuU":
        raise DataError(
            f"groups must be ({count},) of whole numbers or texts, one patient for each volume, "
            f"but are {array.shape} of {array.dtype}"
        )
    return array


def as_cases(given: Any, count: int) -> NDArray[np.str_]:
    """Return the name of each volume, `(count,)`, as texts.

    Raises:
        DataError: They are no whole numbers or texts, or not so many.
    """
    array = _of_objects(_array(given, "cases"))
    if array.shape != (count,) or array.dtype.kind not in "iuU":
        raise DataError(
            f"cases must be ({count},) of texts, one name for each volume, but are {array.shape} "
            f"of {array.dtype}"
        )
    return array.astype(np.str_)


def patient_names(patients: NDArray[Any]) -> list[str]:
    """Return patients as texts: 1 and "1" are the same, wherever they were read."""
    return [str(patient).strip() for patient in patients.tolist()]


def together(one: NDArray[Any], other: NDArray[Any]) -> NDArray[Any]:
    """Return patients followed by others, as texts where one side has texts."""
    if one.dtype.kind != other.dtype.kind and "U" in one.dtype.kind + other.dtype.kind:
        one, other = (np.array(patient_names(side), np.str_) for side in (one, other))
    return np.concatenate((one, other))


def in_type(volumes: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return uint8 volumes as float32 in [0, 1] where that is asked for; others stay."""
    if volumes.dtype == dtype:
        return volumes
    scaled: NDArray[Any] = volumes.astype(dtype) / np.float32(FULL)
    return scaled


def _array(given: Any, what: str) -> NDArray[Any]:
    if np.ma.is_masked(given):
        raise DataError(f"some {what} are masked, and have no value; fill them, or leave them out")
    try:
        return np.asarray(given)
    except Exception as error:
        raise DataError(
            f"{what} cannot be made one array ({type(error).__name__}: {error}); hand over a numpy "
            "array"
        ) from error


def _of_objects(array: NDArray[Any]) -> NDArray[Any]:
    """Return whole numbers and texts that tables hold as objects in a type of their own."""
    if array.dtype.kind != "O":
        return array
    plain = [one.item() if isinstance(one, np.generic) else one for one in array.ravel()]
    if not all(isinstance(one, int | str | bytes) for one in plain):
        return array
    texts = [one.decode("utf-8", "replace") if isinstance(one, bytes) else one for one in plain]
    if any(isinstance(one, str) for one in texts):
        return np.array([str(one) for one in texts], np.str_).reshape(array.shape)
    try:
        return np.array(texts, np.int64).reshape(array.shape)
    except OverflowError:
        return array


def _float32(array: NDArray[Any]) -> NDArray[np.float32]:
    with np.errstate(over="ignore", invalid="ignore"):  # what is out of range is told with its name
        return array.astype(np.float32, copy=False)


def as_facts(facts: Any, count: int) -> dict[str, NDArray[Any]]:
    """Return facts as arrays of numbers or of texts.

    Raises:
        DataError: They are no mapping of names to as many values as there are volumes.
    """
    try:
        given = {str(name): np.asarray(values) for name, values in dict(facts).items()}
    except (TypeError, ValueError) as error:
        raise DataError(f"facts are {{name: values}}, not {facts!r} ({error})") from None
    for name, values in given.items():
        if values.shape != (count,) or values.dtype.kind not in "fiubU":
            raise DataError(
                f"the fact {name!r} is {values.dtype} of shape {values.shape}; give a number or a "
                f"text for each of the {count} volumes"
            )
    return {
        name: values if values.dtype.kind == "U" else values.astype(np.float64)
        for name, values in given.items()
    }


def joined_facts(
    one: Mapping[str, NDArray[Any]] | None, other: Mapping[str, NDArray[Any]] | None
) -> dict[str, NDArray[Any]] | None:
    """Return facts of volumes followed by others: those that both sides have in one kind."""
    if one is None or other is None:
        return None
    both = [n for n in one if n in other and one[n].dtype.kind == other[n].dtype.kind]
    return {name: np.concatenate((one[name], other[name])) for name in both}
