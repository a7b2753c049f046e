"""The bundle and the core's own plugin hold to what every plugin promises."""

from __future__ import annotations

from medpipe_core.testing import PluginContract


class TestAugment3D(PluginContract):
    plugin = "medpipe_plugins.register.augment3d"


class TestBlocks3D(PluginContract):
    plugin = "medpipe_plugins.register.blocks3d"


class TestBaselines(PluginContract):
    plugin = "medpipe_plugins.register.baselines"


class TestMedMNIST3D(PluginContract):
    plugin = "medpipe_plugins.register.medmnist3d"


class TestPhantom3D(PluginContract):
    plugin = "medpipe_plugins.register.phantom3d"


class TestPlanted(PluginContract):
    plugin = "medpipe_plugins.register.planted"


class TestSpaces(PluginContract):
    plugin = "medpipe_plugins.register.spaces"


class TestSearchers(PluginContract):
    plugin = "medpipe_core.search.plugin"
