"""Files that a reader once answered wrongly, or might: those that are short stand in `corpus/`."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import pathlib

import numpy as np

CORPUS = pathlib.Path(__file__).with_name("corpus")
DEEP, LONG = b"[" * 100_000, b"9" * 5000
TEXTS = [
    b"", DEEP, b'{"a":' * 100_000, LONG, b"null", b"[1]", b'{"a": NaN}', b'{"a": 1e999}',
    b'{"a": "\\ud800"}', b'{"a": "\xff"}', b"\xef\xbb\xbf{}", b"\0", b'{"a": 1}',
]  # fmt: skip
RUN_TEXTS = (
    "run-result", "run-events", "run-data_card", "run-environment", "run-plugins",
    "run-checksums", "run-decision", "run-preparation", "run-scans", "genotype",
    "manifest-json", "published-json",
)  # fmt: skip


def kept(form):
    """Return the files that are kept of a form."""
    found = [path.read_bytes() for path in sorted((CORPUS / form).glob("*"))]
    found += MADE.get(form, ())
    if form in RUN_TEXTS:
        found += TEXTS + [text + b"\n" for text in TEXTS]
    return found


def npy(shape, body=b"", descr="<f4"):
    stream = io.BytesIO()
    said = {"descr": descr, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(stream, said)
    return stream.getvalue() + body


def cached(text):
    return b"medpipe prepared volume 1\n" + text + b"\n"


def signed(content):
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    return hashlib.sha256(body).hexdigest().encode() + b"\n" + body


def tensors(kind, shape, size):
    said = {"a": {"dtype": kind, "shape": shape, "data_offsets": [0, size]}}
    return safe(json.dumps(said).encode(), b"\0" * size)


def safe(header, body=b""):
    return len(header).to_bytes(8, "little") + header + body


ONE = (2, 1, 3, 4, 5)
TENSORS = [
    (2**62).to_bytes(8, "little") + b"{}", safe(DEEP), tensors("F32", [2**40, 2**40], 4),
    tensors("F32", [-1], 4), tensors("F8_E5M2", [4], 4), tensors("F8_E8M0", [4], 4),
    tensors("F4", [8], 4), tensors("U64", [1], 8), tensors("C64", [1], 8),
]  # fmt: skip
MADE = {
    "arrays-npy": [
        npy((10**30, *ONE[1:])), npy(ONE, b"x" * 500, "|O"),
        npy(ONE, b"", "<U0"), npy(ONE, b"\0" * 1000, [("a", "<f4")]),
        npy(ONE, b"\0" * 960, "<M8[s]"), npy((0, *ONE[1:])),
    ],
    "cache": [
        cached(DEEP), cached(b"[1]"), cached(b'{"shape": null, "dtype": "float32"}'),
        cached(b'{"shape": [' + b"9" * 4000 + b'], "dtype": "float32"}'),
        cached(b'{"shape": [' + LONG + b'], "dtype": "float32"}'),
        cached(b'{"shape": [[1]], "dtype": "float32"}'),
    ],
    "checkpoint-text": [
        *map(signed, TEXTS),
        signed({"format": 1, "tensors": 3, "state": 1}),
        signed(b'{"format": ' + LONG + b"}"),
        signed(b'{"format": 1, "tensors": {"sha256": "x", "bytes": 1e999}, "state": 1}'),
    ],
    "checkpoint-tensors": TENSORS,
    "run-weights": TENSORS,
    "manifest-csv": [
        b"path,label\n" + b"a" * 200_000 + b",x\n", b"path,label\n\0,x\n",
        b"path,label\na\0b,x\n", b"path,label\ra,b\r", b"path,label\n" + b"a/" * 5000 + b",x\n",
        b"path,label\n~nobody-of-that-name/x,x\n",
    ],
    "manifest-json": [
        b"[" + LONG + b"]", b'[{"path": 1e999, "label": -0.0}]',
        b'[{"path": "\\ud800", "label": "x"}]', b'[{"path": [["a"]], "label": {"a": 1}}]',
        b'[{"path": "a\\u0000b", "label": "x"}]',
    ],
    "published-json": [b'{"\\ud800": {"a": {"b": ["c"]}}}', b'{"a": {"b": 3}}'],
    "published-json.gz": [
        gzip.compress(DEEP * 4000), gzip.compress(gzip.compress(b"{}")), *map(gzip.compress, TEXTS)
    ],
    "run-checksums": [b'{"files": {"../../../../etc/passwd": {"sha256": "x", "bytes": 1}}}'],
    "run-predictions": [b"case," + b"a" * 200_000, b"\0"],
    "configuration": [
        b"a: " + DEEP, b"a: &a [*a]\n", b"<<: *a\n", b"seed: 2001-01-01\n",
        b"seed: 0o777\nsearch.epochs: 1_0\n", *TEXTS,
    ],
}  # fmt: skip
