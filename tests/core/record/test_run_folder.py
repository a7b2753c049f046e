"""Run folders."""

from __future__ import annotations

import os
import re
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from threading import Barrier

import pytest
import torch
from safetensors import safe_open

from medpipe_core.config import ConfigurationError, RunFolderError, resolve
from medpipe_core.record import open_folder
from medpipe_core.record.run_folder import RunFolder, create_folder

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def test_a_folder_is_named_by_time_members_and_seed(toy_configuration, tmp_path):
    folder = create_folder(toy_configuration, now=NOW)
    assert folder.path == tmp_path / "runs" / "20260102T030405Z-toy-random-toy-s0"
    assert (folder.path / "checkpoints").is_dir()


def test_sixteen_runs_that_start_together_get_sixteen_folders(toy_configuration):
    together = Barrier(16)

    def start(_):
        together.wait()
        return create_folder(toy_configuration, now=NOW).path

    with ThreadPoolExecutor(16) as pool:
        assert len(set(pool.map(start, range(16)))) == 16


def test_names_of_members_cannot_lead_out_of_the_root(registry, tmp_path):
    configuration = resolve(
        {
            "space": "file:toy_plugin.py:toy",
            "searcher": "random",
            "dataset": "toy",
            "run.root": str(tmp_path),
        },
        registry,
    )
    path = create_folder(configuration).path
    assert path.parent == tmp_path
    assert re.fullmatch(r"\d{8}T\d{6}Z-file-toy_plugin.py-toy-random-toy-s0", path.name)


def test_a_root_that_is_a_file_is_a_configuration_error(registry, tmp_path):
    (tmp_path / "file").write_text("")
    configuration = resolve(
        {
            "space": "toy",
            "searcher": "random",
            "dataset": "toy",
            "run.root": str(tmp_path / "file" / "runs"),
        },
        registry,
    )
    with pytest.raises(ConfigurationError, match=r"run\.root: .*file") as caught:
        create_folder(configuration)
    assert caught.value.exit_code == 2


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write everywhere")
def test_a_root_without_permission_is_a_configuration_error(toy_configuration, tmp_path):
    (tmp_path / "runs").mkdir(mode=0o500)
    with pytest.raises(ConfigurationError, match=r"run\.root"):
        create_folder(toy_configuration)


def test_weights_carry_plain_texts_about_them(toy_configuration):
    folder = create_folder(toy_configuration)
    weight = torch.arange(6.0).reshape(2, 3).T
    path = folder.write_weights({"w": weight, "same": weight}, {"genotype_digest": "abc"})
    with safe_open(path, "pt") as file:
        assert file.metadata() == {"genotype_digest": "abc"}
        assert torch.equal(file.get_tensor("w"), weight)


def test_opening_what_is_no_run_folder_is_refused(tmp_path):
    with pytest.raises(RunFolderError, match="there is no folder"):
        open_folder(tmp_path / "none")
    with pytest.raises(RunFolderError, match=r"config\.yaml"):
        open_folder(tmp_path)


@pytest.mark.parametrize("content", ["", "{", "[1]", "[" * 10**6])
def test_a_damaged_result_is_named(tmp_path, content):
    (tmp_path / "config.yaml").write_text("seed: 0\n")
    (tmp_path / "result.json").write_text(content)
    with pytest.raises(RunFolderError, match=r"result\.json"):
        open_folder(tmp_path).result()


def test_an_unfinished_run_has_no_result(tmp_path):
    (tmp_path / "config.yaml").write_text("seed: 0\n")
    with pytest.raises(RunFolderError, match=r"cannot read .*result\.json"):
        open_folder(tmp_path).result()


def test_equal_weights_and_texts_are_equal_bytes(tmp_path):
    tensors = {"b": torch.arange(3.0), "a": torch.ones(2, 2, dtype=torch.float16)}
    texts = {f"ä{number}": "x" * number for number in range(20)}
    written = {RunFolder(tmp_path).write_weights(tensors, texts).read_bytes() for _ in range(8)}
    assert len(written) == 1
    assert int.from_bytes(written.pop()[:8], "little") % 8 == 0
    with safe_open(tmp_path / "weights.safetensors", "pt") as file:
        assert file.metadata() == texts
        assert all(torch.equal(file.get_tensor(name), tensors[name]) for name in tensors)
