"""A dataset that lies in a file: volumes with their labels and patients in one .npz."""

from typing import Annotated

from annotated_types import Gt, Lt
from pydantic import BaseModel, ConfigDict, Field

from medpipe_core.data import (
    DatasetCard,
    Development,
    LabelledVolumes,
    SealedTest,
    data_file,
    npz_shape,
    read_npz,
    split,
)

Share = Annotated[float, Gt(0), Lt(0.5)]


class ScansSettings(BaseModel):
    """Parameters of `acme-scans`."""

    model_config = ConfigDict(extra="forbid")

    file: str = Field("scans.npz", description="the file, in data.root")
    classes: tuple[str, ...] = Field(("benign", "malignant"), description="names of labels 0, 1, …")
    validation: Share = Field(0.2, description="share of the volumes for validation")
    test: Share = Field(0.2, description="share of the volumes for the test")
    seed: int = Field(0, description="seed of the split")


class Scans:
    """`images`, uint8 (count, depth, height, width), `labels` and `patients` of one file.

    A run fills `root` from `data.root`, because it stands here by its name.
    """

    def __init__(self, *, root=None, **settings):
        self.root = root
        self.settings = ScansSettings(**settings)

    @property
    def card(self):
        """Return what the dataset says of itself; of the file it looks at a header only."""
        return DatasetCard(
            name="acme-scans",
            title=f"Scans of {self.settings.file}",
            classes=self.settings.classes,
            channels=1,
            size=npz_shape(self._path(), "images")[1:],
            source="your own file",
            licence="yours",
            notes=("The split is by patient.",),
        )

    def development(self):
        """Return training and validation data."""
        _, validation, train = self._positions()
        return Development(self._read(train), self._read(validation))

    def sealed_test(self):
        """Return the test set, which is read when it is opened."""
        return SealedTest(lambda: self._read(self._positions()[0]))

    def _path(self):
        make = "`python -m medpipe_acme.make_scans FOLDER` makes one to try it"
        return data_file(self.settings.file, self.root, remedy=make)

    def _positions(self):
        """Return the positions of test, validation and training volumes."""
        labels, patients = read_npz(self._path(), "labels", "patients")
        chosen = self.settings
        test, rest = split(labels, patients, share=chosen.test, seed=chosen.seed)
        share = chosen.validation / (1 - chosen.test)
        held, train = split(labels[rest], patients[rest], share=share, seed=chosen.seed)
        return test, rest[held], rest[train]

    def _read(self, positions):
        images, labels, patients = read_npz(self._path(), "images", "labels", "patients")
        data = LabelledVolumes(images[:, None], labels, patients)  # one channel
        return data.take(positions)
