"""The spaces of the planted problems: an `augment` and a `network` part each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from medpipe_core import (
    Group,
    Mutable,
    Operation,
    OperationChoice,
    SearchSpace,
    ValueChoice,
    compose,
    forbid,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from medpipe_core import Catalogue, Limit


# A searcher that chooses blindly is right in one choice of ten, and one that has learnt nothing and
# answers the first key is wrong. Just above a half, short trainings do not settle for the majority
# yet, so the stated regret would not be theirs.
_OFTEN = (0.5, 0.0, 0.75, 0.775, 0.8, 0.825, 0.85, 0.875, 0.9, 0.95)
# As good as never: in 120 epochs a volume is flipped about once in four or eight trainings.
_RARELY = (0.0, 0.001, 0.002, 0.5)
# A flip that is about as likely as not leaves nothing of what it turns round.
_NEAR_A_HALF = (0.46, 0.47, 0.48, 0.49, 0.5, 0.51, 0.52, 0.53, 0.54)


def side_space(operations: Catalogue) -> SearchSpace:
    """Describe three flips and noise before a small network: 20,000 members."""
    return _space(operations, "planted-side", _layers("v_flip", "h_flip", "d_flip", "noise"))


def intensity_space(operations: Catalogue) -> SearchSpace:
    """Describe inversion, two flips and noise before a small network: 20,000 members."""
    layers = _layers("h_flip", "v_flip", "noise")
    invert = _layer("invert", _OFTEN, max_value=1.0)
    return _space(operations, "planted-intensity", {"invert": invert, **layers})


def symmetry_space(operations: Catalogue) -> SearchSpace:
    """Describe three flips and noise before a small network: 512 members."""
    layers = _layers("v_flip", "h_flip", "d_flip", "noise", probabilities=_RARELY)
    return _space(operations, "planted-symmetry", layers, channels=16)


def handed_space(operations: Catalogue) -> SearchSpace:
    """Describe a flip, turns and noise before a small network: 2,000 members."""
    turn = _layer("d_rotation", _OFTEN, left=-180.0, right=180.0)
    layers = {**_layers("v_flip"), "d_rotation": turn, **_layers("noise")}
    return _space(operations, "planted-handed", layers)


def mixed_space(operations: Catalogue) -> SearchSpace:
    """Describe three flips and noise before a small network: 1,280 members."""
    layers = {
        **_layers("v_flip"),
        **_layers("h_flip", "d_flip", "noise", probabilities=_RARELY),
    }
    return _space(operations, "planted-mixed", layers, channels=16)


def turn_space(operations: Catalogue) -> SearchSpace:
    """Describe turns, a flip and noise before a small network: 128 members."""
    turn = _layer("d_rotation", _RARELY, left=-180.0, right=180.0)
    layers = {
        "d_rotation": turn,
        **_layers("d_flip", "noise", probabilities=_RARELY),
    }
    return _space(operations, "planted-turn", layers, channels=16)


def reach_space(operations: Catalogue) -> SearchSpace:
    """Describe one layer with a kernel between convolutions of one voxel: 6,600 members.

    One member in 33 has kernel 7.
    """
    widths = ValueChoice(*range(1, 17))
    network = {
        "stem": _block("conv3d", channels=4, kernel=1),
        "layer": OperationChoice(
            {
                "k3": _block("mbconv3d", kernel=3, expansion=widths),
                "k5": _block("mbconv3d", kernel=5, expansion=widths),
                "k7": _block("mbconv3d", kernel=7, expansion=3),
            }
        ),
        "last": OperationChoice(
            {"conv": _block("conv3d", channels=4, kernel=1), "identity": _block("identity")}
        ),
    }
    return _space(operations, "planted-reach", _layers("h_flip", "d_flip"), network)


def texture_space(operations: Catalogue) -> SearchSpace:
    """Describe two early strides and a late one around a layer of kernel 3: 3,100 members.

    At least one of the three is above 1.
    """
    strides = ValueChoice(2, 1, 4, 6)  # the right one is not first, as in `_OFTEN`
    network = {
        "stem": _block("conv3d", channels=4, kernel=1, stride=strides),
        "second": _block("conv3d", channels=4, kernel=1, stride=strides),
        "layer": _block("mbconv3d", kernel=3, expansion=3),
        "down": _block("conv3d", channels=8, kernel=3, stride=ValueChoice(1, 2)),
    }
    somewhere = forbid({"stem/stride": [1], "second/stride": [1], "down/stride": [1]})
    layers = _layers("h_flip", "d_flip")
    return _space(operations, "planted-texture", layers, network, constraints=[somewhere])


def synergy_space(operations: Catalogue) -> SearchSpace:
    """Describe a flip or an exchange before a layer of volumes or planes: 38 members."""
    either = {
        "h_flip": Operation("augmentation", "h_flip", {"p": ValueChoice(*_NEAR_A_HALF)}),
        "d_flip": Operation("augmentation", "d_flip", {"p": ValueChoice(*_NEAR_A_HALF)}),
        "exchange": Operation("augmentation", "planted-exchange", {"p": 0.5}),
    }
    network = {
        "layer": OperationChoice(
            {
                "volume": _block("conv3d", channels=8, kernel=3),
                "plane": _block("planted-plane", channels=8, kernel=3),
            }
        ),
        "last": _block("conv3d", channels=16, kernel=1, stride=2),
    }
    return _space(operations, "planted-synergy", {"one_of": OperationChoice(either)}, network)


def _space(
    operations: Catalogue,
    name: str,
    augment: Mapping[str, Mutable],
    network: Mapping[str, Mutable] | None = None,
    *,
    channels: int = 8,
    constraints: Iterable[Limit] = (),
) -> SearchSpace:
    parts = network or _small_network(channels)
    return compose(
        name,
        augment=SearchSpace(f"{name}-augment", Group(augment), catalogue=operations),
        network=SearchSpace(
            f"{name}-network", Group(parts), catalogue=operations, constraints=constraints
        ),
    )


def _small_network(channels: int) -> dict[str, Mutable]:
    """Describe a network whose one choice does not matter."""
    return {
        "stem": _block("conv3d", channels=channels, kernel=3, stride=2),
        "layer": OperationChoice(
            {
                "mbconv_k3_e3": _block("mbconv3d", kernel=3, expansion=3, residual=True),
                "identity": _block("identity"),
            }
        ),
        "last": _block("conv3d", channels=2 * channels, kernel=3, stride=2),
    }


def _block(name: str, **parameters: Any) -> Operation:
    return Operation("block", name, parameters)


def _layer(name: str, probabilities: Iterable[float], **fixed: Any) -> Operation:
    p = ValueChoice(*probabilities)
    return Operation("augmentation", name, {**fixed, "p": p}, neutral={"p": 0.0})


def _layers(*names: str, probabilities: Iterable[float] = _OFTEN) -> dict[str, Mutable]:
    return {name: _layer(name, probabilities) for name in names}
