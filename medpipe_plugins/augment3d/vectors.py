"""Trilinear interpolation along one line, written for the vector registers of a CPU.

A compiler that is handed the loop over the columns takes one voxel at a time, because what is
stored might lie where the next voxel reads. Here `LANES` columns are one step, in two passes:
`place` says where each is read, which is arithmetic alone; `blend` reads, two neighbours along the
width at once, and interpolates. This is code for LLVM, which comes with numba, and becomes part of
the loops that call it.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, NamedTuple

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

LANES = 8
"""Columns in one step."""

SHARES = 5
"""Floats that `place` leaves for each column: u, and v and t twice each."""

_FLOAT, _INT, _INDEX = ir.FloatType(), ir.IntType(32), ir.IntType(64)


class Vectors(NamedTuple):
    """Functions for compiled code. Arrays are flat and contiguous; indices are int64.

    - `place(cells, shares, column, last, start, step, row, plane)`: writes of columns
      [column, column + LANES) of a line in which cell of the source each lies, int32, and how far
      along it. `start` and `step` are three float32 each, (x, y, z); the column is held at `last`,
      a float32, so that nothing beyond it is read. Rows and planes are so many values apart.
    - `blend(source, line, cells, shares, column, row, plane)`: interpolates between the eight
      neighbours of what `place` has placed, and writes it to the same columns of `line`.
    - `blend_row` and `blend_plane`: the same where the cells' planes, or their rows, are met
      exactly, so that four neighbours are left.
    """

    place: Callable[..., None]
    blend: Callable[..., None]
    blend_row: Callable[..., None]
    blend_plane: Callable[..., None]


@functools.cache
def vectors() -> Vectors:
    """Return the functions."""
    return Vectors(_place(), _blend(("row", "plane")), _blend(("row",)), _blend(("plane",)))


class _Code:
    """Writes instructions on vectors."""

    def __init__(self, context: Any, builder: Any, signature: Any, values: Sequence[Any]) -> None:
        self._builder = builder
        self._arrays = [
            context.make_array(kind)(context, builder, value).data
            if isinstance(kind, types.Array)
            else None
            for kind, value in zip(signature.args, values, strict=True)
        ]

    def at(self, argument: int, *offsets: Any) -> Any:
        """Return an address in an array argument."""
        pointer = self._arrays[argument]
        for offset in offsets:
            step = ir.Constant(_INDEX, offset) if isinstance(offset, int) else offset
            pointer = self._builder.gep(pointer, [step])
        return pointer

    def load(self, pointer: Any, count: int) -> Any:
        vector = ir.VectorType(_FLOAT, count).as_pointer()
        return self._builder.load(self._builder.bitcast(pointer, vector), align=4)

    def store(self, vector: Any, pointer: Any) -> None:
        self._builder.store(
            vector, self._builder.bitcast(pointer, vector.type.as_pointer()), align=4
        )

    def pick(self, one: Any, other: Any, lanes: Sequence[int]) -> Any:
        """Return lanes of two vectors, numbered on."""
        mask = ir.Constant(ir.VectorType(_INT, len(lanes)), list(lanes))
        return self._builder.shuffle_vector(one, other, mask)

    def splat(self, value: Any) -> Any:
        """Return a vector of one value."""
        empty = ir.Constant(ir.VectorType(value.type, LANES), ir.Undefined)
        one = self._builder.insert_element(empty, value, ir.Constant(_INT, 0))
        return self.pick(one, empty, [0] * LANES)

    def multiply_add(self, one: Any, other: Any, more: Any) -> Any:
        # `contract` lets the product go into the sum unrounded, as the loops around this one do.
        product = self._builder.fmul(one, other, flags=("contract",))
        return self._builder.fadd(more, product, flags=("contract",))

    def between(self, one: Any, other: Any, share: Any) -> Any:
        """Return one + share · (other − one)."""
        difference = self._builder.fsub(other, one, flags=("contract",))
        return self.multiply_add(share, difference, one)


def _place() -> Callable[..., None]:
    def place(
        _typing: Any, cells: Any, shares: Any, column: Any, last: Any, start: Any, step: Any,
        row: Any, plane: Any,
    ) -> Any:  # fmt: skip
        def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            code = _Code(context, builder, signature, values)
            column, last, start, step, row, plane = values[2:]
            floats = ir.VectorType(_FLOAT, LANES)
            numbers = ir.Constant(floats, [float(n) for n in range(LANES)])
            columns = builder.fadd(code.splat(builder.sitofp(column, _FLOAT)), numbers)
            last = code.splat(last)
            inside = builder.fcmp_ordered("<", columns, last)
            columns = builder.select(inside, columns, last)
            whole, rest = [], []
            for axis in range(3):
                first, by = (code.splat(builder.extract_value(t, axis)) for t in (start, step))
                where = code.multiply_add(by, columns, first)
                whole.append(builder.fptosi(where, ir.VectorType(_INT, LANES)))
                rest.append(builder.fsub(where, builder.sitofp(whole[-1], floats)))
            row, plane = (code.splat(builder.trunc(stride, _INT)) for stride in (row, plane))
            cell = builder.add(builder.mul(whole[2], plane), builder.mul(whole[1], row))
            code.store(builder.add(cell, whole[0]), code.at(0, column))
            to = builder.mul(column, ir.Constant(_INDEX, SHARES))
            twice = [n // 2 for n in range(2 * LANES)]
            code.store(rest[0], code.at(1, to))
            code.store(code.pick(rest[1], rest[1], twice), code.at(1, to, LANES))
            code.store(code.pick(rest[2], rest[2], twice), code.at(1, to, 3 * LANES))
            return context.get_dummy_value()

        return types.void(cells, shares, column, last, start, step, row, plane), generate

    made: Callable[..., None] = intrinsic(place)
    return made


def _blend(across: Sequence[str]) -> Callable[..., None]:
    """Return the function that blends along the width, and across rows, planes or both."""

    def blend(
        _typing: Any, source: Any, line: Any, cells: Any, shares: Any, column: Any, row: Any,
        plane: Any,
    ) -> Any:  # fmt: skip
        def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            code = _Code(context, builder, signature, values)
            column, row, plane = values[4:]
            strides = {"row": row, "plane": plane}
            frm = builder.mul(column, ir.Constant(_INDEX, SHARES))
            corners = [code.at(0)]
            for name in across:
                corners += [builder.gep(corner, [strides[name]]) for corner in corners]
            pairs = [  # two columns, (left, right, left, right)
                _pair(code, builder, corners, (frm, column, pair), across)
                for pair in range(LANES // 2)
            ]
            for half in range(LANES // 4):
                two = pairs[2 * half], pairs[2 * half + 1]
                left, right = (code.pick(*two, range(n, 8, 2)) for n in (0, 1))
                share = code.load(code.at(3, frm, 4 * half), 4)
                code.store(code.between(left, right, share), code.at(1, column, 4 * half))
            return context.get_dummy_value()

        return types.void(source, line, cells, shares, column, row, plane), generate

    made: Callable[..., None] = intrinsic(blend)
    return made


def _pair(
    code: _Code, builder: Any, corners: Sequence[Any], where: tuple[Any, Any, int],
    across: Sequence[str],
) -> Any:  # fmt: skip
    """Blend two columns across rows and planes; their left and right neighbours are left."""
    frm, column, pair = where
    cells = [
        builder.sext(builder.load(code.at(2, column, 2 * pair + n), align=4), _INDEX)
        for n in range(2)
    ]
    found = []
    for corner in corners:
        one, other = (code.load(builder.gep(corner, [cell]), 2) for cell in cells)
        found.append(code.pick(one, other, range(4)))
    begin = {"row": LANES, "plane": 3 * LANES}
    for name in across:
        share = code.load(code.at(3, frm, begin[name] + 4 * pair), 4)
        found = [code.between(found[n], found[n + 1], share) for n in range(0, len(found), 2)]
    return found[0]
