"""What can be wrong with a description or a genotype."""

from __future__ import annotations

from medpipe_core.errors import MedpipeError


class SpaceError(MedpipeError):
    """A description that makes no sense: a bad name, an empty choice, a repeated value."""


class GenotypeError(MedpipeError):
    """A text that is no genotype, or was written by a format this version does not know."""


class InvalidGenotypeError(GenotypeError):
    """A genotype that is not a member of the space; the text names every wrong path."""
