"""Another process with other hashes of texts gives the same digests and the same draws."""

from __future__ import annotations

import json

DRAWS = """
import json
import random
from medpipe_core.space import *

conv = Operation("block", "conv", {"k": Ref("k"), "s": ValueChoice(1, 2)}, neutral={"s": 2})
none, twice = Operation("block", "none"), Repeat(conv, (1, 2))
layer = OperationChoice({"conv": conv, "none": none, "twice": twice})
space = SearchSpace(
    "s",
    Shared({"k": ValueChoice(3, 5)}, Group({f"l{i}": layer for i in range(5)})),
    constraints=[Limit({"*": ["none"]}, at_most=1), forbid({"l0": ["conv"], "l1": ["conv"]})],
)
rng = random.Random(7)
one, other = space.sample(rng=rng), space.sample(rng=rng)
narrow = space.restrict({"l?": ["conv", "twice"], "k": [5]})
found = [
    space.digest, one.to_json(), other.to_json(), str(space.size()), str(space.distinct_size()),
    space.mutate(one, rng=rng, count=2).to_json(), space.canonical(one).to_json(),
    space.crossover(one, other, rng=rng).to_json(), narrow.digest, narrow.to_json(),
    narrow.sample(rng=rng).to_json(),
    space.describe(), sorted(space.effective(one)), [repr(step) for step in space.resolve(one)],
]
print(json.dumps(found))
"""


def test_a_restart_with_other_hashes_changes_nothing(forked):
    found = []
    for seed in (0, 1, 77):
        done = forked(DRAWS, imported=(), hash_seed=seed)
        assert done.code == 0, done.problems
        found.append(json.loads(done.output))
    assert found[0] == found[1] == found[2]
