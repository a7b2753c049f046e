"""The policies and the one network that `horizon.py` compares signals on."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import medpipe_core as mp

if TYPE_CHECKING:
    from collections.abc import Mapping

PROBABILITIES = (0.0, 0.2, 0.5, 0.8)
STEM, CHANNELS, DEPTHS = 8, (16, 32, 48), (0, 1, 1)
STRIDES = ("2", "2", "2", "1")

Layers = dict[str, dict[str, object]]


def _all(names: tuple[str, ...], **values: object) -> Layers:
    return {name: dict(values) for name in names}


_FLIPS = ("v_flip", "h_flip", "d_flip")
_ROTATIONS = ("v_rotation", "h_rotation", "d_rotation")
_ERASE = {"scale_left": 0.02, "scale_right": 0.14, "ratio_left": 0.4, "ratio_right": 2.325}
_MIDDLE: Layers = {
    "noise": {"p": 0.5},
    **_all(_FLIPS, p=0.5),
    **_all(_ROTATIONS, p=0.5, left=-15, right=15),
    "erase": {"p": 0.5, **_ERASE},
    "affine": {"p": 0.5, "left": 0.6, "right": 2.2},
    "blur": {"p": 0.5, "kernel": 3},
}
BY_HAND: Mapping[str, Layers] = {
    "nothing": {},
    "one flip": {"v_flip": {"p": 0.5}},
    "three flips": _all(_FLIPS, p=0.5),
    "rotations": _all(_ROTATIONS, p=0.5, left=-15, right=15),
    "affine": {"affine": _MIDDLE["affine"]},
    "noise, blur": {name: _MIDDLE[name] for name in ("noise", "blur")},
    "erase": {"erase": _MIDDLE["erase"]},
    "inversion, jitter": {
        "invert": {"p": 0.5, "max_value": 1.0},
        "color_jitter": {"p": 0.5, "brightness": 0.5, "contrast": 0.8},
    },
    "all mild": {
        "noise": {"p": 0.2},
        **_all(_FLIPS, p=0.2),
        **_all(_ROTATIONS, p=0.2, left=-7.5, right=7.5),
        "erase": {"p": 0.2, **_ERASE},
        "affine": {"p": 0.2, "left": 0.8, "right": 1.4},
        "blur": {"p": 0.2, "kernel": 2},
    },
    "all middle": _MIDDLE,
    "all strong": {
        "noise": {"p": 0.8},
        **_all(_FLIPS, p=0.8),
        **_all(_ROTATIONS, p=0.8, left=-30, right=30),
        "erase": {
            "p": 0.8, "scale_left": 0.1, "scale_right": 0.3, "ratio_left": 0.2, "ratio_right": 3,
        },
        "affine": {"p": 0.8, "left": 0.2, "right": 3},
        "blur": {"p": 0.8, "kernel": 4},
    },
}  # fmt: skip


def joint_space(width: float = 1.0) -> mp.SearchSpace:
    """Return the space; `width` multiplies the network's channels."""
    return mp.load_plugins().space(
        "medpipe-joint",
        augment={"probabilities": list(PROBABILITIES)},
        network={
            "stem_channels": int(STEM * width),
            "channels": [int(width * channels) for channels in CHANNELS],
            "depths": list(DEPTHS),
            "residual": True,
        },
    )


def policies(space: mp.SearchSpace, count: int) -> dict[str, mp.Genotype]:
    """Return the policies picked by hand, and others drawn so that there are `count`.

    Of a drawn policy each layer is active with a probability that is drawn for the policy, so that
    there are policies of few layers as well as of many; the rest is uniform. None is there twice.
    """
    found = {name: _genotype(space, layers) for name, layers in BY_HAND.items()}
    rng = random.Random(0)
    while len(found) < count:
        share, keys = rng.random(), {}
        for path, choice in space.choices.items():
            if not path.startswith("augment/"):
                continue
            keys[path] = rng.choice(choice.keys)
            if path.endswith("/p"):
                active = rng.random() < share
                keys[path] = rng.choice(choice.keys[1:]) if active else choice.keys[0]
        drawn = _with_network(space, keys)
        if drawn not in found.values():
            found[f"drawn {len(found) - len(BY_HAND)}"] = drawn
    return dict(list(found.items())[:count])


def _genotype(space: mp.SearchSpace, layers: Layers) -> mp.Genotype:
    keys = {}
    for path, choice in space.choices.items():
        if path.startswith("augment/"):
            _, layer, name = path.split("/")
            wanted = layers.get(layer, {}).get(name)
            keys[path] = choice.keys[0] if wanted is None else _key(choice, wanted)
    return _with_network(space, keys)


def _key(choice: mp.ValueChoice, wanted: object) -> str:
    return choice.keys[choice.values.index(wanted)]


def _with_network(space: mp.SearchSpace, keys: dict[str, str]) -> mp.Genotype:
    strides = iter(STRIDES)
    for path in space.choices:
        if path.endswith("/stride"):
            keys[path] = next(strides)
        elif not path.startswith("augment/"):
            keys[path] = "mbconv_k3_e3"
    return space.canonical(space.genotype(keys))
