from __future__ import annotations

import copy
import math

import numpy as np
import pytest
import torch
from torch import nn

from medpipe_core.data import LabelledVolumes
from medpipe_core.seeding import seeded_init
from medpipe_core.train import (
    ClassificationTask,
    FitSettings,
    FitState,
    NothingToSelectError,
    TrainingDivergedError,
    fit,
    fitting,
    predict,
)

STEPS = 4  # an epoch: 24 volumes in batches of 6


def noise(volumes, generator):
    return volumes + 0.1 * torch.rand(volumes.shape, generator=generator)


@pytest.fixture
def settings():
    return FitSettings(epochs=4, batch_size=6, lr=0.01)


@pytest.fixture
def start(data, network):
    """Return a function that makes the state before the first step."""

    def make(settings, seed=0, network=network, data=data):
        return FitState.start(network, data, settings=settings, seed=seed, device="cpu")

    return make


def same_weights(one, other):
    return all(
        torch.equal(a, b)
        for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    )


def fresh():
    with seeded_init(0):
        return nn.Sequential(
            nn.Conv3d(1, 4, 3), nn.BatchNorm3d(4), nn.ReLU(), nn.Flatten(), nn.Linear(32, 2)
        )


class DropPath(nn.Module):
    """Leaves a volume out in training, as an author may write it."""

    def forward(self, features):
        return features * (torch.rand(len(features), 1) > 0.3) if self.training else features


def dropping():
    with seeded_init(0):
        return nn.Sequential(
            nn.Conv3d(1, 4, 3), nn.Dropout3d(0.3), nn.ReLU(), nn.Flatten(),
            nn.Dropout(0.3), DropPath(), nn.Linear(32, 2),
        )  # fmt: skip


def test_training_lowers_the_loss_and_learns_the_classes(start, data, task):
    settings = FitSettings(epochs=15, batch_size=6, lr=0.01)
    state = start(settings)
    trained = fit(state, settings=settings, task=task)
    assert state.history[-1]["loss"] < 0.5 * state.history[0]["loss"]
    figures = task.figures(predict(trained, data, task=task), data.labels)
    assert figures["accuracy"] > 0.9
    assert not trained.training


def test_a_seed_gives_the_same_weights_bit_for_bit(start, validation, task, settings):
    def train(seed):
        state = start(settings, seed, network=fresh())
        return fit(state, settings=settings, task=task, augment=noise, validation=validation)

    assert same_weights(train(3), train(3))
    assert not same_weights(train(3), train(4))


def test_what_dropout_and_drop_path_draw_follows_from_the_seed(start, validation, task, settings):
    def train(seed):
        torch.rand(seed + 7)  # whatever the process draws besides
        state = start(settings, seed, network=dropping())
        return fit(state, settings=settings, task=task, augment=noise, validation=validation)

    assert same_weights(train(3), train(3))
    one, other = (train(seed) for seed in (3, 4))
    assert not same_weights(one, other)


def test_dropout_leaves_the_global_generator_alone_when_a_step_fails(start, task, settings):
    def failing(volumes, generator):
        torch.rand(3)
        raise KeyError("mine")

    before = torch.random.get_rng_state()
    with pytest.raises(KeyError):
        fit(start(settings, network=dropping()), settings=settings, task=task, augment=failing)
    assert torch.equal(before, torch.random.get_rng_state())


def test_looking_at_the_validation_volumes_changes_no_weight(start, validation, task, settings):
    blind = fit(start(settings, network=fresh()), settings=settings, task=task)
    seeing = fit(
        start(settings, network=fresh()), settings=settings, task=task, validation=validation
    )
    assert same_weights(blind, seeing)


def test_training_leaves_the_global_generator_alone(start, task, settings):
    before = torch.random.get_rng_state()
    fit(start(settings, network=fresh()), settings=settings, task=task, augment=noise)
    assert torch.equal(before, torch.random.get_rng_state())


