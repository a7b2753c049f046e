"""A plugin that registers import strings."""

from medpipe_core import hookimpl


@hookimpl
def medpipe_register(registry):
    target = "planted_augmentations:Gamma"
    registry.register("augmentation", "acme-gamma", target, summary="gamma contrast")
