"""The loops around the innermost sums of a depthwise 3D convolution, for numba to compile.

Of x, the larger side of the convolution, as many padded planes are laid out as the kernel is deep,
in a ring; of y, one plane. They stay in the cache, tensors are read and written once, and may lie
channels first or channels last.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import numpy as np

from medpipe_plugins.blocks3d.depthwise_kernels import LANES
from medpipe_plugins.compiled_cache import kept

if TYPE_CHECKING:
    from collections.abc import Callable


@functools.cache
def sweep() -> Callable[..., None]:
    """Return the compiled loop over volumes, blocks of channels and planes.

    It is called with the address of a `PlaneKernel`, whether it reads x and y, and then

    - x, y and k, the weight `(block, kernel³, lane)`, and ring, plane and part, where planes of x,
      of y and of k are laid out; all flat, the ring zero;
    - strides of x and of y, `(volume, plane, row, column, channel)`;
    - sizes of x and of y, `(depth, height, width)`, and the number of channels;
    - kernel, stride and tile;
    - bounds: the first volume and the one after the last, and the same of blocks.

    What is not read is written; k where both are read. It takes a second or so at its first call
    ever.
    """
    from numba import njit

    compile_: Any = njit(nogil=True, error_model="numpy")
    copy, clear = compile_(_copier(_vector_copy())), compile_(_clear)
    add, call = compile_(_add), _caller()

    def loop(
        address: int, reads_x: bool, reads_y: bool, x: Any, y: Any, k: Any, ring: Any, plane: Any,
        part: Any, x_strides: Any, y_strides: Any, x_size: Any, y_size: Any, channels: int,
        kernel: int, stride: int, tile: int, bounds: Any,
    ) -> None:  # fmt: skip
        pad, tap = kernel // 2, len(part)
        area, y_row = len(ring) // kernel, len(plane) // y_size[1]
        row = area // (x_size[1] + 2 * pad)
        inside = pad * row + pad * LANES
        in_ring, in_plane = (0, 0, row, LANES, 1), (0, 0, y_row, LANES, 1)
        tiles = y_row // (tile * LANES)
        for item in range((bounds[1] - bounds[0]) * (bounds[3] - bounds[2])):
            n = bounds[0] + item // (bounds[3] - bounds[2])
            block = bounds[2] + item % (bounds[3] - bounds[2])
            count = min(LANES, channels - block * LANES)
            x_at = n * x_strides[0] + block * LANES * x_strides[4]
            y_at = n * y_strides[0] + block * LANES * y_strides[4]
            come = gone = 0  # planes of x that entered and left the ring
            for d in range(y_size[0]):
                first = d * stride - pad
                last = min(first + kernel, x_size[0])
                while come < last:
                    slot = come % kernel * area
                    if reads_x:
                        at = x_at + come * x_strides[1]
                        copy(x, at, x_strides, ring, slot + inside, in_ring, x_size, count)
                    else:
                        clear(ring, slot, area)
                    come += 1
                if reads_y:
                    at = y_at + d * y_strides[1]
                    copy(y, at, y_strides, plane, 0, in_plane, y_size, count)
                else:
                    clear(plane, 0, len(plane))
                for z in range(max(first, 0), last):
                    slot = z % kernel * area
                    weights = (block * kernel + z - first) * tap
                    if reads_x and reads_y:
                        clear(part, 0, tap)
                        call(address, ring, slot, row, part, 0, plane, y_size[1], tiles)
                        add(part, k, weights)
                    else:
                        call(address, ring, slot, row, k, weights, plane, y_size[1], tiles)
                if not reads_y:
                    at = y_at + d * y_strides[1]
                    copy(plane, 0, in_plane, y, at, y_strides, y_size, count)
                if not reads_x:
                    until = x_size[0] if d == y_size[0] - 1 else first + stride
                    while gone < until:
                        slot, at = gone % kernel * area, x_at + gone * x_strides[1]
                        copy(ring, slot + inside, in_ring, x, at, x_strides, x_size, count)
                        gone += 1

    compiled: Callable[..., None] = kept(compile_(loop))
    return compiled


def _clear(array: Any, at: int, count: int) -> None:
    for m in range(at, at + count):
        array[np.uint64(m)] = 0  # a signed index would be checked for being negative


def _add(frm: Any, to: Any, at: int) -> None:
    for m in range(len(frm)):
        to[np.uint64(at) + np.uint64(m)] += frm[m]


def _copier(vector_copy: Any) -> Callable[..., None]:
    def copy(
        frm: Any, frm_at: int, frm_strides: Any, to: Any, to_at: int, to_strides: Any, size: Any,
        count: int,
    ) -> None:  # fmt: skip
        """Copy one plane of some channels."""
        index = np.uint64
        for h in range(size[1]):
            source, target = frm_at + h * frm_strides[2], to_at + h * to_strides[2]
            if count == LANES and frm_strides[4] == to_strides[4] == 1:
                for w in range(size[2]):
                    vector_copy(frm, source + w * frm_strides[3], to, target + w * to_strides[3])
            else:
                for c in range(count):
                    a, b = source + c * frm_strides[4], target + c * to_strides[4]
                    for w in range(size[2]):
                        to[index(b + w * to_strides[3])] = frm[index(a + w * frm_strides[3])]

    return copy


def _vector_copy() -> Callable[..., None]:
    """Return a function that copies one value of each lane, in compiled code."""
    from llvmlite import ir
    from numba import types
    from numba.extending import intrinsic

    def vector_copy(_typing: Any, frm: Any, frm_at: Any, to: Any, to_at: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            vector = ir.VectorType(ir.FloatType(), LANES).as_pointer()
            source, target = (
                builder.bitcast(_pointer(context, builder, signature, values, n), vector)
                for n in (0, 2)
            )
            builder.store(builder.load(source, align=4), target, align=4)
            return context.get_dummy_value()

        return types.void(frm, frm_at, to, to_at), generate

    made: Callable[..., None] = intrinsic(vector_copy)
    return made


def _caller() -> Callable[..., None]:
    """Return a function that calls a `PlaneKernel` from compiled code."""
    from llvmlite import ir
    from numba import types
    from numba.extending import intrinsic

    def call(
        _typing: Any, address: Any, x: Any, x_at: Any, row: Any, k: Any, k_at: Any, y: Any,
        rows: Any, tiles: Any,
    ) -> Any:  # fmt: skip
        def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            x, k = (_pointer(context, builder, signature, values, n) for n in (1, 4))
            y = context.make_array(signature.args[6])(context, builder, values[6]).data
            handed = [x, values[3], k, y, values[7], values[8]]
            function = ir.FunctionType(ir.VoidType(), [value.type for value in handed])
            builder.call(builder.inttoptr(values[0], function.as_pointer()), handed)
            return context.get_dummy_value()

        return types.void(address, x, x_at, row, k, k_at, y, rows, tiles), generate

    made: Callable[..., None] = intrinsic(call)
    return made


def _pointer(context: Any, builder: Any, signature: Any, values: Any, number: int) -> Any:
    """Return the address of an element, of an array argument and the index that follows it."""
    array = context.make_array(signature.args[number])(context, builder, values[number])
    return builder.gep(array.data, [values[number + 1]])
