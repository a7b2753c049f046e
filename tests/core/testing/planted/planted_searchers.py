"""A good searcher, and others that each have one bug."""

from __future__ import annotations

import dataclasses
import random

from medpipe_core import Decision, Genotype, Searcher
from medpipe_core.search import GumbelSearcher
from medpipe_core.testing import SearcherContract


class Climber(Searcher):
    """Mutates the best that was scored; remembers how often it was told."""

    def __init__(self, space, **kwargs):
        super().__init__(space, **kwargs)
        self._random = random.Random(self.seed)
        self._best = None
        self._told = 0

    def decide(self, step):
        return Decision(self.draw())

    def observe(self, outcome):
        self._told += 1
        if outcome.score is not None and (self._best is None or outcome.score > self._best[0]):
            self._best = (outcome.score, outcome.genotype)

    def propose(self, count):
        return list(dict.fromkeys(self.draw() for _ in range(count)))

    def best(self):
        rng = random.Random(self.seed)
        return self._best[1] if self._best else self.admitted(lambda: self.space.sample(rng=rng))

    def state_dict(self):
        version, words, gauss = self._random.getstate()
        best = self._best and [self._best[0], self._best[1].to_dict()]
        return {"random": [version, list(words), gauss], "best": best, "told": self._told}

    def load_state_dict(self, state):
        version, words, gauss = state["random"]
        self._random.setstate((version, tuple(words), gauss))
        best = state["best"]
        self._best = best and (best[0], Genotype.from_dict(best[1]))
        self._told = state["told"]

    def insight(self):
        return {"told": self._told}

    def draw(self):
        return self.admitted(self.near)

    def near(self):
        able = self._best and any(len(self.space.choices[p].keys) > 1 for p in self._best[1])
        if able and self._random.random() < 0.5:
            return self.space.crossover(
                self._best[1], self.space.sample(rng=self._random), rng=self._random
            )
        return self.space.sample(rng=self._random)


class KeepsTheWorst(Climber):
    def observe(self, outcome):
        self._told += 1
        if outcome.score is not None and (self._best is None or outcome.score < self._best[0]):
            self._best = (outcome.score, outcome.genotype)


class ForgetsTheBest(Climber):
    def load_state_dict(self, state):
        super().load_state_dict({**state, "best": None})


class ForgetsItsGenerator(Climber):
    def load_state_dict(self, state):
        super().load_state_dict({**state, "random": super().state_dict()["random"]})


class IgnoresTheBudget(Climber):
    def draw(self):
        return self.near()


class BestAboveTheBudget(Climber):
    def best(self):
        return self._best[1] if self._best else self.space.sample(seed=self.seed)


class AskingDraws(Climber):
    def best(self):
        return self._best[1] if self._best else self.draw()


class ProposesTwice(Climber):
    def propose(self, count):
        return [self.draw() for _ in range(count)]


class StateOfObjects(Climber):
    def state_dict(self):
        return {**super().state_dict(), "best": self._best}

    def load_state_dict(self, state):
        super().load_state_dict({**state, "best": None})
        self._best = state["best"]


class GlobalRandomSearcher(Climber):
    def near(self):
        return self.space.sample(rng=random)


class OneSeed(Climber):
    def __init__(self, space, **kwargs):
        super().__init__(space, **kwargs)
        self._random = random.Random(0)


class SavingDraws(Climber):
    def state_dict(self):
        self._random.random()
        return super().state_dict()


class WaitsForItsOutcome(Climber):
    pending = False

    def decide(self, step):
        if self.pending:
            raise RuntimeError("the last step was not observed")
        self.pending = True
        return super().decide(step)

    def observe(self, outcome):
        self.pending = False
        super().observe(outcome)


class SameDrawAgain(Climber):
    """Draws the same again and again, so that a budget ends it."""

    def best(self):
        return self._best[1] if self._best else self.admitted(self.first)

    def first(self):
        return self.space.sample(seed=self.seed)


class SlowDecisions(Climber):
    def near(self):
        paths = list(self.space.choices)
        keys = self.space.sample(rng=self._random)
        return self.space.decide(
            lambda choice: keys[next(path for path in sorted(paths) if path == choice.path)]
        )


class UnknownNeed(Climber):
    needs = frozenset({"gradients"})


class NamelessNetwork(Climber):
    def decide(self, step):
        return Decision(self.draw(), network="resnet18-3d")


class EmptyInsight(Climber):
    def insight(self):
        return {"best": self._best and self._best[0]}


class Quick(SearcherContract):
    most_choices = 0


class TestClimber(SearcherContract):
    searcher = Climber


class TestForgetsTheBest(Quick):
    searcher = ForgetsTheBest


class TestForgetsItsGenerator(Quick):
    searcher = ForgetsItsGenerator


class TestIgnoresTheBudget(Quick):
    searcher = IgnoresTheBudget


class TestBestAboveTheBudget(Quick):
    searcher = BestAboveTheBudget


class TestAskingDraws(Quick):
    searcher = AskingDraws


class TestProposesTwice(Quick):
    searcher = ProposesTwice


class TestStateOfObjects(Quick):
    searcher = StateOfObjects


