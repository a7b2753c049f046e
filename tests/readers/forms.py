"""Every kind of file that medpipe reads and somebody else may have made: whole ones, and readers.

The formats of scans are those of `tests/plugins/scans/hostile.py`.
"""

from __future__ import annotations

import contextlib
import functools
import gzip
import hashlib
import importlib.util
import io
import json
import pathlib
import zipfile
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch

import medpipe_core as mp
from medpipe_core.api import configuration_of
from medpipe_core.config.configuration import read_file, resolve
from medpipe_core.data import npz_header, read_npz
from medpipe_core.data.cache import VolumeCache
from medpipe_core.execution.array_files import read_array
from medpipe_core.plugins import load_plugins
from medpipe_core.record.checkpoints import Checkpoints
from medpipe_core.record.checksums import damaged_files
from medpipe_core.record.genotype_text import policy_text
from medpipe_core.record.predictions_csv import read_predictions
from medpipe_core.record.run_folder import RunFolder
from medpipe_core.report.comparison import compare, comparison_text
from medpipe_core.report.progress import PlainProgress
from medpipe_core.report.reproduction import compare_runs
from medpipe_core.report.run_check import check_run
from medpipe_core.report.run_report import write_report
from medpipe_plugins.datasets.folder_manifest import read_cases, read_paths
from medpipe_plugins.datasets.published_ct_lists import read_list
from medpipe_plugins.scans import read_scan, scan_header

if TYPE_CHECKING:
    from collections.abc import Callable

TESTS = pathlib.Path(__file__).parents[1]
TOY = TESTS / "core" / "toy_plugin.py"
RUN = {
    "plugins.load": [str(TOY)], "space": "toy", "searcher": "random", "dataset": "toy",
    "device": "cpu", "threads": 1, "search.epochs": 1, "search.batch_size": 4,
    "evaluate.batch_size": 4, "evaluate.epochs": 2, "retrain.batch_size": 4, "retrain.epochs": 2,
    "test.resamples": 20,
}  # fmt: skip


@dataclass(frozen=True)
class Form:
    """A kind of file.

    Attributes:
        name: Of the file, below the folder that it is in.
        content: A whole one.
        readers: Each takes the folder, and reads the file or refuses it with a `MedpipeError`.
        beside: Files that stay whole, by name.
        mended: Makes the checksums of a damaged one fit again, so that what is behind them is met.
        forgotten: Whether a reader may delete one that is damaged.
    """

    name: str
    content: bytes
    readers: tuple[Callable[[pathlib.Path], object], ...]
    beside: dict[str, bytes] = field(default_factory=dict)
    mended: Callable[[bytes], bytes] = bytes
    forgotten: bool = False


def scans():
    """Return the module with the formats of scans."""
    path = TESTS / "plugins" / "scans" / "hostile.py"
    spec = importlib.util.spec_from_file_location("hostile_scans", path)
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


def forms(folder):
    """Return all forms by name; a folder to work in is filled with a run."""
    return {
        **scan_forms(), **array_forms(), **table_forms(), **text_forms(), **cache_forms(folder),
        **checkpoint_forms(folder), **run_forms(folder),
    }  # fmt: skip


def scan_forms():
    hostile = scans()
    found = {}
    for form, make in hostile.FORMATS.items():
        name, content = make()
        zipped = form.startswith("nifti-gz")
        inside = form == "nifti-gz-inside"
        beside = hostile.BESIDE.get(form, dict)()

        def given(folder, name=name, many=bool(beside)):
            return folder if many else folder / name

        readers = tuple(
            lambda folder, read=read, given=given: read(given(folder))
            for read in (scan_header, read_scan)
        )
        mended = functools.partial(hostile.with_checksums, name)
        if inside:
            mended = gzip.compress
        elif form.startswith("npz"):
            mended = rezipped
        found[f"scan-{form}"] = Form(
            name, gzip.compress(content) if zipped and not inside else content, readers, beside,
            mended,
        )  # fmt: skip
    return found


def rezipped(content):
    """Return a zip again with whatever of its members can be read, or the content as it is."""
    stream = io.BytesIO()
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(stream, "w") as new:
            for info in old.infolist():
                info.CRC = None  # is not compared
                new.writestr(info.filename, old.open(info).read())
    except Exception:
        return content
    return stream.getvalue()


def array_forms():
    volumes = np.arange(2 * 60, dtype=np.float32).reshape(2, 1, 3, 4, 5)
    found = {}
    for form, save in {"npz": np.savez_compressed, "npz-stored": np.savez}.items():
        stream = io.BytesIO()
        save(stream, volumes=volumes, labels=np.array([0, 1]), names=np.array(["a", "b"]))
        found[f"arrays-{form}"] = Form(
            "arrays.npz",
            stream.getvalue(),
            (
                lambda folder: read_npz(folder / "arrays.npz", "volumes", "labels", "names"),
                lambda folder: npz_header(folder / "arrays.npz", "volumes"),
                lambda folder: read_array(folder / "arrays.npz", (1, 3, 4, 5)),
            ),
            mended=rezipped,
        )
    stream = io.BytesIO()
    np.save(stream, volumes)
    found["arrays-npy"] = Form(
        "arrays.npy",
        stream.getvalue(),
        (lambda folder: read_array(folder / "arrays.npy", (1, 3, 4, 5)),),
    )
    return found


