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


def side_space(operations: Catalogue) -> SearchSpace:
    """Describe three flips and noise before a small network: 162 members."""
    return _space(operations, "planted-side", _layers("v_flip", "h_flip", "d_flip", "noise"))


def intensity_space(operations: Catalogue) -> SearchSpace:
    """Describe inversion, two flips and noise before a small network: 162 members."""
    layers = _layers("h_flip", "v_flip", "noise")
    invert = _layer("invert", max_value=1.0)
    return _space(operations, "planted-intensity", {"invert": invert, **layers})


def symmetry_space(operations: Catalogue) -> SearchSpace:
    """Describe three flips and noise before a small network: 162 members."""
    layers = _layers("v_flip", "h_flip", "d_flip", "noise")
    return _space(operations, "planted-symmetry", layers, channels=16)


def reach_space(operations: Catalogue) -> SearchSpace:
    """Describe one layer of kernel 3, 5 or 7 between convolutions of one voxel: 54 members."""
    kernels = {f"mbconv_k{k}_e3": _block("mbconv3d", kernel=k, expansion=3) for k in (3, 5, 7)}
    network = {
        "stem": _block("conv3d", channels=4, kernel=1),
        "layer": OperationChoice(kernels),
        "last": OperationChoice(
            {"conv": _block("conv3d", channels=4, kernel=1), "identity": _block("identity")}
        ),
    }
    return _space(operations, "planted-reach", _layers("h_flip", "d_flip"), network)


def texture_space(operations: Catalogue) -> SearchSpace:
    """Describe two strides, one of which is 2, around a layer of kernel 3: 27 members."""
    stride = ValueChoice(1, 2)
    network = {
        "stem": _block("conv3d", channels=4, kernel=1, stride=stride),
        "layer": _block("mbconv3d", kernel=3, expansion=3),
        "down": _block("conv3d", channels=8, kernel=3, stride=stride),
    }
    somewhere = forbid({"stem/stride": [1], "down/stride": [1]})
    layers = _layers("h_flip", "d_flip")
    return _space(operations, "planted-texture", layers, network, constraints=[somewhere])


def synergy_space(operations: Catalogue) -> SearchSpace:
    """Describe a flip or a blur before a layer that sees volumes or planes: 4 members."""
    either = {
        "flip": Operation("augmentation", "h_flip", {"p": 0.5}),
        "blur": Operation("augmentation", "blur", {"p": 1.0, "kernel": 2}),
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


def _layer(name: str, **fixed: Any) -> Operation:
    """Describe an augmentation with the paper's probabilities."""
    p = ValueChoice(0.0, 0.5, 0.8)
    return Operation("augmentation", name, {**fixed, "p": p}, neutral={"p": 0.0})


def _layers(*names: str) -> dict[str, Mutable]:
    return {name: _layer(name) for name in names}
