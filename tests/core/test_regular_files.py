"""Files that somebody else names: a device, a pipe or one beyond all bounds is refused at once."""

from __future__ import annotations

import os
import socket

import pytest

from medpipe_core import load_plugins, open_regular_file, read_regular_file
from medpipe_core.data import DataError
from medpipe_core.plugins import PluginError
from medpipe_core.search.fixed import FixedSearcher
from medpipe_core.search.given import FixedGenotypeError
from medpipe_plugins.datasets.folder_manifest import read_cases
from medpipe_plugins.datasets.published_ct_lists import read_list


def pipe(path):
    os.mkfifo(path)


def endless(path):
    path.symlink_to("/dev/zero")


def huge(path):
    with path.open("wb") as file:
        file.truncate(2**40)


def listening(path):
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(path))


KINDS = (pipe, endless, huge, listening)


@pytest.fixture(params=KINDS)
def special(request, tmp_path, monkeypatch, in_time):
    monkeypatch.chdir(tmp_path)  # the name of a socket is short
    request.param((tmp_path / "x").relative_to(tmp_path))
    return tmp_path / "x"


def test_a_regular_file_is_read(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(b"12345")
    assert read_regular_file(path) == read_regular_file(path, 5) == b"12345"
    with open_regular_file(path) as file:
        assert file.read(2) == b"12"
    assert file.closed


def test_nothing_else_is(special):
    with pytest.raises(OSError, match=r"no file, but a device|it has 1099511627776 bytes|No such"):
        read_regular_file(special, 2**20)


def test_a_file_above_its_bound_a_folder_and_nothing_are_refused(tmp_path):
    (tmp_path / "x").write_bytes(b"123456")
    with pytest.raises(OSError, match="it has 6 bytes, and at most 5 are read"):
        read_regular_file(tmp_path / "x", 5)
    with pytest.raises(IsADirectoryError):
        read_regular_file(tmp_path)
    with pytest.raises(FileNotFoundError):
        read_regular_file(tmp_path / "y")


def test_no_genotype_is(special, registry):
    space = registry.space("toy")
    with pytest.raises(FixedGenotypeError, match=r"searcher\.genotype: \S+x cannot be read: \w"):
        FixedSearcher(space, genotype=str(special), seed=0, steps=1)


def test_no_plugin_is(special):
    (record,) = (r for r in load_plugins(load=[special]).plugins if r.name == "x")
    assert record.status == "failed"
    assert "Error" in record.error
    with pytest.raises(PluginError, match=r"no file|bytes|No such"):
        load_plugins(load=[special], strict=True)


def test_no_manifest_is(special):
    with pytest.raises(DataError, match="cannot read the manifest"):
        read_cases(str(special), None)


def test_no_published_list_is(special):
    with pytest.raises(DataError, match=r"cannot read the list|larger than a list"):
        read_list(special)
