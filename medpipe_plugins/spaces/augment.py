"""The paper's augmentation space: twelve layers in a row (table I, section III-A1)."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

from annotated_types import Ge, Le
from pydantic import BaseModel, ConfigDict, Field, model_validator

from medpipe_core import (
    Group,
    Operation,
    Registered,
    SearchSpace,
    SpaceError,
    ValueChoice,
    allowed_augmentations,
    did_you_mean,
    offered,
    operation,
)
from medpipe_plugins.augment3d import magnitudes as grids

if TYPE_CHECKING:
    from collections.abc import Mapping

    from medpipe_core import Catalogue

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
# What is told without importing the operation, which would import torch.
TOLD: Mapping[str, Mapping[str, ValueChoice]] = MappingProxyType(
    {**TABLE_ONE, "shift": {"share": grids.SHIFT_SHARE}}
)
_MILD_ROTATION = {"left": (-30, -15, -7.5), "right": (7.5, 15, 30)}
# The paper's grids reach a fifth of the size and three times it: where nearly all layers act, one
# that leaves nothing to be recognised spoils the policy.
MILD: Mapping[str, Mapping[str, tuple[float, ...]]] = MappingProxyType(
    {
        "v_rotation": _MILD_ROTATION,
        "h_rotation": _MILD_ROTATION,
        "d_rotation": _MILD_ROTATION,
        "erase": {
            "scale_left": (0.02, 0.06),
            "scale_right": (0.14, 0.2),
            "ratio_left": (0.4, 0.6),
            "ratio_right": (1.65, 2.325),
        },
        "affine": {"left": (0.7, 0.85), "right": (1.2, 1.4)},
        "blur": {"kernel": (2, 3)},
        "shift": {"share": (0.05, 0.1)},
    }
)

_HALF = 0.5
_TURN = {"left": -15, "right": 15}
_TEXTBOOK: Mapping[str, Mapping[str, float]] = MappingProxyType(
    {
        "noise": {},
        "v_flip": {},
        "h_flip": {},
        "d_flip": {},
        "v_rotation": _TURN,
        "h_rotation": _TURN,
        "d_rotation": _TURN,
        "affine": {"left": 0.85, "right": 1.2},
        "shift": {"share": 0.05},
    }
)

Layer = Annotated[str, Registered("augmentation")]
Grids = Literal["paper", "mild"]
Plain = bool | int | float | str


class AugmentSettings(BaseModel):
    """Parameters of `medpipe-augment`; the defaults are the paper's."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    probabilities: tuple[Probability, ...] = Field(
        PROBABILITIES, min_length=1, description="probabilities offered to every layer"
    )
    layers: tuple[Layer, ...] = Field(
        tuple(TABLE_ONE),
        description="the layers, in the order they are applied: any registered augmentations",
    )
    extra: tuple[Layer, ...] = Field(
        (), description="registered augmentations to add after these, such as [acme-gamma]"
    )
    grids: Grids = Field(
        "paper", description="magnitudes that layers offer: the paper's, or ones that spoil less"
    )
    magnitudes: dict[str, dict[str, tuple[float, ...]]] = Field(
        {}, description="other grids, such as magnitudes.v_rotation.left=[-15,0]"
    )

    fixed: dict[str, dict[str, Plain]] = Field(
        {}, description="parameters that are not searched, such as fixed.acme-gamma.order=3"
    )

    forbid: tuple[str, ...] = Field(
        (),
        description="what no layer may change: side, orientation, position, size, intensity, "
        "texture, content; layers that do are left out",
    )

    # A strong policy is worth its while only in a long training.
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "quick": {"probabilities": [0.0, 0.1, 0.3], "grids": "mild"},
        "laptop": {"probabilities": [0.0, 0.2, 0.5]},
    }

    @property
    def names(self) -> tuple[str, ...]:
        """All layers, in order."""
        return (*self.layers, *self.extra)

    @model_validator(mode="after")
    def _layers_and_their_magnitudes(self) -> Self:
        twice = sorted({name for name in self.names if self.names.count(name) > 1})
        problems = [f"layer {name!r} is there twice; name it once" for name in twice]
        if not self.names:
            problems.append("there is no layer; give layers or extra at least one")
        for name, grids_of in self.magnitudes.items():
            if name not in self.names:
                problems.append(f"there is no layer {name!r}.{did_you_mean(name, self.names)}")
            elif name in TOLD:
                problems += _wrong_grids(name, grids_of)
        problems += [
            f"fixed: there is no layer {name!r}.{did_you_mean(name, self.names)}"
            for name in self.fixed
            if name not in self.names
        ]
        if problems:
            raise ValueError("; ".join(problem.removesuffix(".") for problem in problems))
        return self


