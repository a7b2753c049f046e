"""A planted plugin changes torch's settings as it is imported; the other tests keep theirs."""

from __future__ import annotations

import pytest
import torch


@pytest.fixture(autouse=True)
def _settings_put_back():
    dtype = torch.get_default_dtype()
    yield
    torch.set_default_dtype(dtype)
