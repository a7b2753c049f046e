"""The paper's augmentation space: twelve layers in a row (table I, section III-A1)."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, Self

from annotated_types import Ge, Le
from pydantic import BaseModel, ConfigDict, Field, model_validator

from medpipe_core import Group, Operation, SearchSpace, ValueChoice, did_you_mean
from medpipe_plugins.augment3d import magnitudes as grids

if TYPE_CHECKING:
    from collections.abc import Mapping

Probability = Annotated[float, Ge(0), Le(1)]

PROBABILITIES = (0.0, 0.5, 0.8)

_ROTATION = {"left": grids.ROTATION_LEFT, "right": grids.ROTATION_RIGHT}
TABLE_ONE: Mapping[str, Mapping[str, ValueChoice]] = MappingProxyType(
    {
        "noise": {},
        "v_flip": {},
        "h_flip": {},
        "d_flip": {},
        "v_rotation": _ROTATION,
        "h_rotation": _ROTATION,
        "d_rotation": _ROTATION,
        "erase": {
            "scale_left": grids.ERASE_SCALE_LEFT,
            "scale_right": grids.ERASE_SCALE_RIGHT,
            "ratio_left": grids.ERASE_RATIO_LEFT,
            "ratio_right": grids.ERASE_RATIO_RIGHT,
        },
        "affine": {"left": grids.AFFINE_LEFT, "right": grids.AFFINE_RIGHT},
        "blur": {"kernel": grids.BLUR_KERNEL},
        "invert": {"max_value": grids.INVERT_MAX_VALUE},
        "color_jitter": {
            "brightness": grids.JITTER_BRIGHTNESS,
            "contrast": grids.JITTER_CONTRAST,
        },
    }
)


class AugmentSettings(BaseModel):
    """Parameters of `medpipe-augment`; the defaults are the paper's."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    probabilities: tuple[Probability, ...] = Field(
        PROBABILITIES, min_length=1, description="probabilities offered to every layer"
    )
    layers: tuple[str, ...] = Field(
        tuple(TABLE_ONE), min_length=1, description="the layers, in the order they are applied"
    )
    magnitudes: dict[str, dict[str, tuple[float, ...]]] = Field(
        {}, description="other grids, such as magnitudes.v_rotation.left=[-15,0]"
    )

    @model_validator(mode="after")
    def _known_layers_and_magnitudes(self) -> Self:
        problems = [
            f"there is no layer {layer!r}.{did_you_mean(layer, TABLE_ONE)}"
            for layer in (*self.layers, *self.magnitudes)
            if layer not in TABLE_ONE
        ]
        problems += [
            f"layer {layer!r} has no magnitude {name!r}.{did_you_mean(name, TABLE_ONE[layer])}"
            for layer, grid in self.magnitudes.items()
            for name in grid
            if layer in TABLE_ONE and name not in TABLE_ONE[layer]
        ]
        if problems:
            raise ValueError(" ".join(problems))
        return self


def augment_space(**settings: Any) -> SearchSpace:
    """Describe the augmentation space: 6,227,824,218,750,000 policies with the paper's settings.

    A layer's candidates are the product of its probabilities and its magnitudes, each a choice of
    its own; at probability 0 a layer is the identity, whatever its magnitudes.

    Args:
        settings: Fields of `AugmentSettings`.
    """
    chosen = AugmentSettings(**settings)
    return SearchSpace(
        "medpipe-augment", Group({layer: _layer(layer, chosen) for layer in chosen.layers})
    )


def _layer(name: str, settings: AugmentSettings) -> Operation:
    other = settings.magnitudes.get(name, {})
    grid = {
        key: ValueChoice(*other[key]) if key in other else choice
        for key, choice in TABLE_ONE[name].items()
    }
    neutral = {"p": 0.0} if 0.0 in settings.probabilities else None
    return Operation(
        "augmentation", name, {"p": ValueChoice(*settings.probabilities), **grid}, neutral=neutral
    )
