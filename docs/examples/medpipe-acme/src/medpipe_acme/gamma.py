"""An augmentation: gamma contrast."""

from medpipe_core import ValueChoice
from medpipe_plugins.augment3d import Augmentation3D, per_volume, uniform


class Gamma(Augmentation3D):
    """Gamma contrast of intensities in [0, 1]: v ** g, g uniform in [low, high]."""

    changes = frozenset({"intensity"})

    low = ValueChoice(0.5, 0.7, 0.9, gt=0, description="one bound of the exponent")
    high = ValueChoice(1.1, 1.3, 1.5, gt=0, description="the other")

    def draw(self, count, generator, *, low, high):
        return uniform(count, low, high, generator)

    def apply(self, volumes, gamma):
        # The power's slope at 0 is infinite for g < 1; a floor keeps gradients finite.
        return volumes.clamp(1e-4, 1) ** per_volume(gamma.to(volumes.dtype))
