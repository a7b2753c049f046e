"""The training of what was chosen: one network, or the members of an ensemble."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from medpipe_core.execution.plan import sized
from medpipe_core.execution.trial import Fidelity, Trial, TrialFailedError
from medpipe_core.seeding import child_seed
from medpipe_core.supernet import Ensemble

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from torch import Tensor, nn

    from medpipe_core.config.settings import Keys
    from medpipe_core.data import Development
    from medpipe_core.events import Emit
    from medpipe_core.execution.context import RunContext
    from medpipe_core.execution.executor import Executor
    from medpipe_core.execution.results import Candidate
    from medpipe_core.execution.trial import TrialRecord


class Retraining:
    """Trains a genotype's network on the whole training set, `retrain.members` times.

    The first member is what a run with one member trains; each other one has a seed of its own, and
    with it other first weights, order and augmentation.

    Args:
        context: The run's configuration, bound.
        executor: Who runs trials.
    """

    def __init__(self, context: RunContext, executor: Executor) -> None:
        self._context = context
        self._executor = executor
        self._done: list[TrialRecord] = []

    def run(
        self,
        development: Development,
        chosen: Candidate,
        emit: Emit,
        initial: Mapping[str, Tensor] | None = None,
    ) -> tuple[nn.Module, Mapping[str, float], tuple[str, ...]]:
        """Train, and return the network, its figures on validation volumes, and notes.

        Args:
            development: The run's development data.
            chosen: What was chosen.
            emit: Told of every epoch (`retrain-epoch`), with `member` and `members` where there
                are several.
            initial: Weights to begin with, by name; None for fresh ones.

        Raises:
            TrialFailedError: A loss or weights did not stay finite, or memory ran out.
        """
        self._done = []
        keys = sized(self._context.keys, len(development.train))
        for number, trial in enumerate(self._trials(chosen, initial, keys), start=1):
            told = emit if self._count == 1 else _of_member(emit, number, self._count)
            record = self._executor.run_one(trial, development, told)
            if record.failed or record.weights is None:
                which = "" if self._count == 1 else f" of member {number} of {self._count}"
                raise TrialFailedError(f"the retraining{which} failed: {record.failed}")
            self._done.append(record)
        networks = [self._context.network(chosen.genotype, seed=0) for _ in self._done]
        for network, record in zip(networks, self._done, strict=True):
            network.load_state_dict(record.weights or {})
        if self._count == 1:
            only = self._done[0]
            return networks[0].eval(), only.figures, only.notes
        ensemble = Ensemble(networks).eval()
        notes = tuple(
            f"Member {number}: {note}"
            for number, record in enumerate(self._done, start=1)
            for note in record.notes
        )
        return ensemble, self._context.figures(ensemble, development.validation), notes

    def weights_so_far(self) -> Mapping[str, Tensor] | None:
        """Return the weights of a training that is under way, and of the members before it."""
        fits = self._executor.memory.states("trial/retrain/")
        under_way = [fit["averaged"] or fit["network"] for fit in (s["fit"] for s in fits if s)][:1]
        if not under_way:
            return None
        if self._count == 1:
            return under_way[0]  # type: ignore[no-any-return]
        members = [*(record.weights or {} for record in self._done), *under_way]
        return {
            f"members.{number}.{name}": weight
            for number, weights in enumerate(members)
            for name, weight in weights.items()
        }

    @property
    def _count(self) -> int:
        return self._context.keys.retrain.members

    def _trials(
        self, chosen: Candidate, initial: Mapping[str, Tensor] | None, keys: Keys
    ) -> Iterator[Trial]:
        fidelity = Fidelity(keys.retrain.epochs)
        for number in range(self._count):
            seed = child_seed(keys.seed, "member", str(number)) if number else keys.seed
            yield Trial(
                chosen.genotype,
                fidelity,
                seed,
                "retrain",
                initial,
                keep_weights=True,
                schedule=chosen.schedule,
            )


def _of_member(emit: Emit, number: int, count: int) -> Emit:
    def told(event: str, /, **fields: Any) -> None:
        emit(event, **fields, member=number, members=count)

    return told
