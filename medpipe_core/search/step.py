"""One step of a search: train the sampled path, and let the searcher ask about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from medpipe_core.errors import OperationError
from medpipe_core.memory import out_of_memory
from medpipe_core.search.outcome import Outcome
from medpipe_core.search.probe import Probe, waits_once
from medpipe_core.search.training_gradient import training_gradient

if TYPE_CHECKING:
    from collections.abc import Callable

    from medpipe_core.search.settings import SearchSettings
    from medpipe_core.search.step_state import StepState
    from medpipe_core.search.training_gradient import Loss
    from medpipe_core.supernet import Decision

OUT_OF_MEMORY = "out of memory"


def take_step(
    state: StepState,
    decision: Decision,
    settings: SearchSettings,
    loss: Loss,
    ask: Callable[[Probe], Outcome] | None = None,
) -> tuple[Outcome, str]:
    """Train the decision's path on one batch and find out what the searcher wants to know.

    All of it runs on the search's stream of torch's global draws.

    Args:
        state: The search; its weights and sources of batches move on.
        decision: The path, and gates.
        settings: How the weights step.
        loss: Logits and labels to a scalar.
        ask: Asks a probe of the step and returns the outcome, `Searcher.ask`; None to train only.

    Returns:
        The outcome, and what was wrong: nothing, `OUT_OF_MEMORY`, `OVERFLOW`, the name of a block
        or an augmentation and what it raised, or a text that begins with `NOT_FINITE` and goes on
        with the augmentation that made it so, if one did.
    """
    outcome = Outcome(decision.genotype, state.step)
    try:
        with state.stream.running():
            probe = Probe(state, decision, settings, loss, training_gradient(state, decision, loss))
            if not waits_once(state):
                outcome = probe.outcome
            if ask is not None and probe.finite:
                outcome = ask(probe)
            if probe.finite and outcome.finite:
                probe.step()
            if outcome.train_loss is None:
                outcome = probe.outcome
            if not (probe.finite and outcome.finite):
                return outcome, probe.problem
    except OperationError as error:
        return outcome, str(error)
    except Exception as error:
        if not out_of_memory(error):
            raise
        return outcome, OUT_OF_MEMORY
    return outcome, ""
