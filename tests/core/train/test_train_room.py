from __future__ import annotations

import subprocess
import sys

import pytest
from pydantic import ValidationError

from medpipe_core import train
from medpipe_core.train import FitSettings


def test_settings_and_figures_are_imported_without_torch():
    code = (
        "import sys\n"
        "from medpipe_core.train import FitSettings, metrics\n"
        "import medpipe_core.train.settings\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)


def test_every_public_name_is_there():
    assert sorted(train.__all__) == train.__all__
    for name in train.__all__:
        assert getattr(train, name) is not None


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="nosuch"):
        train.nosuch  # noqa: B018


def test_every_setting_has_a_description():
    assert all(field.description for field in FitSettings.model_fields.values())


@pytest.mark.parametrize(
    "wrong",
    [
        {"epochs": -1},
        {"batch_size": 1},
        {"lr": 0},
        {"lr": float("inf")},
        {"average": 1.0},
        {"label_smoothing": 1.0},
        {"grad_clip": 0},
        {"validate_every": 0},
        {"select": "luckiest"},
        {"learning_rate": 1e-3},
    ],
)
def test_settings_out_of_bounds_or_unknown_are_refused(wrong):
    with pytest.raises(ValidationError):
        FitSettings(**wrong)
