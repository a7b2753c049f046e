"""A plugin whose factory's module prints while it is imported."""

from medpipe_core import hookimpl


@hookimpl
def medpipe_register(registry):
    registry.register("dataset", "acme-blobs", "planted_talkative:Blobs", summary="blobs")
