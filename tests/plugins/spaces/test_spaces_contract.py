"""The bundled spaces hold to what every space promises."""

from __future__ import annotations

from medpipe_core import load_plugins
from medpipe_core.testing import SpaceContract

REGISTRY = load_plugins()
NARROW = {"channels": [2, 3], "depths": [1, 1], "candidates": ["mbconv_k3_e2", "identity"]}


class TestAugment(SpaceContract):
    space = staticmethod(lambda: REGISTRY.space("medpipe-augment"))
    binds = False  # it has no network


class TestNetwork(SpaceContract):
    space = staticmethod(lambda: REGISTRY.space("medpipe-mbconv3d"))
    binds = False  # full width takes long; the narrow ones are bound


class TestNarrowNetwork(SpaceContract):
    space = staticmethod(lambda: REGISTRY.space("medpipe-mbconv3d", **NARROW))


class TestWideNetwork(SpaceContract):
    space = staticmethod(lambda: REGISTRY.space("medpipe-mbconv3d-wide"))
    binds = False


class TestPolicy(SpaceContract):
    space = staticmethod(lambda: REGISTRY.space("medpipe-policy", model_parameters={"width": 4}))


RESIDUAL = {
    "stem_channels": 2, "channels": [2, 3], "depths": [1, 1], "cell_channels": 2, "cell_depth": 1,
}  # fmt: skip


class TestResidual(SpaceContract):
    space = staticmethod(lambda: REGISTRY.space("medpipe-residual3d", **RESIDUAL))


class TestJointResidual(SpaceContract):
    space = staticmethod(lambda: REGISTRY.space("medpipe-joint-residual", network=RESIDUAL))


class TestJoint(SpaceContract):
    space = staticmethod(lambda: REGISTRY.space("medpipe-joint", network=NARROW))