def table_forms():
    table = "path,label,patient,split\na.nii,ill,P1,train\nb.nii,well,P2,test\nc d.nii,ill,P3,\n"
    rows = [{"path": "a.nii", "label": "ill"}, {"path": ["b.nii", "c.nii"], "label": "well"}]
    published = {"ill": {"P1": {"S1": ["1.png", "2.png"]}, "P2": {}}, "well": {"3": {"1": ["1"]}}}
    found = {}
    for name, content in {"m.csv": table, "m.json": json.dumps(rows)}.items():
        found[f"manifest-{name[2:]}"] = Form(
            name,
            content.encode(),
            (
                lambda folder, name=name: read_cases(str(folder / name), None),
                lambda folder, name=name: read_paths(folder / name),
            ),
        )
    packed = json.dumps(published).encode()
    for name, content in {"list.json": packed, "list.json.gz": gzip.compress(packed)}.items():
        found[f"published-{name[5:]}"] = Form(
            name,
            content,
            (lambda folder, name=name: read_list(folder / name),),
        )
    return found


def text_forms():
    registry = load_plugins(load=[TOY])
    space = registry.space("toy", width=3)
    configured = resolve(RUN, registry).to_yaml().encode()

    def configuration(folder):
        text = (folder / "my.yaml").read_bytes().decode("utf-8", "replace")
        return resolve({}, registry, base=read_file(text, "my.yaml"))

    def genotype(folder):
        text = (folder / "genotype.json").read_bytes().decode("utf-8", "replace")
        found = mp.Genotype.from_json(text)
        space.validate(found)
        return policy_text(space, found)

    written = space.sample(seed=0).to_json().encode()
    return {
        "configuration": Form("my.yaml", configured, (configuration,)),
        "genotype": Form("genotype.json", written, (genotype,)),
    }


def cache_forms(folder):
    cache = VolumeCache(folder / "cache", 2**20)
    cache.put("abcdef", np.ones((1, 3, 4, 5), np.float32), {"note": ["a"]})
    return {
        "cache": Form(
            "ab/cdef",
            (folder / "cache" / "ab" / "cdef").read_bytes(),
            (
                lambda folder: VolumeCache(folder, 2**20).read("abcdef"),
                lambda folder: VolumeCache(folder, 2**20).get("abcdef"),
            ),
            {"lock": b""},
            forgotten=True,
        )
    }


def checkpoint_forms(folder):
    state = {"weights": torch.ones(3, 2), "step": 3, "order": (1, 2), "rng": [2**63, 0.5, None]}
    Checkpoints(folder).save(state)
    text, tensors = "000001.json", "000001.safetensors"
    told, blob = (folder / text).read_bytes(), (folder / tensors).read_bytes()

    def signed(content):
        body = content.partition(b"\n")[2]
        return hashlib.sha256(body).hexdigest().encode() + b"\n" + body

    def read(folder):
        return Checkpoints(folder).newest()

    def unchecked(folder):
        """Read tensors whose sum and size are those that the text tells."""
        found = (folder / tensors).read_bytes()
        body = json.loads(told.partition(b"\n")[2])
        body["tensors"] = {"sha256": hashlib.sha256(found).hexdigest(), "bytes": len(found)}
        (folder / text).write_bytes(signed(b"\n" + json.dumps(body).encode()))
        return Checkpoints(folder).newest()

    return {
        "checkpoint-text": Form(text, told, (read,), {tensors: blob}, signed),
        "checkpoint-tensors": Form(tensors, blob, (read, unchecked), {text: told}),
    }


def run_forms(folder):
    registry = load_plugins(load=[TOY])
    run = mp.run(**{**RUN, "run.root": str(folder / "runs")}, registry=registry).folder
    files = {path.name: path.read_bytes() for path in run.iterdir() if path.is_file()}
    other = RunFolder(run)

    def model(folder):
        found = mp.load_model(folder, registry=registry)
        with contextlib.suppress(mp.MedpipeError):
            found.probabilities(np.zeros((1, *found.shape), np.float32))

    def compared(folder):
        return comparison_text(compare([folder]))

    def progress(folder):
        PlainProgress(io.StringIO()).catch_up(RunFolder(folder).events())

    def of(method):
        return lambda folder: getattr(RunFolder(folder), method)()

    def checked(folder):
        check_run(RunFolder(folder), lambda: configuration_of(RunFolder(folder), {}, registry))

    readers = {
        "config.yaml": (of("configuration"), model, compared),
        "events.jsonl": (of("events"), write_report, compared, progress, checked),
        "result.json": (
            of("result"), write_report, compared, model,
            lambda folder: compare_runs(RunFolder(folder), other),
        ),
        "weights.safetensors": (model,),
        "predictions.csv": (lambda folder: read_predictions(folder / "predictions.csv"),),
        "data_card.json": (of("data_card"), write_report),
        "environment.json": (of("environment"), compared, checked),
        "plugins.json": (compared, checked),
        "checksums.json": (checked, lambda folder: list(damaged_files(folder / "checksums.json"))),
        "decision.json": (compared, write_report, model),
        "split.csv": (compared, write_report),
    }  # fmt: skip
    found = {
        f"run-{name.partition('.')[0]}": Form(
            name, files[name], reads, {n: c for n, c in files.items() if n != name}
        )
        for name, reads in readers.items()
    }
    chain = json.dumps([{"name": "resample", "spacing": [1, 1, 1]}]).encode()
    found["run-preparation"] = Form(
        "preparation.json", chain, (of("preparation"), model, write_report), files
    )
    facts = json.dumps({"spacing": {"low": 1, "high": 2}}).encode()
    found["run-scans"] = Form("scans.json", facts, (of("scan_facts"), write_report), files)
    return found
