"""Plugins that each have one bug; `planted_light` is the good one."""

from __future__ import annotations

import itertools
from typing import Annotated

from annotated_types import Ge
from planted_datasets import Blobs
from pydantic import BaseModel, ConfigDict

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


class Talkative:
    @hookimpl
    def medpipe_register(self, registry):
        summary = "gamma contrast, " + "very good, " * 20
        registry.register("augmentation", "acme-gamma", GAMMA, summary=summary)


class NewNames:
    @hookimpl
    def medpipe_register(self, registry):
        name = f"acme-gamma-{next(NUMBERS)}"
        registry.register("augmentation", name, GAMMA, summary="gamma contrast")


class Unreadable:
    @hookimpl
    def medpipe_register(self, registry):
        registry.register("dataset", "acme-data", dict, parameters=dict, summary="a dataset")


class BlobSettings(BaseModel):
    model_config = ConfigDict(extra="forbid")

    seed: int = 0


class OtherSettings(BaseModel):
    sizes: int = 3


class WrongSettings(BaseModel):
    model_config = ConfigDict(extra="forbid")

    seed: Annotated[int, Ge(1)] = 0


class TextSettings(BaseModel):
    seed: str = "none"


def typed(*, seed: int = 0):
    return Blobs(seed=seed)


def swallowing(**settings):
    return Blobs(seed=BlobSettings(**settings).seed)


class LooseSettings(BaseModel):
    seed: int = 0


def ignoring(**settings):
    return Blobs(seed=LooseSettings(**settings).seed)


class Settled:
    """Registers a dataset with the settings that it takes."""

    @hookimpl
    def medpipe_register(self, registry):
        for number, factory in enumerate((Blobs, typed, swallowing)):
            registry.register("dataset", f"acme-{number}", factory, parameters=BlobSettings,
                              summary="blobs")  # fmt: skip


class Mistaken:
    """Registers a dataset with settings of another class."""

    factory, parameters, kind = Blobs, OtherSettings, "dataset"

    @hookimpl
    def medpipe_register(self, registry):
        made = vars(type(self)).get("factory", Blobs)
        made = made.__func__ if isinstance(made, staticmethod) else made
        registry.register(self.kind, "acme-it", made, parameters=self.parameters, summary="it")


class MistakenAndRefused(Mistaken):
    factory = staticmethod(swallowing)


class MistakenInSilence(Mistaken):
    factory = staticmethod(ignoring)


class MistakenType(Mistaken):
    factory, parameters = staticmethod(typed), TextSettings


class RefusedDefaults(Mistaken):
    parameters = WrongSettings


class WrongKind(Mistaken):
    parameters, kind = None, "block"
    factory = staticmethod(lambda in_channels: Blobs())


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


class TestSettled(Here):
    plugin = Settled


class TestMistaken(Here):
    plugin = Mistaken


class TestMistakenAndRefused(Here):
    plugin = MistakenAndRefused


class TestMistakenInSilence(Here):
    plugin = MistakenInSilence


class TestMistakenType(Here):
    plugin = MistakenType


class TestRefusedDefaults(Here):
    plugin = RefusedDefaults


class TestWrongKind(Here):
    plugin = WrongKind


class TestSeedsOnImport(PluginContract):
    plugin = "planted_seeding"


class TestPrintsOnImport(PluginContract):
    plugin = "planted_printing"


class TestSetsOnImport(PluginContract):
    plugin = "planted_setting"


class TestTalkative(Here):
    plugin = Talkative
