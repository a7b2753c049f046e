"""A searcher: it proposes changes of the best genotype that it knows."""

import random

from medpipe_core import Decision, Genotype, Searcher, SpaceError


class HillClimb(Searcher):
    """Hill climbing on scores; weights are trained on uniform paths.

    Args:
        changes: Most choices that are changed at a time.
    """

    def __init__(self, space, *, changes=2, **given):
        super().__init__(space, **given)
        self.changes = changes
        self._random = random.Random(self.seed)
        self._best = None

    def decide(self, step):
        return Decision(self.admitted(lambda: self.space.sample(rng=self._random)))

    def observe(self, outcome):
        if outcome.score is not None and (self._best is None or outcome.score > self._best[0]):
            self._best = (outcome.score, outcome.genotype)

    def propose(self, count):
        found = {}
        for _ in range(20 * count):  # a small space may hold fewer than `count`
            genotype = self.admitted(self._neighbour)
            found.setdefault(self.space.canonical(genotype), genotype)
            if len(found) == count:
                break
        return list(found.values())

    def best(self):
        if self._best:
            return self._best[1]
        rng = random.Random(self.seed)  # asking must not move the search's own generator
        return self.admitted(lambda: self.space.sample(rng=rng))

    def state_dict(self):
        version, words, gauss = self._random.getstate()
        best = self._best and [self._best[0], self._best[1].to_dict()]
        return {"random": [version, list(words), gauss], "best": best}

    def load_state_dict(self, state):
        version, words, gauss = state["random"]
        self._random.setstate((version, tuple(words), gauss))
        best = state["best"]
        self._best = best and (best[0], Genotype.from_dict(best[1]))

    def _neighbour(self):
        if self._best is None:
            return self.space.sample(rng=self._random)
        genotype = self._best[1]
        able = sum(len(self.space.choices[path].keys) > 1 for path in genotype)
        count = self._random.randint(1, max(1, min(self.changes, able)))
        try:
            return self.space.mutate(genotype, rng=self._random, count=count)
        except SpaceError:  # too few choices that make a difference
            return self.space.sample(rng=self._random)
