"""Torch modules that run one candidate of a space at a time."""

from medpipe_core.supernet.applying import augment_batch
from medpipe_core.supernet.augmentation import Augmentation, AugmentationError, Fusion
from medpipe_core.supernet.building import BindingError
from medpipe_core.supernet.decision import Decision
from medpipe_core.supernet.ensemble import Ensemble
from medpipe_core.supernet.failing import blocks_named
from medpipe_core.supernet.gate import gated
from medpipe_core.supernet.head import PooledLinear
from medpipe_core.supernet.network import Supernet, VolumesError, build_network
from medpipe_core.supernet.policy import Policy, ScheduledPolicy, build_policy
from medpipe_core.supernet.resources import ResourceMeter, Resources, resources
from medpipe_core.supernet.stages import PolicyLayer
from medpipe_core.supernet.symmetry import Averaged, Symmetry

__all__ = [
    "Augmentation",
    "AugmentationError",
    "Averaged",
    "BindingError",
    "Decision",
    "Ensemble",
    "Fusion",
    "Policy",
    "PolicyLayer",
    "PooledLinear",
    "ResourceMeter",
    "Resources",
    "ScheduledPolicy",
    "Supernet",
    "Symmetry",
    "VolumesError",
    "augment_batch",
    "blocks_named",
    "build_network",
    "build_policy",
    "gated",
    "resources",
]
