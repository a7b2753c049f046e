"""What a network is going to see: some training volumes, before and after what is done to them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np

from medpipe_core.data import StoredVolumes
from medpipe_core.data.arrays import in_type
from medpipe_core.execution.checked_dataset import make_dataset
from medpipe_core.execution.execute import configured_space
from medpipe_core.record.genotype_text import NOT_USED, number, tables
from medpipe_core.seeding import child_seed

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from medpipe_core.config.configuration import Configuration
    from medpipe_core.data import DatasetCard, Volume
    from medpipe_core.plugins import Registry


@runtime_checkable
class ShowsOriginals(Protocol):
    """What a dataset has besides, if it can show training scans as they were before preparation."""

    def original(self, case: str) -> Volume:
        """Return a scan of training or validation: depth, height, width, after any channels."""


@dataclass(frozen=True)
class Picture:
    """One volume to be shown.

    Attributes:
        values: `(depth, height, width)`, the first channel.
        spacing: Millimetres between voxels along these; None where that is not known.
        words: What was done to it.
    """

    values: NDArray[np.float32]
    spacing: tuple[float, ...] | None
    words: str


@dataclass(frozen=True)
class Example:
    """One case of a class.

    Attributes:
        label: Name of its class.
        case: What it is called.
        pictures: It as it was, where the dataset shows that; prepared; and augmented.
    """

    label: str
    case: str
    pictures: tuple[Picture, ...]


@dataclass(frozen=True)
class Preview:
    """What is shown of a configuration.

    Attributes:
        card: The dataset's card.
        notes: What happened while it was read.
        policies: For each augmented picture of a row, which augmentations were drawn.
        examples: The cases, class by class.
    """

    card: DatasetCard
    notes: tuple[str, ...]
    policies: tuple[str, ...]
    examples: tuple[Example, ...]


def preview(
    configuration: Configuration, registry: Registry, *, each: int = 3, draws: int = 3
) -> Preview:
    """Read the training data, and show some cases of each class; the test set stays closed.

    Augmentations are those of genotypes drawn from the space, applied as in training.

    Args:
        configuration: A run's configuration.
        registry: Loaded plugins.
        each: Cases of each class.
        draws: Augmented pictures of each case.

    Raises:
        DataError: The data cannot be read or used.
    """
    import torch

    from medpipe_core.supernet import build_policy

    space = configured_space(configuration, registry)
    dataset = make_dataset(configuration, registry)
    development, card = dataset.development(), dataset.card
    train = development.train
    seed = child_seed(configuration.keys.seed, "preview")
    drawn = [space.sample(seed=child_seed(seed, str(number))) for number in range(draws)]
    policies = [build_policy(space, genotype, spacing=card.spacing) for genotype in drawn]
    volumes, words = train.volumes, "augmented"
    epochs = [volumes] * draws
    if isinstance(volumes, StoredVolumes) and volumes.varies:
        epochs = [volumes.drawn(child_seed(seed, "volumes", str(n))) for n in range(draws)]
        words = "drawn anew and augmented"
    examples = []
    for label, name in enumerate(card.classes):
        for row in np.flatnonzero(train.labels == label)[:each].tolist():
            case = f"train-{row:05}" if train.cases is None else str(train.cases[row])
            pictures = [Picture(_shown(train.volumes[row])[0], card.spacing, "prepared")]
            if isinstance(dataset.dataset, ShowsOriginals):
                pictures.insert(0, _original(dataset.dataset, case))
            for turn, policy in enumerate(policies):
                generator = torch.Generator().manual_seed(child_seed(seed, str(turn), case))
                volume = _shown(epochs[turn][row])
                batch = torch.from_numpy(np.ascontiguousarray(volume, np.float32))[None]
                with torch.no_grad():
                    augmented = policy(batch, generator)[0, 0].numpy()
                pictures.append(Picture(augmented, card.spacing, f"{words}, {turn + 1}"))
            examples.append(Example(name, case, tuple(pictures)))
    told = tuple(_words(tables(space, genotype)) for genotype in drawn)
    return Preview(card, development.notes, told, tuple(examples))


def _shown(volume: NDArray[Any]) -> NDArray[np.float32]:
    """Return a volume as float32 in [0, 1]."""
    return in_type(np.asarray(volume), np.dtype(np.float32))


def _original(dataset: ShowsOriginals, case: str) -> Picture:
    scan = dataset.original(case)
    values = scan.values.reshape(-1, *scan.values.shape[-3:])[0]
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    shape = " × ".join(map(str, values.shape))
    apart = "" if scan.spacing is None else f" of {' × '.join(map(number, scan.spacing))} mm"
    words = f"as read: {shape} voxels{apart}, intensities {number(low)} to {number(high)}"
    return Picture(values, scan.spacing, words)


def _words(found: object) -> str:
    """Return the augmentations of a genotype in one line."""
    rows = [
        row
        for table in found  # type: ignore[attr-defined]
        if table.title == "Augmentation"
        for row in table.rows
    ]
    used = [row for row in rows if row[-1] != NOT_USED]
    return "; ".join(
        f"{operation}{'' if strength == '–' else f' ({strength})'} with probability {share}"
        for operation, strength, share in used
    ) or ("nothing" if rows else "none")
