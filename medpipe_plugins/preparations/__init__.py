"""Preparations: steps from a scan to the volume that a network takes, and chains by modality."""

from medpipe_plugins.preparations.presets import PRESETS, preset_chain

__all__ = ["PRESETS", "preset_chain"]
