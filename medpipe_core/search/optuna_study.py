"""An Optuna study over a search space: asked, told, and kept as plain values.

No other module imports Optuna, which is an extra. A sampler is made anew for each trial, seeded by
the trial's number: what a trial suggests then follows from the seed and the trials before it, so
that a study that was stopped goes on as if it had not been, without pickling a sampler.
"""

from __future__ import annotations

import logging
import warnings
from contextlib import contextmanager
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import optuna
from optuna import distributions, samplers
from optuna.trial import TrialState

from medpipe_core.seeding import child_seed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from optuna.distributions import BaseDistribution
    from optuna.samplers import BaseSampler
    from optuna.trial import FrozenTrial, Trial

    from medpipe_core.space import Genotype, SearchSpace
    from medpipe_core.space.choices import Choice

_NAME = "medpipe"


class SpaceStudy:
    """A study whose trials are genotypes of a space, larger values better.

    Args:
        space: The space.
        sampler: tpe, random, gp, nsgaii or qmc.
        startup: Trials before the sampler learns: those of tpe and gp that are drawn at random,
            the population of nsgaii.
        seed: Seed of everything that samplers draw.
    """

    def __init__(self, space: SearchSpace, *, sampler: str, startup: int, seed: int) -> None:
        self._space = space
        self._sampler, self._startup, self.seed = sampler, startup, seed
        self._begin()

    def ask(self) -> tuple[int, Genotype]:
        """Return a new trial's number and the genotype that it suggests."""
        with quiet():
            self._study.sampler = self._sampler_for(len(self))
            trial = self._study.ask()
            return trial.number, self._space.decide(lambda choice: _suggest(trial, choice))

    def add(self, genotype: Genotype) -> int:
        """Return the number of a new trial of a genotype that no sampler suggested."""
        return self._put("RUNNING", None, genotype.choices, {})

    def tell(self, number: int, score: float) -> None:
        """Give a running trial its score."""
        self._study.tell(number, score)

    def drop(self, number: int, score: float, rung: int) -> None:
        """End a running trial as one that fell behind in a race."""
        trial = self._trials()[number]
        self._storage.set_trial_intermediate_value(trial._trial_id, rung, score)
        self.prune(number)

    def prune(self, number: int) -> None:
        """End a running trial as a bad one, which tpe learns to avoid."""
        self._study.tell(number, state=TrialState.PRUNED)

    def fail(self, number: int) -> None:
        """End a running trial as one that says nothing."""
        self._study.tell(number, state=TrialState.FAIL)

    def __len__(self) -> int:
        return len(self._trials())

    def state_dict(self) -> dict[str, Any]:
        """Return every trial, and what samplers noted beside trials and study, as plain values."""
        return {
            "trials": [self._plain(trial) for trial in self._trials()],
            "notes": dict(self._storage.get_study_system_attrs(self._id)),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a saved state."""
        self._begin()
        for trial in state["trials"]:
            rungs = dict(trial["rungs"])
            self._put(trial["state"], trial["score"], trial["keys"], trial["notes"], rungs)
        for name, note in state["notes"].items():
            self._storage.set_study_system_attr(self._id, name, note)

    def _begin(self) -> None:
        with quiet():
            self._storage = optuna.storages.InMemoryStorage()
            self._study = optuna.create_study(
                storage=self._storage,
                study_name=_NAME,
                direction="maximize",
                sampler=self._sampler_for(0),
            )
        self._id = self._storage.get_study_id_from_name(_NAME)

    def _sampler_for(self, number: int) -> BaseSampler:
        seed = _numpy_seed(child_seed(self.seed, "trial", str(number)))
        match self._sampler:
            case "tpe":
                return samplers.TPESampler(seed=seed, n_startup_trials=self._startup)
            case "random":
                return samplers.RandomSampler(seed=seed)
            case "gp":
                return samplers.GPSampler(
                    seed=seed, n_startup_trials=self._startup, warn_independent_sampling=False
                )
            case "nsgaii":
                return samplers.NSGAIISampler(seed=seed, population_size=self._startup)
            case "qmc":
                # The sequence is one for all trials; Optuna notes beside the study how far it is.
                return samplers.QMCSampler(
                    seed=_numpy_seed(self.seed),
                    scramble=True,
                    independent_sampler=samplers.RandomSampler(seed=seed),
                    warn_independent_sampling=False,
                )
        raise ValueError(
            f"there is no sampler {self._sampler!r}; give tpe, random, gp, nsgaii, qmc"
        )

    def _trials(self) -> Sequence[FrozenTrial]:
        return self._study.get_trials(deepcopy=False)

    def _plain(self, trial: FrozenTrial) -> dict[str, Any]:
        state = trial.state.name
        if trial.state is TrialState.FAIL:
            # Samplers count a failed trial and do not look into it.
            return {"state": state, "score": None, "rungs": [], "keys": {}, "notes": {}}
        choices = self._space.choices
        return {
            "state": state,
            "score": trial.values[0] if trial.values else None,
            "rungs": [[rung, score] for rung, score in trial.intermediate_values.items()],
            "keys": {path: _key(choices[path], value) for path, value in trial.params.items()},
            "notes": dict(trial.system_attrs),
        }

    def _put(
        self,
        state: str,
        score: float | None,
        keys: Mapping[str, str],
        notes: Mapping[str, Any],
        rungs: Mapping[int, float] = MappingProxyType({}),
    ) -> int:
        able = {path: key for path, key in keys.items() if len(self._space.choices[path].keys) > 1}
        trial = optuna.create_trial(
            state=TrialState[state],
            value=score,
            params={path: _value(self._space.choices[path], key) for path, key in able.items()},
            distributions={path: self._distribution(self._space.choices[path]) for path in able},
            system_attrs=dict(notes),
            intermediate_values=dict(rungs),
        )
        self._study.add_trial(trial)
        return len(self) - 1

    def _distribution(self, choice: Choice) -> BaseDistribution:
        if _ordered(choice):
            return distributions.IntDistribution(0, len(choice.keys) - 1)
        return distributions.CategoricalDistribution(choice.keys)


@contextmanager
def quiet() -> Iterator[None]:
    """Hold back Optuna's notes of progress and of what is experimental; put all back after it."""
    logger = logging.getLogger("optuna")
    level = logger.level
    logger.setLevel(max(level, logging.WARNING))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            yield
    finally:
        logger.setLevel(level)


def _suggest(trial: Trial, choice: Choice) -> str:
    if len(choice.keys) == 1:
        return choice.keys[0]
    if _ordered(choice):
        return choice.keys[trial.suggest_int(choice.path, 0, len(choice.keys) - 1)]
    return trial.suggest_categorical(choice.path, choice.keys)


def _ordered(choice: Choice) -> bool:
    """Say whether the keys stand for rising or falling numbers, three or more.

    Those are suggested by their position, so that what a sampler learns of a value tells of its
    neighbours; of two keys either way says the same.
    """
    values = choice.values or ()
    if len(values) < 3 or not all(type(value) in (int, float) for value in values):
        return False
    return list(values) in (sorted(values), sorted(values, reverse=True))  # type: ignore[type-var]


def _value(choice: Choice, key: str) -> str | int:
    return choice.keys.index(key) if _ordered(choice) else key


def _key(choice: Choice, value: str | int) -> str:
    return choice.keys[value] if isinstance(value, int) else value


def _numpy_seed(seed: int) -> int:
    return seed % 2**32
