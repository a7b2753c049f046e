"""Networks of the joint space, with compiled layers and without, as files for other programs."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from medpipe_core import build_network, load_plugins
from medpipe_core.config import resolve
from medpipe_core.execution import TrainedModel, exporting
from medpipe_core.execution.execute import configured_space
from medpipe_core.train import DecisionRule


@pytest.mark.slow
def test_a_network_of_the_joint_space_is_exported_and_agrees():
    registry = load_plugins()
    values = {"space": "medpipe-joint", "dataset": "phantom3d", "preset": "quick"}
    sizes = {"space.network.channels": [4, 6], "space.network.depths": [1, 1]}
    space = configured_space(resolve({**values, **sizes}, registry), registry)
    network = build_network(space, space.sample(seed=0), in_channels=1, num_classes=3)
    kinds = {type(module).__name__ for module in network.modules()}
    assert {"MBConv3D", "DepthwiseConv3d"} <= kinds
    model = TrainedModel(network, ("a", "b", "c"), DecisionRule(1.5), (1, 16, 16, 16), {})
    volumes = exporting._drawn(model)
    with torch.no_grad():  # as after a training, activations are normalised
        for _ in range(20):
            network.train()(torch.from_numpy(volumes))
    network.eval()
    made = exporting._made(model, {}, volumes, model.probabilities(volumes))
    assert made.description["batch"] == "any"
    for check in made.checks.values():
        assert check.agrees
        assert check.volumes == len(volumes)
    assert np.ptp(model.probabilities(volumes), axis=0).max() > 1e-2  # not one answer for all
