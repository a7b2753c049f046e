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


class TestJoint(SpaceContract):
    space = staticmethod(lambda: REGISTRY.space("medpipe-joint", network=NARROW))
