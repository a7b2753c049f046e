"""Chains of preparations by modality, as plain data; nothing chooses one but its user."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

# Hounsfield units: the lung window has centre -600 and width 1500, that of soft tissue 40 and 400.
_LUNG, _SOFT = (-1350.0, 150.0), (-160.0, 240.0)
# Between air and fat.
_SKIN = -500.0

PRESETS = ("none", "ct-lung", "ct-soft", "mr-brain")


def preset_chain(name: str, size: Sequence[int]) -> list[dict[str, Any]]:
    """Return the chain of a preset.

    Args:
        name: One of `PRESETS`.
        size: Depth, height and width that it ends in; `none` keeps what there is.
    """
    first: list[dict[str, Any]] = [_step("fill"), _step("orient")]
    last = [_step("resize", size=list(size))]
    if name == "none":
        return []
    if name == "mr-brain":
        return [*first, _step("crop-body"), _step("percentile-window"), *last]
    low, high = {"ct-lung": _LUNG, "ct-soft": _SOFT}[name]
    window = _step("window", low=low, high=high)
    return [*first, _step("crop-body", threshold=_SKIN), window, *last]


def _step(name: str, **parameters: Any) -> dict[str, Any]:
    return {"name": name, "parameters": parameters}