@pytest.mark.parametrize("make", [fresh, dropping])
@pytest.mark.parametrize("stop", [0, 1, STEPS, STEPS + 3, 4 * STEPS])
def test_going_on_from_a_saved_state_is_never_having_stopped(start, validation, task, stop, make):
    settings = FitSettings(epochs=4, batch_size=6, lr=0.01, average=0.9, select="best")

    def train(state):
        return fit(state, settings=settings, task=task, augment=noise, validation=validation)

    class Saving:
        """Batches that save the whole state before the step at which the training stops."""

        def __init__(self, state):
            self.state, self.inner, self.saved = state, state.batches, None

        def __len__(self):
            return len(self.inner)

        def next(self):
            if self.state.step == stop:
                self.saved = copy.deepcopy(self.state.state_dict())
            return self.inner.next()

        def state_dict(self):
            return self.inner.state_dict()

    never = start(settings, network=make())
    never.batches = saving = Saving(never)
    whole = train(never)
    resumed = start(settings, seed=99, network=make())
    resumed.load_state_dict(saving.saved or never.state_dict())
    assert same_weights(train(resumed), whole)
    assert resumed.history == never.history
    assert resumed.best.epoch == never.best.epoch


@pytest.mark.parametrize("epoch", [1, 2, 4])
def test_what_was_saved_within_a_validation_goes_on_with_it(
    start, validation, task, settings, epoch
):
    def train(state, emit, looking=lambda: None):
        return fit(
            state, settings=settings, task=task, validation=validation, emit=emit, looking=looking
        )

    def told(diary):
        return [{n: v for n, v in fields.items() if n != "seconds"} for _, fields in diary]

    never, saved, diary = start(settings, network=fresh()), [], []

    def looking():
        assert never.network.training
        if never.step == epoch * STEPS:
            saved.append((copy.deepcopy(never.state_dict()), len(diary)))

    whole = train(never, lambda name, /, **fields: diary.append((name, fields)), looking)
    state, before = saved[-1]
    assert before == epoch - 1
    resumed, rest = start(settings, seed=99, network=fresh()), []
    resumed.load_state_dict(state)
    trained = train(resumed, lambda name, /, **fields: rest.append((name, fields)))
    assert same_weights(trained, whole)
    assert resumed.history == never.history
    assert told(rest) == told(diary)[before:]


def test_a_saved_state_is_not_changed_by_training_on(start, validation, task, settings):
    state = start(settings, network=fresh())
    fit(state, settings=settings, task=task, validation=validation)
    saved = state.state_dict()
    rows = len(saved["history"])
    longer = settings.model_copy(update={"epochs": 6})
    fit(state, settings=longer, task=task, validation=validation)
    assert len(saved["history"]) == rows


def test_the_learning_rate_falls_along_half_a_cosine(start, task, settings):
    state = start(settings)
    rates = []

    def watching(volumes, generator):
        rates.append(state.optimiser.param_groups[0]["lr"])
        return volumes

    fit(state, settings=settings, task=task, augment=watching)
    assert rates[0] == settings.lr
    assert rates[8] == pytest.approx(settings.lr / 2)
    assert rates == sorted(rates, reverse=True)
    assert 0 < rates[-1] < 0.02 * settings.lr


def test_every_epoch_is_told_with_its_figures(start, validation, task, settings, diary):
    state = start(settings)
    fit(state, settings=settings, task=task, validation=validation, emit=diary, stage="retrain")
    assert [event for event, _ in diary] == ["retrain-epoch"] * 4
    assert [fields["epoch"] for _, fields in diary] == [1, 2, 3, 4]
    assert [fields["steps"] for _, fields in diary] == [len(state.batches)] * 4
    expected = {"epoch", "loss", "lr", "steps", "seconds", "validation_loss"}
    expected |= {"validation_accuracy", "validation_auc"}
    assert set(diary[0][1]) == expected
    assert [row["loss"] for row in state.history] == [fields["loss"] for _, fields in diary]


def test_the_last_epoch_is_always_validated(start, validation, task):
    settings = FitSettings(epochs=5, batch_size=6, validate_every=3)
    state = start(settings)
    fit(state, settings=settings, task=task, validation=validation)
    assert [row["epoch"] for row in state.history if "validation_auc" in row] == [3, 5]


