"""The bundled blocks hold to what every block promises."""

from __future__ import annotations

import pytest

from medpipe_core import load_plugins
from medpipe_core.testing import BlockContract
from medpipe_plugins import blocks3d


class TestConv3D(BlockContract):
    block = blocks3d.Conv3DBlock
    parameters = {"channels": 5}


class TestConv3DStride(BlockContract):
    block = blocks3d.Conv3DBlock
    parameters = {"channels": 3, "kernel": 5, "stride": 2}


class TestConv3DInstance(BlockContract):
    block = blocks3d.Conv3DBlock
    parameters = {"channels": 3, "normalisation": "instance"}


class TestResidualConv3D(BlockContract):
    block = blocks3d.ResidualConv3D


class TestResidualConv3DInstance(BlockContract):
    block = blocks3d.ResidualConv3D
    parameters = {"kernel": 5, "normalisation": "instance"}


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
    entries = [registry.entry("block", name) for name in registry.names("block")]
    assert {e.load() for e in entries if e.entry_point == "medpipe-blocks3d"} <= tested


@pytest.mark.parametrize("name", ["conv3d", "mbconv3d"])
def test_every_parameter_says_what_it_is(name):
    fields = load_plugins().entry("block", name).parameters().model_fields
    assert {"channels", "stride"} <= set(fields)
    assert all(info.description for info in fields.values())
