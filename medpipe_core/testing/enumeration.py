"""Counting the members of a space without asking it how many there are."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from medpipe_core.space import Choice, Genotype, SearchSpace


def every_member(space: SearchSpace) -> Iterator[Genotype]:
    """Iterate over all members by deciding each choice in turn, without counting any."""
    script: list[int] = []
    while True:
        widths: list[int] = []

        def pick(choice: Choice) -> str:
            position = len(widths)  # noqa: B023
            if position == len(script):
                script.append(0)
            widths.append(len(choice.keys))  # noqa: B023
            return str(choice.keys[script[position]])

        member = space.decide(pick)
        if space.admits(member):
            yield member
        while script and script[-1] + 1 == widths[len(script) - 1]:
            script.pop()
        if not script:
            return
        script[-1] += 1