def test_the_best_epochs_weights_come_back(start, validation, task, settings):
    """A learning rate that ruins what was learned, so that an early epoch is the best."""
    settings = FitSettings(epochs=6, batch_size=6, lr=0.3, select="best")
    state = start(settings)
    trained = fit(state, settings=settings, task=task, validation=validation)
    probabilities = predict(trained, validation, task=task)
    figures = task.figures(probabilities, validation.labels)
    loss = task.validation_loss(probabilities, validation.labels)
    ranks = [(row["validation_accuracy"], -row["validation_loss"]) for row in state.history]
    assert state.best.rank == pytest.approx((task.score(figures), -loss))
    assert figures["accuracy"] == max(accuracy for accuracy, _ in ranks)
    assert state.history[state.best.epoch - 1]["validation_loss"] == pytest.approx(loss)


def test_the_best_epoch_needs_validation_volumes(start, task):
    settings = FitSettings(epochs=1, select="best")
    with pytest.raises(NothingToSelectError, match="select=last"):
        fit(start(settings), settings=settings, task=task)


def test_no_epochs_leave_the_network_as_it_was(start, task):
    settings = FitSettings(epochs=0)
    network = fresh()
    assert same_weights(
        fit(start(settings, network=network), settings=settings, task=task), fresh()
    )


def test_the_average_of_weights_is_the_running_mean_of_all_steps(start, task):
    settings = FitSettings(epochs=2, batch_size=6, lr=0.01, average=0.8)
    state = start(settings, network=fresh())
    mean = [value.clone() for value in state.network.state_dict().values()]
    step_of = []

    def watching(volumes, generator):
        if step_of:
            follow(step_of[-1] + 1)
        step_of.append(state.step)
        return volumes

    def follow(step):
        decay = min(0.8, (1 + step) / (10 + step))
        for i, now in enumerate(state.network.state_dict().values()):
            mean[i] = mean[i].lerp(now, 1 - decay) if now.is_floating_point() else now.clone()

    trained = fit(state, settings=settings, task=task, augment=watching)
    follow(state.step)
    for ours, theirs in zip(mean, trained.state_dict().values(), strict=True):
        torch.testing.assert_close(ours, theirs)
    assert not same_weights(trained, state.network)


def test_a_clipped_gradient_is_no_larger_than_asked(start, task):
    settings = FitSettings(epochs=1, batch_size=6, grad_clip=1e-3)
    state = start(settings)
    fit(state, settings=settings, task=task)
    squares = sum(p.grad.square().sum() for p in state.network.parameters())
    assert float(squares) ** 0.5 <= 1e-3 * 1.001


class Spoils(nn.Module):
    """Gives what is not finite from a step on."""

    def __init__(self, step):
        super().__init__()
        self.steps, self.step = 0, step

    def forward(self, features):
        self.steps += 1
        return features * (math.nan if self.steps > self.step else 1)


def test_a_loss_that_is_not_finite_names_epoch_step_and_what_was_trained(start, settings):
    class Undone(ClassificationTask):
        def loss(self, logits, labels):
            return super().loss(logits, labels) * (math.nan if state.step == STEPS + 2 else 1)

    state = start(settings)
    with pytest.raises(
        TrainingDivergedError, match=r"^abc123: the loss became nan in epoch 2, step 3; lower the"
    ):
        fit(state, settings=settings, task=Undone(("a", "b")), name="abc123")


def test_an_augmentation_that_makes_what_is_not_finite_is_blamed_and_no_learning_rate(
    start, task, settings
):
    def poison(volumes, generator):
        return volumes * (math.nan if state.step == STEPS + 2 else 1)

    class Named:
        def __call__(self, volumes, generator):
            self.drawn = generator.get_state()
            return poison(volumes, generator)

        def not_finite_from(self, volumes, drawn):
            assert volumes.isfinite().all()
            assert torch.equal(drawn, self.drawn)
            return "augmentation 'poison' of acme 1.0 (augment/poison) made values"

    for augment, said in ((poison, "the augmentation made values"), (Named(), "'poison' of acme")):
        state = start(settings, network=fresh())
        with pytest.raises(TrainingDivergedError, match=said) as caught:
            fit(state, settings=settings, task=task, augment=augment, name="abc123")
        assert caught.match(r"^abc123: .* in epoch 2, step 3$")


