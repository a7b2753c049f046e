"""The innermost sums of a depthwise 3D convolution, written for the vector registers of a CPU.

Planes are laid out as `(row, column, lane)`: a vector holds one voxel of several channels, so that
every sum below is one fused multiply-add of whole vectors. In one plane of the kernel the
convolution is

    y[h, w] += Σ over j, l of x[stride · h + j, stride · w + l] · k[j, l],

and each of the three passes of training is this relation, solved for one of its three parts: for y,
forward; for x, the gradient with respect to the input; for k, that with respect to the weight.
`tile` neighbouring columns of y are in registers at a time, with one row of the kernel. A compiler
that is handed loops finds no such form, and takes seconds; this is code for LLVM, which comes with
numba, and takes some hundredths of a second.
"""

from __future__ import annotations

import functools
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from llvmlite import binding, ir

if TYPE_CHECKING:
    from collections.abc import Iterator

# The part of the relation that a kernel adds to; the two others it reads.
Part = Literal["x", "k", "y"]

# How many channels a vector holds; 8 are one register or two.
LANES = 16 if binding.get_host_cpu_features().get("avx512f") else 8

_FLOAT, _INDEX = ir.FloatType(), ir.IntType(64)


class PlaneKernel(NamedTuple):
    """A compiled sum; `address` is valid for as long as this lives.

    It is called as `(x, row, k, y, rows, tiles)`: pointers to the planes, how many floats a row of
    x has, how many rows and tiles y has.
    """

    address: int
    engine: Any


@functools.cache
def plane_kernel(part: Part, kernel: int, stride: int, tile: int) -> PlaneKernel:
    """Compile the sum over one plane of the kernel that adds to a part.

    Args:
        part: What is added to.
        kernel: Edge length of the kernel.
        stride: Step of the kernel.
        tile: Columns of y that are held in registers.
    """
    binding.initialize_native_target()
    binding.initialize_native_asmprinter()
    machine = binding.Target.from_default_triple().create_target_machine(
        cpu=binding.get_host_cpu_name(), features=binding.get_host_cpu_features().flatten(), opt=2
    )
    module = binding.parse_assembly(str(_module(part, kernel, stride, tile)))
    engine = binding.create_mcjit_compiler(module, machine)
    engine.finalize_object()
    return PlaneKernel(engine.get_function_address("plane"), engine)


def _module(part: Part, kernel: int, stride: int, tile: int) -> Any:
    """Write the function's loops over rows and tiles."""
    module = ir.Module()
    pointer = _FLOAT.as_pointer()
    arguments = [pointer, _INDEX, pointer, pointer, _INDEX, _INDEX]
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), arguments), "plane")
    x, row, k, y, rows, tiles = function.args
    code = _Vectors(function.append_basic_block())
    with code.loop(rows) as h, code.loop(tiles) as t:
        first = code.add(code.mul(code.mul(h, row), stride), code.mul(t, tile * stride * LANES))
        place = code.mul(code.add(code.mul(h, tiles), t), tile * LANES)
        _tile(code, part, (kernel, stride, tile), (code.gep(x, [first]), row, k,
                                                  code.gep(y, [place])))  # fmt: skip
    code.ret_void()
    return module


def _tile(code: _Vectors, part: Part, sizes: tuple[int, int, int], places: tuple[Any, ...]) -> None:
    """Write the sums of one tile, all of them out."""
    kernel, stride, tile = sizes
    x, row, k, y = places
    of_y = [code.load_vector(y, t) for t in range(tile)]
    for j in range(kernel):
        if part == "k":  # a sum of its own first: fewer roundings, and nothing to wait for
            of_k = [ir.Constant(code.vector, None)] * kernel
        else:
            of_k = [code.load_vector(k, j * kernel + tap) for tap in range(kernel)]
        for column in range((tile - 1) * stride + kernel):
            steps = [(tap, *divmod(column - tap, stride)) for tap in range(kernel)]
            pairs = [(tap, t) for tap, t, rest in steps if not rest and 0 <= t < tile]
            of_x = code.load_vector(x, column)
            for tap, t in pairs:
                if part == "y":
                    of_y[t] = code.multiply_add(of_x, of_k[tap], of_y[t])
                elif part == "k":
                    of_k[tap] = code.multiply_add(of_x, of_y[t], of_k[tap])
                else:
                    of_x = code.multiply_add(of_y[t], of_k[tap], of_x)
            if part == "x":
                code.store_vector(of_x, x, column)
        if part == "k":
            for tap, vector in enumerate(of_k, j * kernel):
                code.store_vector(code.fadd(code.load_vector(k, tap), vector), k, tap)
        x = code.gep(x, [row])
    if part == "y":
        for t, vector in enumerate(of_y):
            code.store_vector(vector, y, t)


class _Vectors(ir.IRBuilder):  # type: ignore[misc]
    """Writes LLVM code with vectors of one float for each lane."""

    def __init__(self, block: Any) -> None:
        super().__init__(block)
        self.vector = ir.VectorType(_FLOAT, LANES)

    def add(self, one: Any, other: Any) -> Any:
        return super().add(one, _number(other))

    def mul(self, one: Any, other: Any) -> Any:
        return super().mul(one, _number(other))

    def multiply_add(self, one: Any, other: Any, to: Any) -> Any:
        fused = ("contract",)
        return self.fadd(to, self.fmul(one, other, flags=fused), flags=fused)

    def load_vector(self, base: Any, number: int) -> Any:
        return self.load(self._at(base, number), align=4)

    def store_vector(self, value: Any, base: Any, number: int) -> None:
        self.store(value, self._at(base, number), align=4)

    def _at(self, base: Any, number: int) -> Any:
        place = self.gep(base, [_number(number * LANES)])
        return self.bitcast(place, self.vector.as_pointer())

    @contextmanager
    def loop(self, count: Any) -> Iterator[Any]:
        """Repeat what is written inside for 0, 1, …, count − 1; count is 1 at least."""
        before, body = self.block, self.append_basic_block()
        self.branch(body)
        self.position_at_start(body)
        number = self.phi(_INDEX)
        number.add_incoming(_number(0), before)
        yield number
        following = self.add(number, 1)
        number.add_incoming(following, self.block)
        after = self.append_basic_block()
        self.cbranch(self.icmp_signed("<", following, count), body, after)
        self.position_at_start(after)


def _number(value: Any) -> Any:
    return ir.Constant(_INDEX, value) if isinstance(value, int) else value
