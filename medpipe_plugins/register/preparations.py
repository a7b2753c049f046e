"""Names and import strings, so that registering imports nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from medpipe_core import hookimpl

if TYPE_CHECKING:
    from medpipe_core import Registrar

_PREPARATIONS = {
    "fill": ("intensity:Fill", "voxels that are NaN or infinite get a value"),
    "window": ("intensity:Window", "a range of intensities, such as Hounsfield units, to [0, 1]"),
    "percentile-window": ("intensity:PercentileWindow", "percentiles of each channel to [0, 1]"),
    "normalise": ("intensity:Normalise", "least and largest of each channel to [0, 1]"),
    "quantise": ("intensity:Quantise", "[0, 1] in 256 values"),
    "orient": ("grid:Orient", "axes to depth (up), height (back), width (left)"),
    "resample": ("grid:Resample", "to a spacing in millimetres, trilinearly"),
    "resize": ("grid:Resize", "to a number of voxels, trilinearly"),
    "centre": ("grid:Centre", "cut or pad around the centre to a number of voxels"),
    "crop-body": ("grid:CropBody", "cut to the box around the largest bright part"),
    "slices": ("slices:Slices", "a number of slices, about the middle or at random"),
}


@hookimpl
def medpipe_register(registry: Registrar) -> None:
    """Register the preparations of scans."""
    for name, (attribute, summary) in _PREPARATIONS.items():
        target = f"medpipe_plugins.preparations.{attribute}"
        registry.register("preparation", name, target, parameters=target, summary=summary)