def test_a_batch_that_is_not_finite_is_told_apart_from_its_augmentation(start, task, settings):
    volumes = np.full((24, 1, 4, 4, 4), np.nan, np.float32)
    state = start(settings, data=LabelledVolumes(volumes, np.arange(24) % 2))
    with pytest.raises(TrainingDivergedError, match="the batch itself has values that are not"):
        fit(state, settings=settings, task=task, augment=noise)


@pytest.mark.parametrize(
    ("step", "place", "cure"), [(0, "epoch 1, step 1", ""), (5, "epoch 2, step 2", "; lower the")]
)
def test_the_layer_that_gives_what_is_not_finite_first_is_named(
    start, task, settings, step, place, cure
):
    network = fresh()
    network.insert(1, Spoils(step))
    with pytest.raises(TrainingDivergedError) as caught:
        fit(start(settings, network=network), settings=settings, task=task)
    assert caught.match(rf"nan, first in what 1 \(.*\.Spoils\) gives, in {place}{cure or '$'}")


def test_weights_spoilt_by_the_last_step_do_not_pass_for_trained(start, data, settings):
    """The loss is finite but its gradient is not, as at the square root of 0."""

    class Rooted(ClassificationTask):
        def loss(self, logits, labels):
            return super().loss(logits, labels) + (logits.sum() * 0).clamp(min=0).sqrt()

    settings = FitSettings(epochs=1, batch_size=24)
    state = start(settings)
    with pytest.raises(TrainingDivergedError, match=r"weight .* in epoch 1, step 1"):
        fit(state, settings=settings, task=Rooted(("a", "b")))


def test_another_task_trains_without_a_change(start, data, validation, settings):
    """Nothing in training says classification: here a network learns to count brightness."""

    class Brightness:
        classes = ("brightness",)
        shown = ("error",)

        def loss(self, logits, labels):
            return (logits[:, 0] - labels).square().mean()

        def probabilities(self, logits):
            return logits.double()

        def figures(self, answers, labels):
            return {"error": float(((answers[:, 0] - labels) ** 2).mean())}

        def score(self, figures):
            return -figures["error"]

        def validation_loss(self, answers, labels):
            return self.figures(answers, labels)["error"]

    state = start(settings, data=LabelledVolumes(data.volumes, data.labels))
    fit(state, settings=settings, task=Brightness(), validation=validation)
    assert state.history[-1]["validation_error"] < state.history[0]["validation_error"]


class Scheduled:
    """Darkens in the first half of a training, and brightens in the second."""

    def __init__(self):
        self.asked = []

    def at(self, step, steps):
        self.asked.append((step, steps))
        factor = 0.5 if 2 * step < steps else 2.0
        return lambda volumes, generator: factor * volumes


def test_a_schedule_is_asked_at_each_step_what_augments_it(start, settings, task, monkeypatch):
    seen = []
    stepped = fitting.step_weights

    def step(state, volumes, *rest):
        seen.append(volumes)
        return stepped(state, volumes, *rest)

    monkeypatch.setattr(fitting, "step_weights", step)
    plain, scheduled = start(settings), start(settings, network=fresh())
    fit(plain, settings=settings, task=task)
    given, seen[:] = list(seen), []
    augment = Scheduled()
    fit(scheduled, settings=settings, task=task, augment=augment)
    total = 4 * STEPS
    assert augment.asked == [(step, total) for step in range(total)]
    for number, (one, other) in enumerate(zip(given, seen, strict=True)):
        assert torch.equal(other, (0.5 if number < total / 2 else 2.0) * one)


def test_the_policy_of_the_step_is_blamed(start, settings, task):
    class Poisoned(Scheduled):
        def at(self, step, steps):
            part = "second half" if 2 * step >= steps else "first half"

            class Part:
                def __call__(self, volumes, generator):
                    return volumes * (math.nan if part == "second half" else 1)

                def not_finite_from(self, volumes, drawn):
                    return f"the {part}"

            return Part()

    with pytest.raises(TrainingDivergedError, match="the second half in epoch 3, step 1"):
        fit(start(settings), settings=settings, task=task, augment=Poisoned())