class TestGlobalRandomSearcher(Quick):
    searcher = GlobalRandomSearcher


class TestOneSeed(Quick):
    searcher = OneSeed


class TestSavingDraws(Quick):
    searcher = SavingDraws


class TestWaitsForItsOutcome(Quick):
    searcher = WaitsForItsOutcome


class TestSameDrawAgain(Quick):
    searcher = SameDrawAgain


class TestSlowDecisions(SearcherContract):
    searcher = SlowDecisions


class TestUnknownNeed(Quick):
    searcher = UnknownNeed


class TestNamelessNetwork(Quick):
    searcher = NamelessNetwork


class TestEmptyInsight(Quick):
    searcher = EmptyInsight


class ForgetsFailures(Climber):
    """Proposes nothing again that failed, which its state does not say."""

    def __init__(self, space, **kwargs):
        super().__init__(space, **kwargs)
        self._open = set()

    def observe(self, outcome):
        super().observe(outcome)
        self._open.discard(outcome.genotype.digest)

    def propose(self, count):
        found = [one for one in super().propose(count) if one.digest not in self._open]
        self._open |= {one.digest for one in found}
        return found


class ForgetsFailedSteps(Climber):
    """Draws once more for every step that failed, which its state does not say."""

    failed = 0

    def decide(self, step):
        decision = super().decide(step)
        for _ in range(self.failed):
            decision = super().decide(step)
        self.failed += 1
        return decision

    def observe(self, outcome):
        super().observe(outcome)
        self.failed = 0 if outcome.score is None else self.failed


class OrderedByHash(Climber):
    def near(self):
        paths = sorted(self.space.choices, key=hash)
        keys = {path: self._random.choice(self.space.choices[path].keys) for path in paths}
        return self.space.decide(lambda choice: keys[choice.path])


class RemembersHashes(Climber):
    """Its state names what was proposed by hash(), which another process has others of."""

    def __init__(self, space, **kwargs):
        super().__init__(space, **kwargs)
        self._seen = set()

    def propose(self, count):
        found = [one for one in super().propose(count) if hash(one.digest) not in self._seen]
        self._seen |= {hash(one.digest) for one in found}
        return found

    def state_dict(self):
        return {**super().state_dict(), "seen": sorted(self._seen)}

    def load_state_dict(self, state):
        super().load_state_dict(state)
        self._seen = set(state["seen"])


class InsightDraws(Climber):
    def insight(self):
        return {"next": self.draw().digest}


class NeedsSteps(Climber):
    def near(self):
        share = self._told / self.steps
        return self.space.sample(rng=self._random) if share < 2 else super().near()


class ChangesTheSpace(Climber):
    def observe(self, outcome):
        super().observe(outcome)
        self.space.name += "-searched"


class ProposesAFew(Climber):
    def propose(self, count):
        found = []
        while len(found) < min(count, self.space.size(), 5):
            found += [one for one in super().propose(1) if one not in found]
        return found if count < 10 else [*found, *found]


class TestForgetsFailures(Quick):
    searcher = ForgetsFailures


class TestForgetsFailedSteps(Quick):
    searcher = ForgetsFailedSteps


class TestOrderedByHash(Quick):
    searcher = OrderedByHash


class TestRemembersHashes(Quick):
    searcher = RemembersHashes


class TestInsightDraws(Quick):
    searcher = InsightDraws


class TestNeedsSteps(Quick):
    searcher = NeedsSteps


class TestChangesTheSpace(Quick):
    searcher = ChangesTheSpace


class TestProposesAFew(Quick):
    searcher = ProposesAFew


class OneList(Climber):
    """Returns the same list each time, with other proposals in it."""

    def __init__(self, space, **kwargs):
        super().__init__(space, **kwargs)
        self._proposals = []

    def propose(self, count):
        self._proposals[:] = super().propose(count)
        return self._proposals


class TestOneList(Quick):
    searcher = OneList


class ForgetsItsWay(Climber):
    def __init__(self, space, **kwargs):
        super().__init__(space, **kwargs)
        self.way = ()

    def observe(self, outcome):
        before = self._best
        super().observe(outcome)
        if self._best != before:
            self.way = (*self.way, self._best[1])

    def schedule(self):
        return self.way


class SchedulesNetworks(Climber):
    def schedule(self):
        first = self.space.sample(seed=0)
        return (first, self.best()) if self._best else ()


class SchedulesBackwards(Climber):
    def schedule(self):
        return (self.best(), self.space.sample(seed=0))


class TestForgetsItsWay(Quick):
    searcher = ForgetsItsWay


class TestSchedulesNetworks(Quick):
    searcher = SchedulesNetworks


class TestSchedulesBackwards(Quick):
    searcher = SchedulesBackwards


class TestKeepsTheWorst(SearcherContract):
    searcher = KeepsTheWorst


class ClimbsLosses(GumbelSearcher):
    def observe(self, outcome):
        turned = {path: -slope for path, slope in outcome.gate_gradients.items()}
        super().observe(dataclasses.replace(outcome, gate_gradients=turned))


class TestClimbsLosses(SearcherContract):
    searcher = ClimbsLosses
    parameters = {"estimator": "gate", "lr": 0.3}
    most_choices = 0
