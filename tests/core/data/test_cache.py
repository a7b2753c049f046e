"""Prepared volumes on the disk: bounded, shared by processes, whole whatever is killed."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

from medpipe_core.data import CachedVolumes, DataError, StoredVolumes, VolumeCache

KIB = 2**10


def volume(number, size=8):
    return np.random.default_rng(number).integers(0, 255, (1, size, size, size), np.uint8)


def key(number):
    return f"{number:02x}{number:062x}"


def size_of(folder):
    return sum(path.stat().st_size for path in folder.glob("??/*"))


@pytest.fixture
def cache(tmp_path):
    return VolumeCache(tmp_path / "cache", 40 * KIB)


def test_what_was_put_in_comes_out_with_what_was_said(cache):
    assert cache.get(key(1)) is None
    cache.put(key(1), volume(1), {"notes": ["a"], "low": 0.1})
    floats = np.linspace(0, 1, 24, dtype=np.float32).reshape(1, 2, 3, 4)
    cache.put(key(2), floats, {})
    found, about = cache.get(key(1))
    assert np.array_equal(found, volume(1))
    assert about == {"notes": ["a"], "low": 0.1}
    assert np.array_equal(cache.read(key(2)), floats)
    assert cache.read(key(2)).dtype == np.float32


def test_it_keeps_its_bound_and_lets_go_of_what_was_not_asked_for(cache, tmp_path):
    for number in range(100):
        cache.put(key(number), volume(number), {})
        path = tmp_path / "cache" / key(number)[:2] / key(number)[2:]
        os.utime(path, ns=(number * 10**9, number * 10**9))
        cache.get(key(0))
        assert size_of(cache.folder) <= 40 * KIB
    assert cache.get(key(0)) is not None
    assert cache.get(key(1)) is None
    assert cache.get(key(99)) is not None
    assert size_of(cache.folder) > 32 * KIB
    with pytest.raises(DataError, match=r"data\.cache_gib"):
        cache.put(key(100), volume(0, 64), {})


@pytest.mark.parametrize("damage", ["cut", "flipped", "flipped words", "emptied", "replaced"])
def test_a_damaged_entry_is_not_there_and_can_be_made_again(cache, damage):
    cache.put(key(1), volume(1), {"notes": ["words"]})
    (path,) = cache.folder.glob("??/*")
    data = bytearray(path.read_bytes())
    if damage == "flipped":
        data[-9] ^= 1
    changed = {
        "cut": data[:-1],
        "flipped": data,
        "flipped words": data.replace(b"words", b"swords"),
        "emptied": b"",
        "replaced": b'medpipe prepared volume 1\n{"shape": [9e9, 9e9], "dtype": "uint8"}\n',
    }[damage]
    path.write_bytes(changed)
    assert cache.get(key(1)) is None
    cache.put(key(1), volume(1), {"notes": ["words"]})
    assert cache.get(key(1))[1] == {"notes": ["words"]}


def test_volumes_are_read_on_demand_and_made_again_where_they_are_gone(cache):
    made = []

    def make(row):
        made.append(row)
        return volume(row)

    for number in range(6):
        cache.put(key(number), volume(number), {})
    keys = [key(number) for number in range(6)]
    stored = StoredVolumes([CachedVolumes(cache, keys, make, (1, 8, 8, 8), np.uint8)])
    assert (stored.shape, stored.dtype) == ((6, 1, 8, 8, 8), np.uint8)
    assert np.array_equal(stored[4], volume(4))
    assert np.array_equal(stored[[5, 0]], np.stack([volume(5), volume(0)]))
    assert made == []
    (cache.folder / key(3)[:2] / key(3)[2:]).unlink()
    assert np.array_equal(stored.choose(np.array([3, 2]))[:], np.stack([volume(3), volume(2)]))
    assert made == [3]


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "taken").write_text("")
    with pytest.raises(DataError, match=r"taken.*data\.cache=FOLDER"):
        VolumeCache(tmp_path / "taken", KIB)


WRITER = """
import sys
import numpy as np
from medpipe_core.data import VolumeCache
folder, first, most = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
cache = VolumeCache(folder, most)
print("ready", flush=True)
for number in range(first, first + 400):
    volume = np.random.default_rng(number).integers(0, 255, (1, 8, 8, 8), np.uint8)
    cache.put(f"{number % 256:02x}{number:062x}", volume, {"number": number})
"""


def writer(folder, first, most):
    words = [sys.executable, "-c", WRITER, str(folder), str(first), str(most)]
    return subprocess.Popen(words, stdout=subprocess.PIPE, text=True)


def test_two_processes_share_it_within_the_bound(tmp_path):
    most = 200 * KIB
    with writer(tmp_path, 0, most) as one, writer(tmp_path, 200, most) as other:
        for process in (one, other):
            assert process.stdout.readline() == "ready\n"
        while one.poll() is None or other.poll() is None:
            # A walk is no snapshot: it may meet an entry that goes and the one that comes for it.
            assert size_of_what_is_there(tmp_path) <= most + 4 * KIB
    assert (one.returncode, other.returncode) == (0, 0)
    assert size_of_what_is_there(tmp_path) <= most
    cache, kept = VolumeCache(tmp_path, most), 0
    for number in range(600):
        found = cache.get(f"{number % 256:02x}{number:062x}")
        if found is not None:
            kept += 1
            assert found[1] == {"number": number}
            assert np.array_equal(found[0], volume(number))
    assert kept > 200


def size_of_what_is_there(folder):
    total = 0
    for path in folder.glob("??/*"):
        try:
            total += path.stat().st_size
        except FileNotFoundError:
            continue
    return total


def test_a_process_that_is_killed_leaves_what_it_has_finished(tmp_path):
    for moment in range(3):
        process = writer(tmp_path, 0, 10**8)
        process.stdout.readline()
        while len(list(tmp_path.glob("??/*"))) < 20 * (moment + 1):
            pass
        process.kill()
        process.communicate()
    cache = VolumeCache(tmp_path, 10**8)
    entries = list(tmp_path.glob("??/*"))
    assert len(entries) >= 60
    for path in entries:
        found = cache.get(path.parent.name + path.name)
        assert np.array_equal(found[0], volume(found[1]["number"]))
    # What was counted for a file that never came is corrected by the next look at the folder.
    again = VolumeCache(tmp_path, size_of(tmp_path) + 4 * KIB)
    again.put("ff" + "f" * 62, volume(7), {})
    assert size_of(tmp_path) <= again.most
