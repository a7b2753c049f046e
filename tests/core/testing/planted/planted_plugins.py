"""Plugins that each have one bug; `planted_light` is the good one."""

from __future__ import annotations

import itertools

from medpipe_core import hookimpl
from medpipe_core.testing import PluginContract

NUMBERS = itertools.count()
GAMMA = "planted_augmentations:Gamma"


class Half:
    """Registers one thing, and stumbles over the next."""

    @hookimpl
    def medpipe_register(self, registry):
        registry.register("augmentation", "acme-gamma", GAMMA, summary="gamma contrast")
        registry.register("augmentations", "acme-beta", GAMMA, summary="beta contrast")


class TakesAName:
    @hookimpl
    def medpipe_register(self, registry):
        registry.register("searcher", "random", GAMMA, summary="another random")


class Nowhere:
    @hookimpl
    def medpipe_register(self, registry):
        registry.register("block", "acme-conv", "planted_modules:Covn", summary="a convolution")


class NoAugmentation:
    @hookimpl
    def medpipe_register(self, registry):
        registry.register("augmentation", "acme-conv", "planted_modules:Conv", summary="oops")


class Speechless:
    @hookimpl
    def medpipe_register(self, registry):
        registry.register("augmentation", "acme-gamma", GAMMA)


class NewNames:
    @hookimpl
    def medpipe_register(self, registry):
        name = f"acme-gamma-{next(NUMBERS)}"
        registry.register("augmentation", name, GAMMA, summary="gamma contrast")


class Unreadable:
    @hookimpl
    def medpipe_register(self, registry):
        registry.register("dataset", "acme-data", dict, parameters=dict, summary="a dataset")


class TestLight(PluginContract):
    plugin = "planted_light"


class TestHeavy(PluginContract):
    plugin = "planted_heavy"


class Here(PluginContract):
    light = False  # this module imports the kit, and with it torch


class TestHalf(Here):
    plugin = Half


class TestTakesAName(Here):
    plugin = TakesAName


class TestNowhere(Here):
    plugin = Nowhere


class TestNoAugmentation(Here):
    plugin = NoAugmentation


class TestSpeechless(Here):
    plugin = Speechless


class TestNewNames(Here):
    plugin = NewNames


class TestUnreadable(Here):
    plugin = Unreadable
