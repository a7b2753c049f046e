"""Checkpoints: what is written comes back exactly, and what is damaged is found."""

from __future__ import annotations

import hashlib
import json
import math
import pickle

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from medpipe_core.config.errors import RunFolderError, StorageError
from medpipe_core.record import atomic_files
from medpipe_core.record.checkpoints import Checkpoints, DamagedCheckpointError
from medpipe_core.record.state_encoding import StateError, copied, decode, encode

KEYS = st.one_of(st.text(max_size=4), st.integers(), st.just("$torch"))
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(KEYS, inner, max_size=3)
    ),
    max_leaves=12,
)


def same(one, other):
    if isinstance(one, torch.Tensor):
        bits = [t.flatten().view(torch.uint8) for t in (one, other)]
        return torch.equal(*bits) and one.dtype == other.dtype and one.stride() == other.stride()
    if isinstance(one, np.ndarray):
        return one.dtype == other.dtype and one.tobytes() == other.tobytes()
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[k], other[k]) for k in one)
    if isinstance(one, list | tuple):
        return type(one) is type(other) and len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, float) and math.isnan(one):
        return math.isnan(other)
    return type(one) is type(other) and repr(one) == repr(other)


@given(PLAIN)
def test_plain_values_come_back_exactly(state):
    plain, tensors = encode(state)
    assert same(decode(json.loads(json.dumps(plain)), tensors), state)


@pytest.mark.parametrize(
    "dtype", [torch.float32, torch.float64, torch.bfloat16, torch.int64, torch.uint8, torch.bool]
)
def test_tensors_come_back_with_type_bits_and_order_in_memory(tmp_path, dtype):
    weights = torch.randn(2, 3, 4, 5, 6).to(dtype)
    state = {
        "plain": weights,
        "last": weights.contiguous(memory_format=torch.channels_last_3d),
        "number": torch.tensor(3).to(dtype),
        "none": torch.empty(0, 3).to(dtype),
        "twice": [weights, weights],
    }
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(state)
    assert same(checkpoints.newest().state, state)


def test_a_part_of_a_larger_tensor_is_written_alone(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(torch.arange(1_000_000.0)[::500_000])
    assert checkpoints.newest().state.tolist() == [0, 500_000]
    assert (tmp_path / "000001.safetensors").stat().st_size < 1000


def test_arrays_and_states_of_generators_come_back(tmp_path):
    rng = np.random.default_rng(3)
    state = {
        "keys": np.random.RandomState(1).get_state()[1],
        "pcg": rng.bit_generator.state,
        "torch": torch.Generator().get_state(),
        "share": np.float32(0.1),
    }
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(state)
    assert same(checkpoints.newest().state, state)


def test_an_optimisers_state_comes_back(tmp_path):
    layer = torch.nn.Linear(2, 2)
    optimiser = torch.optim.AdamW(layer.parameters(), fused=True)
    layer(torch.ones(1, 2)).sum().backward()
    optimiser.step()
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(optimiser.state_dict())
    assert same(checkpoints.newest().state, optimiser.state_dict())


def test_what_cannot_be_written_down_is_named():
    with pytest.raises(StateError, match=r"state/searcher/seen is a builtins\.set"):
        encode({"searcher": {"seen": {1}}})


def test_a_copy_does_not_change_with_what_it_was_copied_from():
    state = {"weights": [torch.ones(2)], "history": ({"loss": 1.0},), "array": np.ones(1)}
    kept = copied(state)
    state["weights"][0].zero_()
    state["history"][0]["loss"] = 2.0
    state["array"][0] = 5
    assert same(
        kept, {"weights": [torch.ones(2)], "history": ({"loss": 1.0},), "array": np.ones(1)}
    )


def test_the_last_two_are_kept(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    for value in range(5):
        (tmp_path / ".000009.json.1-ab.tmp").write_text("half")
        checkpoints.save(value)
    assert checkpoints.numbers() == [5, 4]
    assert len(list(tmp_path.iterdir())) == 4
    assert (checkpoints.newest().number, checkpoints.newest().state) == (5, 4)


def test_none_is_none(tmp_path):
    assert Checkpoints(tmp_path).newest() is None
    assert Checkpoints(tmp_path / "missing").newest() is None


@pytest.mark.parametrize("kind", ["json", "safetensors"])
def test_every_flipped_byte_is_found_and_the_one_before_is_used(tmp_path, kind):
    checkpoints = Checkpoints(tmp_path)
    for value in (1, 2):
        checkpoints.save({"value": value, "weights": torch.full((2,), value)})
    path = tmp_path / f"000002.{kind}"
    whole = path.read_bytes()
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        found = checkpoints.newest()
        assert (found.number, found.state["value"]) == (1, 1)
        assert f"000002.{kind}" in found.damaged[0] or "checksum" in found.damaged[0]


@pytest.mark.parametrize("kind", ["json", "safetensors"])
@pytest.mark.parametrize("left", [0, 1, 40, -1, None])
def test_a_cut_or_missing_file_is_found(tmp_path, kind, left):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(torch.ones(3))
    path = tmp_path / f"000001.{kind}"
    if left is None and kind == "json":
        path.unlink()
        assert checkpoints.newest() is None  # it was never finished
        return
    if left is None:
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:left])
    with pytest.raises(RunFolderError, match=r"no checkpoint .* can be used"):
        checkpoints.newest()


def forged(folder, content, tensors=b""):
    """Write a checkpoint whose checksums fit, as a stranger might."""
    (folder / "000001.safetensors").write_bytes(tensors)
    told = {"sha256": hashlib.sha256(tensors).hexdigest(), "bytes": len(tensors)}
    text = json.dumps({"format": 1, "tensors": told, "state": content}).encode()
    head = hashlib.sha256(text).hexdigest().encode()
    (folder / "000001.json").write_bytes(head + b"\n" + text)


class Canary:
    """Sings when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


@pytest.mark.parametrize(
    "content",
    [
        {"$torch": {"tensor": "../x"}},
        {"$float": "__import__('os')"},
        {"$import": "os:getcwd"},
        {"$dict": [[[1], 2]]},
        {"$torch": {"tensor": "state", "order": [7]}},
    ],
)
def test_a_forged_state_is_refused_and_runs_nothing(tmp_path, content):
    forged(tmp_path, content, torch_bytes())
    with pytest.raises(DamagedCheckpointError):
        Checkpoints(tmp_path).read(1)


def test_a_pickle_in_place_of_tensors_is_not_unpickled(tmp_path):
    forged(tmp_path, {"$torch": {"tensor": "state"}}, pickle.dumps(Canary(tmp_path / "sang")))
    with pytest.raises(DamagedCheckpointError):
        Checkpoints(tmp_path).read(1)
    assert not (tmp_path / "sang").exists()


def torch_bytes():
    from safetensors.torch import save

    return save({"state": torch.ones(1)})


@pytest.mark.parametrize(
    ("broken", "call"), [*(("fsync", n) for n in range(4)), ("replace", 0), ("replace", 1)]
)
def test_no_error_of_a_save_is_swallowed_and_the_one_before_stays(
    tmp_path, monkeypatch, broken, call
):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save("old")
    calls, real = [], getattr(atomic_files.os, broken)

    def fail(*arguments):
        calls.append(arguments)
        if len(calls) == call + 1:
            raise OSError(28, "No space left on device")
        return real(*arguments)

    monkeypatch.setattr(atomic_files.os, broken, fail)
    with pytest.raises(StorageError, match="the disk is full"):
        checkpoints.save("new")
    assert checkpoints.newest().state in {"old", "new"}