def augment_space(operations: Catalogue, **settings: Any) -> SearchSpace:
    """Describe the augmentation space: 6,227,824,218,750,000 policies with the paper's settings.

    A layer's candidates are the product of its probabilities and its magnitudes, each a choice of
    its own; at probability 0 a layer is the identity, whatever its magnitudes. A layer that is not
    of the paper's has the magnitudes that its operation declares.

    Args:
        operations: Who knows operations beyond the paper's twelve, such as a registry.
        settings: Fields of `AugmentSettings`.

    Raises:
        SpaceError: What is forbidden is nothing that operations know, or leaves no layer.
    """
    chosen = AugmentSettings(**settings)
    allowed = allowed_augmentations(operations, chosen.names, chosen.forbid)
    layers = {
        layer_key(name): _layer(operations, name, chosen, more) for name, more in allowed.items()
    }
    known = {"textbook": textbook(layers)} if chosen.grids == "mild" else {}
    return SearchSpace(
        "medpipe-augment", Group(layers), known={name: one for name, one in known.items() if one}
    )


def textbook(layers: Mapping[str, Operation]) -> dict[str, float]:
    """Return the policy that is tried first by hand, as far as there are layers for it.

    Flips, noise, turns by ±15°, scales of .85 to 1.2 and shifts by 5 %, each for half of the
    volumes, by the values nearest to these that layers offer; other layers do nothing. Empty where
    a layer that does nothing is not offered, or no layer is left.
    """
    decided: dict[str, float] = {}
    for name, layer in layers.items():
        acts = name in _TEXTBOOK
        wanted = {"p": _HALF if acts else 0.0, **_TEXTBOOK.get(name, {})}
        for part, value in wanted.items():
            offered_values = getattr(layer.parameters.get(part), "values", ())
            if offered_values:
                decided[f"{name}/{part}"] = min(offered_values, key=lambda v: abs(v - value))
        if not acts and decided[f"{name}/p"] > 0:
            return {}
    return decided if _TEXTBOOK.keys() & layers.keys() else {}


def layer_key(name: str) -> str:
    """Return how a layer is called in paths: `distribution:name` without the distribution."""
    return name.rpartition(":")[2].lower()


def _layer(
    operations: Catalogue, name: str, settings: AugmentSettings, more: Mapping[str, Any]
) -> Operation:
    p = {"p": ValueChoice(*settings.probabilities)}
    neutral = {"p": 0.0} if 0.0 in settings.probabilities else None
    base = MILD.get(name, {}) if settings.grids == "mild" else {}
    other = {**base, **settings.magnitudes.get(name, {})}
    fixed: dict[str, Any] = {**settings.fixed.get(name, {}), **more}
    chosen: Mapping[str, ValueChoice]
    if name in TOLD:
        chosen = offered(TOLD[name], other, f"augmentation {name!r}")
    else:
        chosen = operation(operations, "augmentation", name, offering=other).choices
    refuse_searched(fixed, chosen, f"magnitudes.{name}")
    return Operation("augmentation", name, {**p, **chosen, **fixed}, neutral=neutral)


def refuse_searched(fixed: Mapping[str, Plain], chosen: Mapping[str, object], key: str) -> None:
    """Refuse to fix what is searched; one value to choose from does the same.

    Raises:
        SpaceError: The text has the key that is meant.
    """
    for name in fixed:
        if name in chosen:
            raise SpaceError(f"{name!r} is searched, not fixed; give {key}.{name}=[{fixed[name]}]")


def _wrong_grids(name: str, grids_of: Mapping[str, tuple[float, ...]]) -> list[str]:
    try:
        offered(TOLD[name], grids_of, f"layer {name!r}")
    except SpaceError as error:
        return [str(error)]
    return []
