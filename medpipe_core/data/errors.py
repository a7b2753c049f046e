"""The error of this room."""

from __future__ import annotations

from medpipe_core.errors import MedpipeError


class DataError(MedpipeError):
    """Data that cannot be used; the text names the file or array, and what to do."""
