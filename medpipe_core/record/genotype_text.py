"""A genotype in words: the augmentation policy and the network, as people read them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from medpipe_core.space import Genotype, SearchSpace, Step

_LOW, _HIGH = "left", "right"
NOT_USED = "not used"
"""Stands for the probability of an augmentation that changes nothing."""


@dataclass(frozen=True)
class Table:
    """Rows of texts under headings.

    Attributes:
        title: What stands above it.
        headings: One for each column.
        rows: Their texts.
        choices: Of a genotype, the paths of the choices that the table tells of; those without an
            effect, such as the kernel of a blur that is never used, are in none.
    """

    title: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    choices: tuple[str, ...] = ()


def tables(
    space: SearchSpace, genotype: Genotype, schedule: Sequence[Genotype] = ()
) -> tuple[Table, ...]:
    """Return the genotype as tables, one for each kind of operation, one for values by themselves.

    Augmentations are triplets of operation, magnitude and probability (as in the paper's fig. 5);
    blocks are told layer by layer with their strides. A choice that has no effect is not told. The
    schedule that leads to its policy is the last table, if there is one.
    """
    steps = space.resolve(genotype)
    effective = space.effective(genotype)
    told: set[str] = set()
    found = []
    makers = {"augmentation": _policy, "block": _network}
    for kind in dict.fromkeys(step.kind for step in steps):
        own = [step for step in steps if step.kind == kind]
        choices = {path for step in own for path in step.choices if path in effective} - told
        told |= choices
        found.append(replace(makers.get(kind, _others)(own), choices=tuple(sorted(choices))))
    alone = [path for path in genotype if path in effective - told]
    values = [path for path in alone if space.choices[path].kind == "value"]
    if values:
        rows = tuple((path, number(space.value(genotype, path))) for path in values)
        found.append(Table("Values", ("what", "value"), rows))
    if found:
        last = found.pop()
        found.append(replace(last, choices=(*last.choices, *alone)))
    if schedule:
        found.append(_schedule(space, schedule))
    return tuple(found)


def _schedule(space: SearchSpace, schedule: Sequence[Genotype]) -> Table:
    """Return the policies of a schedule, a row each: when it holds, and what it does."""
    rows = []
    for number, genotype in enumerate(schedule):
        ends = (f"{100 * part / len(schedule):.3g}" for part in (number, number + 1))
        policy = [s for s in space.resolve(genotype) if s.kind == "augmentation" and not s.neutral]
        told = "; ".join(_told(step) for step in policy)
        rows.append((f"{' to '.join(ends)} %", told or "nothing"))
    headings = ("part of the training", "operation, magnitude, probability")
    return Table("Schedule of the augmentation", headings, tuple(rows))


def policy_text(space: SearchSpace, genotype: Genotype, schedule: Sequence[Genotype] = ()) -> str:
    """Return the genotype as text, for `policy.txt`, and the schedule that leads to its policy."""
    head = f"Genotype {genotype.digest} of {genotype.space} ({genotype.space_digest})"
    return "\n\n".join([head, *map(as_text, tables(space, genotype, schedule))]) + "\n"


def as_text(table: Table) -> str:
    """Return a table with its columns lined up."""
    lines = [table.headings, *table.rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    body = ["  ".join(map(str.ljust, line, widths)).rstrip() for line in lines]
    return "\n".join([table.title, *(f"  {line}" for line in body)])


def label(name: str) -> str:
    """Return an operation's name for people: `v_flip` is V-flip, `color_jitter` color jitter."""
    first, _, rest = name.partition("_")
    words = rest.replace("_", " ")
    return f"{first.upper()}-{words}" if len(first) == 1 and rest else name.replace("_", " ")


def number(value: Any) -> str:
    """Return a value as people write it: numbers short and with a true minus sign."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    return f"{value:.4g}".replace("-", "−")


def count(value: int) -> str:
    """Return a large number in thousands, millions or milliards (G)."""
    for unit, name in ((10**9, " G"), (10**6, " M"), (10**3, " k")):
        if value >= unit:
            return f"{value / unit:.3g}{name}"
    return str(value)


def _policy(steps: Sequence[Step]) -> Table:
    rows = [(label(step.name), *_strength(step)) for step in steps]
    return Table("Augmentation", ("operation", "magnitude", "probability"), tuple(rows))


def _told(step: Step) -> str:
    magnitude, probability = _strength(step)
    return " ".join([label(step.name), *([magnitude] if magnitude != "–" else []), probability])


def _strength(step: Step) -> tuple[str, str]:
    if step.neutral:
        return "–", NOT_USED
    others = {name: value for name, value in step.parameters.items() if name != "p"}
    return _settings(others) or "–", number(step.parameters.get("p", 1))


def _network(steps: Sequence[Step]) -> Table:
    layers = [step.place or step.name for step in steps]
    shared = _shared_part(layers)
    rows = [
        (
            layer.removeprefix(shared),
            label(step.name),
            number(step.parameters.get("stride", 1)),
            _settings({k: v for k, v in step.parameters.items() if k != "stride"}) or "–",
        )
        for layer, step in zip(layers, steps, strict=True)
    ]
    return Table("Network", ("layer", "block", "stride", "settings"), tuple(rows))


def _others(steps: Sequence[Step]) -> Table:
    rows = [(step.path, label(step.name), _settings(step.parameters) or "–") for step in steps]
    return Table(label(steps[0].kind).capitalize(), ("where", "what", "settings"), tuple(rows))


def _shared_part(layers: Sequence[str]) -> str:
    """Return the top-level name that all layers are under, with its slash, or an empty text."""
    first = {layer.partition("/")[0] for layer in layers if "/" in layer}
    alike = len(first) == 1 and all("/" in layer for layer in layers)
    return f"{first.pop()}/" if alike else ""


def _settings(parameters: Mapping[str, Any]) -> str:
    return ", ".join(_worded(parameters))


def _worded(parameters: Mapping[str, Any]) -> Iterable[str]:
    for name, value in parameters.items():
        what = name.removesuffix(_LOW).rstrip("_")
        high = name.removesuffix(_LOW) + _HIGH
        if name.endswith(_LOW) and high in parameters:
            low, top = sorted((value, parameters[high]))
            yield f"{label(what)} {number(low)} to {number(top)}".strip()
        elif not (name.endswith(_HIGH) and name.removesuffix(_HIGH) + _LOW in parameters):
            yield f"{label(name)} {number(value)}"
