"""One resampling instead of several pays; the bound is loose, for machines that do other things."""

from __future__ import annotations

import time

import pytest
import torch

from medpipe_core import Policy
from medpipe_core.supernet import PolicyLayer
from medpipe_plugins.augment3d import Affine, DRotation, HFlip, HRotation, VFlip, VRotation

TURN = {"left": -15, "right": 15}


@pytest.mark.slow
def test_a_fused_policy_is_faster_than_layer_by_layer():
    chain = ((HFlip, {}), (VFlip, {}), (VRotation, TURN), (HRotation, TURN), (DRotation, TURN),
             (Affine, {"left": 0.6, "right": 1.4}))  # fmt: skip
    policy = Policy(
        PolicyLayer(str(i), op(), 1.0, chosen, ()) for i, (op, chosen) in enumerate(chain)
    )
    volumes, generator = torch.rand(2, 1, 32, 96, 96), torch.Generator().manual_seed(0)
    seconds = {policy.forward: [], policy.layer_by_layer: []}
    for _ in range(6):  # the least of several turns is what the machine can do
        for run, taken in seconds.items():
            began = time.process_time()
            run(volumes, generator)
            taken.append(time.process_time() - began)
    fused, stepwise = (min(taken) for taken in seconds.values())
    assert stepwise > 1.3 * fused
