"""Curves as inline SVG, and where their points come from in a journal."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from medpipe_core.report.html import COLOURS, escape

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_WIDTH, _HEIGHT = 640, 260
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 12, 24, 34
_COUNTED = ("epoch", "step")  # of which there are no halves
_DASHES = ("", ' stroke-dasharray="6 3"', ' stroke-dasharray="2 3"')
_MOST_POINTS = 400
# What an event says of where it is, not of how good something is.
_NO_FIGURES = frozenset({"epoch", "step", "steps", "seconds", "lr", "member", "members"})
_TURN = 7  # how far a curve has its turn where others lie on it
# Numbers that are drawn lie below the one, and differ by more than the other or not at all.
_MOST, _LEAST = 1e100, 1e-100


@dataclass(frozen=True)
class Curve:
    """Points under one name, x increasing.

    Attributes:
        name: What the legend says.
        points: (x, y).
        band: (x, lowest y, highest y), drawn as an area behind the line.
    """

    name: str
    points: tuple[tuple[float, float], ...]
    band: tuple[tuple[float, float, float], ...] = ()


def stage_curves(
    events: Iterable[Mapping[str, Any]], stage: str, *, along: str
) -> dict[str, tuple[Curve, ...]]:
    """Collect a stage's numbers along `epoch` or `step`, losses and shares apart.

    Every number that an event of the stage carries beside its position makes a point; several at
    one position are averaged.

    Returns:
        `"loss"` and `"share"` (figures in [0, 1]) → curves; those without points are left out.
    """
    found: dict[str, dict[float, list[float]]] = {}
    for event in events:
        if event.get("stage") != stage or not _is_number(event.get(along)):
            continue
        for name, value in _numbers(event):
            found.setdefault(name, {}).setdefault(float(event[along]), []).append(value)
    curves = [
        Curve(name, _thinned(sorted((x, sum(ys) / len(ys)) for x, ys in at.items())))
        for name, at in found.items()
    ]
    losses = tuple(c for c in curves if "loss" in c.name)
    shares = tuple(c for c in curves if c not in losses and all(0 <= y <= 1 for _, y in c.points))
    return {kind: group for kind, group in (("loss", losses), ("share", shares)) if group}


def staircase(curve: Curve) -> Curve:
    """Return a curve whose values hold from each point to the next."""
    points = zip(curve.points, curve.points[1:], strict=False)
    band = zip(curve.band, curve.band[1:], strict=False)
    return Curve(
        curve.name,
        (*(p for one, (x, _) in points for p in (one, (x, one[1]))), *curve.points[-1:]),
        (*(p for one, (x, *_) in band for p in (one, (x, *one[1:]))), *curve.band[-1:]),
    )


def svg(curves: Sequence[Curve], *, along: str, title: str, up: str = "") -> str:
    """Draw curves with axes and a legend; the text is safe to put into HTML.

    Args:
        curves: What to draw; seven and more are told apart by dashes. Where they lie on each
            other, their colours take turns.
        along: What the horizontal axis is, with its unit.
        title: What is drawn, for who cannot see it.
        up: What the vertical axis is, with its unit.
    """
    xs = [x for curve in curves for x, _ in curve.points]
    ys = [y for curve in curves for _, y in curve.points]
    ys += [y for curve in curves for _, *ends in curve.band for y in ends]
    if not xs:
        return ""
    least = 1.0 if along in _COUNTED else 0.0
    x_axis, y_axis = _Axis(min(xs), max(xs), least), _Axis(min(ys), max(ys))
    parts = [
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(title)}">',
        *_grid(x_axis, y_axis, along, up),
        *(_area(c, _colour(i), x_axis, y_axis) for i, c in enumerate(curves) if c.band),
        *(_line(c, _colour(i), _dashes(i), x_axis, y_axis) for i, c in enumerate(curves)),
        "<g>",
        *_over(curves, x_axis, y_axis),
        "</g>",
        "</svg>",
        _legend(curves),
    ]
    return "\n".join(parts)


class _Axis:
    """Where values lie between 0 and 1, and which round values get a line, `least` apart."""

    def __init__(self, low: float, high: float, least: float = 0.0) -> None:
        spread, size = high - low, max(abs(low), abs(high))
        if spread < max(_LEAST, 1e-6 * size):  # steps so small would be lost beside the values
            spread = size if size > _LEAST else 1.0
        step = 10.0 ** math.floor(math.log10(spread / 4))
        step = max(step * next(n for n in (1, 2, 5, 10) if spread / (step * n) <= 5), least)
        self.low = math.floor(low / step) * step
        self.high = max(math.ceil(high / step) * step, self.low + step)
        count = round((self.high - self.low) / step)
        self.ticks = [self.low + step * i for i in range(count + 1)]

    def share(self, value: float) -> float:
        return (value - self.low) / (self.high - self.low)


def _colour(number: int) -> str:
    """Return the class that gives a curve its colour, which differs in the dark."""
    return f"c{number % COLOURS}"


def _dashes(number: int) -> str:
    return _DASHES[number // COLOURS % len(_DASHES)]


def _grid(x_axis: _Axis, y_axis: _Axis, along: str, up: str) -> Iterable[str]:
    for tick in y_axis.ticks:
        y = _y(y_axis, tick)
        yield (
            f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y}" y2="{y}" class="grid"/>'
            f'<text x="{_LEFT - 6}" y="{y + 4}" text-anchor="end">{tick:.3g}</text>'
        )
    for tick in x_axis.ticks:
        yield (
            f'<text x="{_x(x_axis, tick)}" y="{_HEIGHT - _BOTTOM + 16}" '
            f'text-anchor="middle">{tick:.6g}</text>'
        )
    yield (
        f'<text x="{_WIDTH - _RIGHT}" y="{_HEIGHT - 4}" text-anchor="end">{escape(along)}</text>'
    )
    if up:
        yield f'<text x="4" y="{_TOP - 10}">{escape(up)}</text>'


def _area(curve: Curve, colour: str, x_axis: _Axis, y_axis: _Axis) -> str:
    there = [(_x(x_axis, x), _y(y_axis, low)) for x, low, _ in curve.band]
    back = [(_x(x_axis, x), _y(y_axis, high)) for x, _, high in reversed(curve.band)]
    text = " ".join(f"{x},{y}" for x, y in there + back)
    return f'<polygon points="{text}" class="{colour}" fill="currentColor" fill-opacity="0.15"/>'


def _line(curve: Curve, colour: str, dashes: str, x_axis: _Axis, y_axis: _Axis) -> str:
    places = _places(curve, x_axis, y_axis)
    if len(places) == 1:
        centre = f'cx="{places[0][0]}" cy="{places[0][1]}"'
        return f'<circle {centre} r="3" class="{colour}" fill="currentColor"/>'
    return _polyline(places, colour, dashes)


def _over(curves: Sequence[Curve], x_axis: _Axis, y_axis: _Axis) -> Iterable[str]:
    """Draw every curve once more in turns, so that none of those on top of each other is hidden."""
    if len(curves) < 2:
        return
    for number, curve in enumerate(curves):
        places, colour = _places(curve, x_axis, y_axis), _colour(number)
        if len(places) == 1:
            radius = 3 + 1.5 * (number + 1)
            centre = f'cx="{places[0][0]}" cy="{places[0][1]}"'
            ring = f'class="{colour}" stroke="currentColor"'
            yield f'<circle {centre} r="{radius}" fill="none" {ring}/>'
            continue
        turn = f'stroke-dasharray="{_TURN} {_TURN * (len(curves) - 1)}"'
        yield _polyline(places, colour, f' {turn} stroke-dashoffset="{-_TURN * number}"')


def _places(curve: Curve, x_axis: _Axis, y_axis: _Axis) -> list[tuple[float, float]]:
    return [(_x(x_axis, x), _y(y_axis, y)) for x, y in curve.points]


def _polyline(places: Sequence[tuple[float, float]], colour: str, dashes: str) -> str:
    text = " ".join(f"{x},{y}" for x, y in places)
    style = f'class="{colour}" stroke="currentColor" stroke-width="1.6"{dashes}'
    return f'<polyline points="{text}" fill="none" {style}/>'


def _legend(curves: Sequence[Curve]) -> str:
    names = (
        f'<span><svg viewBox="0 0 24 8"><line x1="0" x2="24" y1="4" y2="4" '
        f'class="{_colour(i)}" stroke="currentColor" stroke-width="3"{_dashes(i)}/></svg>'
        f"{escape(curve.name.replace('_', ' '))}</span>"
        for i, curve in enumerate(curves)
    )
    return f'<p class="legend">{"".join(names)}</p>'


def _x(axis: _Axis, value: float) -> float:
    return round(_LEFT + axis.share(value) * (_WIDTH - _LEFT - _RIGHT), 1)


def _y(axis: _Axis, value: float) -> float:
    return round(_HEIGHT - _BOTTOM - axis.share(value) * (_HEIGHT - _TOP - _BOTTOM), 1)


def _numbers(event: Mapping[str, Any]) -> Iterable[tuple[str, float]]:
    figures = event.get("figures")
    inner = figures if isinstance(figures, dict) else {}
    for name, value in {**event, **inner}.items():
        if name not in _NO_FIGURES and _is_number(value):
            yield str(name), float(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _MOST


def _thinned(points: list[tuple[float, float]]) -> tuple[tuple[float, float], ...]:
    """Average neighbours where there are more points than a drawing can show."""
    size = math.ceil(len(points) / _MOST_POINTS)
    groups = (points[i : i + size] for i in range(0, len(points), size))
    return tuple(
        (sum(x for x, _ in group) / len(group), sum(y for _, y in group) / len(group))
        for group in groups
    )
