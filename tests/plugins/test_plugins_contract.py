"""The bundle and the core's own plugin hold to what every plugin promises."""

from __future__ import annotations

from medpipe_core.testing import PluginContract


class TestBundle(PluginContract):
    plugin = "medpipe_plugins.plugin"


class TestSearchers(PluginContract):
    plugin = "medpipe_core.search.plugin"
