"""Contract tests that authors of plugins inherit, one class for each kind, and help for others."""

try:
    import hypothesis  # noqa: F401
    import pytest  # noqa: F401
except ImportError as error:
    raise ImportError(
        f"medpipe_core.testing needs {error.name}, which comes with the extra `test`: "
        'pip install "medpipe[test]"'
    ) from error

from medpipe_core.testing.augmentation import AugmentationContract
from medpipe_core.testing.block import BlockContract
from medpipe_core.testing.checking import ContractError
from medpipe_core.testing.dataset import DatasetContract
from medpipe_core.testing.estimator import EstimatorContract
from medpipe_core.testing.fixtures import only_these_plugins
from medpipe_core.testing.model import ModelContract
from medpipe_core.testing.plugin import PluginContract
from medpipe_core.testing.preparation import PreparationContract
from medpipe_core.testing.reader import ReaderContract
from medpipe_core.testing.searcher import SearcherContract
from medpipe_core.testing.space import SpaceContract
from medpipe_core.testing.strategies import genotypes, spaces, volumes
from medpipe_core.testing.toys import ToySpace, large_space, toy_spaces

__all__ = [
    "AugmentationContract",
    "BlockContract",
    "ContractError",
    "DatasetContract",
    "EstimatorContract",
    "ModelContract",
    "PluginContract",
    "PreparationContract",
    "ReaderContract",
    "SearcherContract",
    "SpaceContract",
    "ToySpace",
    "genotypes",
    "large_space",
    "only_these_plugins",
    "spaces",
    "toy_spaces",
    "volumes",
]
