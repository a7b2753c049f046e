"""What every searcher promises, on small spaces that come with the kit."""

from __future__ import annotations

from dataclasses import replace

import pytest

from medpipe_core.errors import MedpipeError
from medpipe_core.search import NEEDS, Outcome
from medpipe_core.search.checked_searcher import CheckedSearcher, SearcherError
from medpipe_core.space import SearchSpace
from medpipe_core.testing.checking import alike, in_words, require
from medpipe_core.testing.searcher_ranking import RankingContract
from medpipe_core.testing.searcher_runs import ADMITTED, EPOCH, PROPOSED, as_saved
from medpipe_core.testing.toys import ToySpace, outcome_of, score_of
from medpipe_core.testing.watching import global_seeds, global_state_kept

_FEW, _MANY = 500, 10_000
_TRIES = 3
_MANY_PROPOSALS = 20  # more than some of the spaces have
_SLACK = 6  # times what a linear searcher takes; a quadratic one takes twenty


class SearcherContract(RankingContract):
    """What every searcher promises; inherit it, and say which searcher is meant.

    Attributes:
        searcher: The class or function, called as `searcher(space, seed=…, steps=…, admit=…,
            **parameters)`, or an import string.
        parameters: Keyword arguments of its own.
        spaces: The spaces it is tried on; by default `toy_spaces()`.
        steps: Steps of a search.
        random: Whether its decisions depend on the seed.
        most_choices: A space of so many choices must be decided in a time that grows as the number
            of choices does; 0 leaves this out.

    Example:
        >>> class TestRandom(SearcherContract):
        ...     searcher = "medpipe_core.search:RandomSearcher"
        >>> TestRandom().test_decisions_are_members_that_keep_the_budget()
    """

    random: bool = True
    most_choices: int = _MANY

    def test_decisions_are_members_that_keep_the_budget(self) -> None:
        """`decide` returns a `Decision` for an admitted member, with gates of value 1."""
        for toy in self.spaces:
            searcher = self.make(toy)
            for step in range(self.steps):
                decision = self.decide(searcher, step)
                self.member(toy, decision.genotype, f"decide({step})")
                for path, gate in decision.gates.items():
                    require(
                        path in decision.genotype.choices,
                        f"{self.name} decides a gate for {path!r}, which is not active in its "
                        f"genotype {dict(decision.genotype.choices)}",
                    )
                    require(
                        gate.ndim == 0 and float(gate.detach()) == 1.0,
                        f"{self.name} gives {path!r} the gate {gate}; a gate is a scalar tensor of "
                        "value exactly 1, as in 1 + (soft - soft.detach())",
                    )
                searcher.observe(outcome_of(decision, step, searcher.needs))

    def test_proposals_are_distinct_members_that_keep_the_budget(self) -> None:
        """`propose(count)` names at most `count` genotypes, none of them twice."""
        for toy in self.spaces:
            searcher, kept = self.make(toy), []
            for step in range(self.steps):
                self.step(searcher, step)
                if step % EPOCH:
                    continue
                proposed = searcher.propose(PROPOSED)
                kept.append((proposed, list(proposed)))
                require(
                    len(proposed) <= PROPOSED,
                    f"{self.name}.propose({PROPOSED}) names {len(proposed)} genotypes",
                )
                require(
                    len(set(proposed)) == len(proposed),
                    f"{self.name}.propose({PROPOSED}) names a genotype twice on space "
                    f"{toy.space.name!r}; scoring it again finds nothing. Keep a set "
                    "of what is already in the list (a Genotype can be hashed)",
                )
                for genotype in proposed:
                    self.member(toy, genotype, "propose")
                    searcher.observe(Outcome(genotype, step, score=score_of(genotype)))
            require(
                all(before == after for before, after in kept),
                f"{self.name} changes the list that propose returned; the run may still read it. "
                "Return a new list each time",
            )

    def test_the_best_is_a_member_that_keeps_the_budget(self) -> None:
        """`best` answers before anything was observed, and after."""
        for toy in self.spaces:
            searcher = self.make(toy)
            self.member(toy, self.best(searcher), "best (before any observation)")
            self.drive(searcher, range(self.steps))
            self.member(toy, self.best(searcher), "best")

    def test_a_schedule_leads_to_the_best(self) -> None:
        """`schedule` names nothing, or members of one network of which the last is the best."""
        for toy in self.spaces:
            searcher = self.make(toy)
            asked = CheckedSearcher(searcher, toy.space, admit=toy.admits, who=self.name)
            self.drive(searcher, range(self.steps))
            try:
                asked.schedule()
            except SearcherError as error:
                require(False, str(error))

    def test_asking_changes_nothing(self) -> None:
        """A searcher that is asked for its best and its insight goes on as one that is not."""
        for toy in self.spaces:
            asked, alone = self.make(toy), self.make(toy)
            said = []
            for step in range(self.steps):
                self.best(asked)
                asked.insight()
                asked.schedule()
                said.append([self.drive(searcher, [step]) for searcher in (asked, alone)])
            require(
                all(one == other for one, other in said),
                f"{self.name} goes on differently for having been asked for its best or its "
                f"insight on space {toy.space.name!r}. Draw there from a new generator, as in "
                "random.Random(self.seed)",
            )

    def test_a_budget_that_nothing_keeps_is_an_error(self) -> None:
        """Where no genotype is admitted, deciding raises a `MedpipeError` and does not go on."""
        searcher = self.make(ToySpace(self.spaces[0].space, lambda _: False))
        try:
            decision = searcher.decide(0)
        except MedpipeError:
            return
        require(
            False,
            f"{self.name} decides for {dict(decision.genotype.choices)}, though no genotype keeps "
            f"the budget. {ADMITTED}",
        )

    def test_the_seed_decides(self) -> None:
        """The same seed searches the same, another seed otherwise."""
        toy = self.spaces[0]
        found = [self.drive(self.make(toy, seed=seed), range(self.steps)) for seed in (0, 0, 1)]
        require(
            found[0] == found[1],
            f"{self.name} searches differently under the same seed. Draw from generators seeded by "
            "self.seed, and let no order depend on a set",
        )
        require(
            found[0] != found[2] or not self.random,
            f"{self.name} searches the same under another seed. Draw from generators seeded by "
            "self.seed; if nothing is drawn, set random = False in the test",
        )

    def test_global_random_state_is_neither_used_nor_changed(self) -> None:
        """Global seeds do not matter, and the global generators stay where they were."""
        remedy = "Draw from a generator of its own, seeded by self.seed"
        found = []
        for seed in (1, 2):
            with global_seeds(seed), global_state_kept(self.name, remedy):
                found.append(self.drive(self.make(self.spaces[1]), range(self.steps)))
        require(found[0] == found[1], f"{self.name} follows the global random seed. {remedy}")

    def test_its_state_is_plain(self) -> None:
        """`state_dict` holds what JSON and safetensors can hold, at every time."""
        for toy in self.spaces:
            searcher = self.make(toy)
            as_saved(searcher.state_dict(), f"{self.name}.state_dict()")
            self.drive(searcher, range(self.steps))
            as_saved(searcher.state_dict(), f"{self.name}.state_dict()")

    def test_steps_that_fail_do_no_harm(self) -> None:
        """A step or a candidate that is never observed is passed over."""
        for toy in self.spaces:
            searcher = self.make(toy)
            for step in range(self.steps):
                decision = self.decide(searcher, step)
                self.member(toy, decision.genotype, "decide (after steps that failed)")
                if step % 3 == 0:
                    outcome = outcome_of(decision, step, searcher.needs)
                    with in_words(f"{self.name} cannot observe a step after some that failed."):
                        searcher.observe(outcome)
                if step % EPOCH == 0:
                    searcher.propose(PROPOSED)  # none of which could be scored
                    as_saved(searcher.state_dict(), f"{self.name}.state_dict()")
            self.member(toy, self.best(searcher), "best (after steps that failed)")

    def test_what_it_needs_is_known(self) -> None:
        """`needs` names what the loop can tell."""
        searcher, known = self.make(self.spaces[0]), NEEDS
        require(
            isinstance(searcher.needs, frozenset) and searcher.needs <= known,
            f"{self.name}.needs is {searcher.needs!r}; it is a frozenset of names out of "
            f"{', '.join(sorted(known))}",
        )

    def test_fixed_networks_are_named(self) -> None:
        """A decision runs the path's network, or a fixed one that is in `networks`."""
        for toy in self.spaces:
            searcher = self.make(toy)
            for step in range(self.steps):
                decision = self.decide(searcher, step)
                require(
                    decision.network is None or decision.network in searcher.networks,
                    f"{self.name} decides for the fixed network {decision.network!r}, which nobody "
                    "builds. Name it and its parameters in the constructor: self.networks = "
                    f"{{{decision.network!r}: {{}}}}",
                )
                searcher.observe(outcome_of(decision, step, searcher.needs))

    def test_its_insight_is_plain_and_finite(self) -> None:
        """`insight` is a dictionary that the journal can hold, without NaN or None."""
        for toy in self.spaces:
            searcher = self.make(toy)
            for steps in (range(0), range(self.steps)):
                self.drive(searcher, steps)
                insight = searcher.insight()
                as_saved(insight, f"{self.name}.insight()")
                empty = [name for name, value in insight.items() if value is None]
                require(
                    not empty,
                    f"{self.name}.insight() has None for {', '.join(empty)}; leave out what is not "
                    "known yet",
                )

    def test_outcomes_are_not_changed(self) -> None:
        """What it observes is as it was."""
        for toy in self.spaces:
            searcher = self.make(toy)
            for step in range(self.steps):
                decision = self.decide(searcher, step)
                outcome, before = (outcome_of(decision, step, searcher.needs) for _ in range(2))
                searcher.observe(outcome)
                require(
                    outcome == before,
                    f"{self.name}.observe changes the outcome it is given; work on a copy, as in "
                    "dict(outcome.gate_gradients)",
                )

    def test_what_it_observed_may_change_afterwards(self) -> None:
        """It keeps copies of what an outcome tells: the dictionaries are the loop's own."""
        for toy in self.spaces:
            told, cleared = self.make(toy), self.make(toy)
            for step in range(self.steps):
                for searcher in (told, cleared):
                    decision = self.decide(searcher, step)
                    outcome = outcome_of(decision, step, searcher.needs)
                    gates, measured = dict(outcome.gate_gradients), {"seen": 1.0}
                    measured |= outcome.measured
                    searcher.observe(replace(outcome, gate_gradients=gates, measured=measured))
                    if searcher is cleared:
                        gates.clear()
                        measured.clear()
            found = [
                as_saved(searcher.state_dict(), f"{self.name}.state_dict()")
                for searcher in (told, cleared)
            ]
            require(
                alike(*found),
                f"{self.name} goes on otherwise where the dictionaries of an outcome are emptied "
                "after it was observed: it has kept them. Keep a copy, as in "
                "dict(outcome.measured)",
            )

    def test_the_space_is_not_changed(self) -> None:
        """The space is as it was after a search."""
        for toy in self.spaces:
            space = SearchSpace.from_json(toy.space.to_json())
            before = space.to_json(), list(space.choices), space.sample(seed=5)
            self.drive(self.make(ToySpace(space, toy.admit)), range(self.steps))
            after = space.to_json(), list(space.choices), space.sample(seed=5)
            require(
                before == after,
                f"{self.name} changes the space {toy.space.name!r} that it searches; others use "
                "it, too. Keep what it learns in attributes of its own",
            )

    def test_any_number_of_proposals_can_be_asked_for(self) -> None:
        """`propose` names some where one is asked for, and where there are not as many."""
        for toy in self.spaces:
            for count in (1, _MANY_PROPOSALS):
                searcher = self.make(toy)
                self.drive(searcher, range(EPOCH))
                with in_words(f"{self.name}.propose({count}) fails on space {toy.space.name!r}."):
                    proposed = searcher.propose(count)
                require(
                    len(set(proposed)) == len(proposed) <= count,
                    f"{self.name}.propose({count}) names {len(proposed)} genotypes, "
                    f"{len(set(proposed))} of them different, on space {toy.space.name!r}",
                )

    def test_it_searches_without_steps(self) -> None:
        """A searcher that needs nothing of steps searches by proposals alone, with `steps=0`."""
        if self.make(self.spaces[0]).needs:
            pytest.skip("it needs steps")
        for toy in self.spaces:
            searcher = self.make(toy, steps=0)
            for epoch in range(5):
                with in_words(f"{self.name} fails without steps on space {toy.space.name!r}."):
                    proposed = searcher.propose(PROPOSED)
                for genotype in proposed:
                    self.member(toy, genotype, "propose (without steps)")
                    searcher.observe(Outcome(genotype, epoch, score=score_of(genotype)))
                self.member(toy, self.best(searcher), "best (without steps)")
                searcher.insight()
                as_saved(searcher.state_dict(), f"{self.name}.state_dict()")

    def test_large_spaces_take_time_in_proportion(self) -> None:
        """Twenty times the choices take about twenty times as long to decide and observe."""
        if self.most_choices < 2 * _FEW:
            pytest.skip(f"most_choices = {self.most_choices}")
        for _ in range(_TRIES):
            few, many = (self.seconds(n) for n in (_FEW, self.most_choices))
            fits = many < _SLACK * few * self.most_choices / _FEW + 0.2
            if fits:
                break
        require(
            fits,
            f"{self.name} takes {many:.2g} s of the processor for a step on a space of "
            f"{self.most_choices} choices, but {few:.2g} s on one of {_FEW}: the "
            "time grows faster than the space. Look for a loop over all choices inside another",
        )
