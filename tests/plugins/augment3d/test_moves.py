"""Moves that are gathered and composed in one go."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from medpipe_plugins.augment3d import moves as moves_module
from medpipe_plugins.augment3d.moves import Moves
from medpipe_plugins.augment3d.seen_moves import SeenMoves

SIZE = (9, 8, 7)  # width, height, depth
CENTRE = (4.0, 3.5, 3.0)
COUNT = 3
EXACT = {"rtol": 1e-11, "atol": 1e-9}

one_number = st.floats(-50, 50, width=32)
rows_of = st.lists(st.integers(0, COUNT - 1), unique=True).map(sorted)


def rows_and(strategy):
    """Return some volumes, and so many numbers for each."""
    return rows_of.flatmap(
        lambda rows: st.tuples(st.just(rows), st.tuples(*[strategy for _ in rows]))
    )


axes = st.integers(0, 2)
triple = st.tuples(one_number, one_number, one_number)
box = st.tuples(*[st.tuples(st.integers(0, n - 1), st.integers(1, n)) for n in SIZE])
matrix = st.lists(st.floats(-0.25, 0.25), min_size=12, max_size=12)
one_move = st.one_of(
    st.tuples(st.just("turn"), rows_and(st.floats(-180, 180)), axes, st.floats(0.5, 2)),
    st.tuples(st.just("scale"), rows_and(st.floats(0.25, 4))),
    st.tuples(st.just("shift"), rows_and(triple)),
    st.tuples(st.just("mirror"), rows_and(st.none()), axes),
    st.tuples(st.just("move"), rows_and(matrix)),
    st.tuples(st.just("erase"), rows_and(box)),
)  # fmt: skip
some_moves = st.lists(one_move, max_size=8)


def tell(moves, told):
    """Hand the moves on."""
    for kind, (rows, numbers), *more in told:
        where = np.array(rows, np.int64)
        if kind == "turn":
            axis, longer = more
            moves.turn(where, (axis, (axis + 1) % 3), np.array(numbers, np.float64), longer)
        elif kind == "mirror":
            moves.mirror(where, *more)
        elif kind == "erase":
            edges = np.array(numbers, np.float64).reshape(-1, 3, 2)
            moves.erase(where, edges[..., 0], edges[..., 1])
        elif kind == "move":
            entries = np.array(numbers, np.float64).reshape(-1, 3, 4)
            moves.move(where, entries + np.eye(3, 4))
        else:
            shape = (-1, 3) if kind == "shift" else (-1,)
            getattr(moves, kind)(where, np.array(numbers, np.float32).reshape(shape))
    return moves


def by_matrices(told):
    """Return where voxels come from as products of 4 × 4 matrices, since the start and each box."""
    chains, boxes, centre = [np.tile(np.eye(4), (COUNT, 1, 1))], [], np.eye(4)
    centre[:3, 3] = CENTRE
    for kind, (rows, numbers), *more in told:
        if kind == "erase":
            chains.append(np.tile(np.eye(4), (COUNT, 1, 1)))
            boxes.append(rows)
            continue
        for row, number in zip(rows, numbers, strict=True):
            forth = np.eye(4)
            if kind == "turn":
                axis, longer = more
                other, angle = (axis + 1) % 3, np.deg2rad(number)
                forth[axis, axis] = forth[other, other] = np.cos(angle)
                forth[other, axis] = np.sin(angle) * longer
                forth[axis, other] = -np.sin(angle) / longer
            elif kind == "scale":
                forth[:3, :3] *= np.float32(number)
            elif kind == "shift":
                forth[:3, 3] = np.array(number, np.float32)
            elif kind == "mirror":
                forth[more[0], more[0]] = -1
            undo = np.linalg.inv(forth)
            if kind == "move":
                undo[:3] = np.array(number, np.float64).reshape(3, 4) + np.eye(3, 4)
            for chain in chains:
                chain[row] = chain[row] @ undo
    voxels = [centre @ chain @ np.linalg.inv(centre) for chain in chains]
    return voxels[0][:, :3], [
        chain[rows, :3] for chain, rows in zip(voxels[1:], boxes, strict=True)
    ]


def same(found, expected):
    """Assert that two are composed alike."""
    np.testing.assert_allclose(np.asarray(found.back), np.asarray(expected.back), **EXACT)
    assert np.array_equal(found.moved, expected.moved)
    assert np.array_equal(found.mirrored, expected.mirrored)
    assert len(found.boxes) == len(expected.boxes)
    for one, other in zip(found.boxes, expected.boxes, strict=True):
        assert np.array_equal(one.rows, other.rows)
        for edge in ("back", "start", "stop"):
            values = (np.asarray(getattr(each, edge)) for each in (one, other))
            np.testing.assert_allclose(*values, **EXACT)


@pytest.fixture(params=["with numba", "without"])
def _way(request, monkeypatch):
    if request.param == "with numba":
        pytest.importorskip("numba")
    monkeypatch.setattr(moves_module, "has_numba", lambda: request.param == "with numba")


@pytest.mark.usefixtures("_way")
class TestComposed:
    @given(some_moves)
    def test_it_is_the_product_of_their_matrices(self, told):
        found = tell(Moves(COUNT), told).composed(SIZE, CENTRE)
        back, boxes = by_matrices(told)
        np.testing.assert_allclose(found.back, back, rtol=1e-6, atol=1e-6)
        assert len(boxes) == len(found.boxes)
        for box, expected in zip(found.boxes, boxes, strict=True):
            np.testing.assert_allclose(box.back, expected, rtol=1e-6, atol=1e-6)

    @given(some_moves)
    def test_volumes_that_are_only_mirrored_are_told_apart(self, told):
        found = tell(Moves(COUNT), told).composed(SIZE, CENTRE)
        moving = [m for m in told if m[0] not in ("mirror", "erase")]
        moved = {row for _, (rows, _), *_ in moving for row in rows}
        assert set(np.flatnonzero(found.moved)) == moved
        for row in set(range(COUNT)) - moved:
            mirrors = [m[2] for m in told if m[0] == "mirror" and row in m[1][0]]
            odd = [mirrors.count(2 - axis) % 2 == 1 for axis in range(3)]
            assert found.mirrored[row].tolist() == odd
        assert not found.mirrored[sorted(moved)].any()

    def test_boxes_that_meet_the_border_go_on_beyond_it(self):
        moves, rows = Moves(COUNT), np.array([0, 2])
        start, stop = np.array([[0.0, 2, 1], [1, 1, 0]]), np.array([[3.0, 8, 2], [9, 4, 6]])
        moves.erase(rows, start, stop)
        (box,) = moves.composed(SIZE, CENTRE).boxes
        assert np.array_equal(box.start, [[-np.inf, 2, 1], [1, 1, -np.inf]])
        assert np.array_equal(box.stop, [[3, np.inf, 2], [np.inf, 4, 6]])
        assert start.min() == 0  # what it was told is as it was

    def test_nothing_leaves_everything_where_it_is(self):
        found = Moves(COUNT).composed(SIZE, CENTRE)
        assert np.array_equal(found.back, np.tile(np.eye(3, 4), (COUNT, 1, 1)))
        assert not found.moved.any()
        assert not found.mirrored.any()
        assert not found.boxes


@given(some_moves)
def test_the_compiled_loop_does_what_numpy_does(told):
    pytest.importorskip("numba")
    moves, found = tell(Moves(COUNT), told), []
    with pytest.MonkeyPatch.context() as patch:
        for compiled in (True, False):
            patch.setattr(moves_module, "has_numba", lambda compiled=compiled: compiled)
            found.append(moves.composed(SIZE, CENTRE))
    same(*found)


@given(some_moves, some_moves)
def test_torch_goes_on_where_numbers_were_gathered(before, after):
    after = [move for move in after if move[0] in ("mirror", "erase")]
    gathered = tell(Moves(COUNT), before).composed(SIZE, (0, 0, 0))
    seen = tell(SeenMoves(gathered, torch.device("cpu"), torch.float64), after)
    same(seen.composed(SIZE, CENTRE), tell(Moves(COUNT), [*before, *after]).composed(SIZE, CENTRE))
