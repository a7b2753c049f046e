from __future__ import annotations

import pytest
import torch

from medpipe_core.computing import Computing
from medpipe_core.config import ConfigurationError
from medpipe_core.execution.device import device_of, slow_convolutions

HALF = Computing(torch.device("cuda"), torch.bfloat16)


def test_the_torch_whose_half_precision_convolutions_crawl_is_warned_of():
    said = slow_convolutions(HALF, torch_version="2.9.1+cu128", cudnn_version=91002)
    assert "torch 2.9.1+cu128 with cuDNN 9.10" in said
    assert "bfloat16" in said
    assert "precision=float32" in said


@pytest.mark.parametrize(
    ("computing", "torch_version", "cudnn_version"),
    [
        (HALF, "2.10.0", 91002),
        (HALF, "2.8.0", 91002),
        (HALF, "2.9.0", 91500),
        (HALF, "2.9.0", None),
        (Computing(torch.device("cuda")), "2.9.0", 91002),
        (Computing(torch.device("cpu"), torch.bfloat16), "2.9.0", 91002),
    ],
)
def test_others_are_not(computing, torch_version, cudnn_version):
    said = slow_convolutions(computing, torch_version=torch_version, cudnn_version=cudnn_version)
    assert said == ""


@pytest.mark.parametrize("asked", ["nope", "cuda:x", "cpu:1", "meta", "", "auto:3"])
def test_what_is_no_device_is_refused_with_what_there_is(asked):
    with pytest.raises(ConfigurationError, match="give auto, cpu, cuda, cuda:<number> or mps"):
        device_of(asked)


def test_a_device_that_is_not_there_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert device_of("cuda:0") == torch.device("cuda:0")
    for asked in ("cuda:1", "cuda:99"):
        with pytest.raises(ConfigurationError, match=f"device={asked}: .* finds 1 CUDA devices"):
            device_of(asked)
