"""The bundled blocks hold to what every block promises."""

from __future__ import annotations

from medpipe_core import load_plugins
from medpipe_core.testing import BlockContract
from medpipe_plugins import blocks3d


class TestConv3D(BlockContract):
    block = blocks3d.Conv3DBlock
    parameters = {"channels": 5}


class TestConv3DStride(BlockContract):
    block = blocks3d.Conv3DBlock
    parameters = {"channels": 3, "kernel": 5, "stride": 2}


class TestMBConv3D(BlockContract):
    block = blocks3d.MBConv3D
    parameters = {"kernel": 3, "expansion": 2}


class TestMBConv3DStride(BlockContract):
    block = blocks3d.MBConv3D
    parameters = {"kernel": 5, "expansion": 3, "channels": 6, "stride": 2}


class TestMBConv3DResidual(BlockContract):
    block = blocks3d.MBConv3D
    parameters = {"kernel": 3, "expansion": 2, "residual": True}


class TestIdentity(BlockContract):
    block = blocks3d.IdentityBlock


def test_no_block_is_without_a_contract():
    registry = load_plugins()
    tested = {c.block for c in globals().values() if hasattr(c, "block")}
    bundled = {registry.factory("block", name) for name in registry.names("block")}
    assert {b for b in bundled if b.__module__.startswith(blocks3d.__name__)} <= tested
