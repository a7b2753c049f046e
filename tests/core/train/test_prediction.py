from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from medpipe_core.data import Batches, LabelledVolumes, ordered_batches
from medpipe_core.train import predict, recalibrate


@pytest.fixture
def network():
    torch_network = nn.Sequential(
        nn.Conv3d(1, 4, 3, padding=1),
        nn.BatchNorm3d(4, momentum=0.3),
        nn.Dropout(0.5),
        nn.Flatten(),
        nn.Linear(256, 2),
    )
    generator = torch.Generator().manual_seed(0)
    for parameter in torch_network.parameters():
        nn.init.normal_(parameter, std=0.2, generator=generator)
    return torch_network


def batches_of(data, size):
    return ordered_batches(data, batch_size=size, device="cpu")


def test_predictions_are_the_softmax_of_the_network_in_evaluation_mode(network, data, task):
    probabilities = predict(network, data, task=task)
    logits = network.eval()(torch.from_numpy(data.volumes).float() / 255)
    expected = logits.detach().double().softmax(1).numpy()
    assert probabilities.dtype == np.float64
    assert probabilities.shape == (24, 2)
    np.testing.assert_allclose(probabilities, expected, rtol=1e-6)


def test_predictions_do_not_depend_on_how_volumes_are_batched(network, data, task):
    one = predict(network, data, task=task, batch_size=24)
    np.testing.assert_allclose(predict(network, data, task=task, batch_size=7), one, rtol=1e-6)
    np.testing.assert_allclose(predict(network, data, task=task, batch_size=1), one, rtol=1e-6)


def test_predicting_changes_neither_modes_nor_statistics(network, data, task):
    network.train()
    network[1].eval()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    predict(network, data, task=task)
    assert [module.training for module in network] == [True, False, True, True, True]
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_modes_come_back_after_a_failure(network, data, task):
    network.train()

    def broken(volumes):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        predict(network, data, task=task, views=[broken])
    assert network.training
    assert network[1].training


def test_views_are_averaged_with_the_volumes_as_they_are(network, data, task):
    def mirror(volumes):
        return volumes.flip(-1)

    mirrored = LabelledVolumes(np.ascontiguousarray(data.volumes[..., ::-1]), data.labels)
    expected = (predict(network, data, task=task) + predict(network, mirrored, task=task)) / 2
    averaged = predict(network, data, task=task, views=[mirror])
    np.testing.assert_allclose(averaged, expected, rtol=1e-12)


def test_no_volumes_give_no_rows(network, data, task):
    assert predict(network, data.take(np.arange(0)), task=task).shape == (0, 2)


def test_recalibrated_statistics_are_the_plain_mean_over_the_batches(network, data):
    network[1].running_mean.fill_(9)
    recalibrate(network, batches_of(data, 6))
    inner = [network[0](batch.volumes).detach() for batch in batches_of(data, 6)]
    mean = torch.stack([x.mean((0, 2, 3, 4)) for x in inner]).mean(0)
    variance = torch.stack([x.var((0, 2, 3, 4)) for x in inner]).mean(0)
    torch.testing.assert_close(network[1].running_mean, mean)
    torch.testing.assert_close(network[1].running_var, variance)


def test_recalibration_touches_no_weight_mode_or_momentum(network, data):
    network.train()
    network[1].eval()
    before = [parameter.clone() for parameter in network.parameters()]
    recalibrate(network, batches_of(data, 6))
    assert all(map(torch.equal, before, network.parameters()))
    assert [module.training for module in network] == [True, False, True, True, True]
    assert network[1].momentum == 0.3


def test_dropout_has_no_say_in_recalibrated_statistics(network, data):
    """It stands before the normalisation here; its mask would change the statistics."""
    late = nn.Sequential(network[2], network[0], network[1])
    recalibrate(late, batches_of(data, 24))
    without = network[1].running_mean.clone()
    recalibrate(network, batches_of(data, 24))
    torch.testing.assert_close(network[1].running_mean, without)


def test_recalibration_without_a_batch_changes_nothing(network):
    network[1].running_mean.fill_(9)
    recalibrate(network, [])
    assert network[1].running_mean.tolist() == [9] * 4
    assert network[1].momentum == 0.3


def test_momentum_comes_back_after_a_failure(network, data):
    def failing():
        yield next(batches_of(data, 6))
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        recalibrate(network, failing())
    assert network[1].momentum == 0.3


def test_a_network_without_batch_norm_reads_no_batch():
    recalibrate(nn.Linear(2, 2), iter(lambda: 1 / 0, None))


def test_some_batches_of_an_endless_source_are_enough(network, data):
    source = Batches(data, batch_size=6, seed=0, device="cpu")
    recalibrate(network, (source.next() for _ in range(3)))
    assert int(network[1].num_batches_tracked) == 3


def test_a_network_that_draws_in_evaluation_mode_gives_the_same_answer_each_time(data, task):
    class Forgetful(nn.Module):
        def forward(self, features):
            return nn.functional.dropout(features, 0.5)  # drops in any mode

    network = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(64), Forgetful(), nn.Linear(64, 2))
    before = torch.get_rng_state()
    one = predict(network, data, task=task)
    assert torch.equal(before, torch.get_rng_state())
    torch.rand(5)
    assert (one == predict(network, data, task=task)).all()
