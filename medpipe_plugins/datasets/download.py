"""Fetching a published file, only when asked to, whole or not at all."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import os
import tempfile
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

from medpipe_core.data import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator

_BLOCK = 1 << 20
_TIMEOUT_S = 60
_LARGEST = 8 << 30


def md5_of(path: Path) -> str:
    """Return the MD5 of a file as hexadecimal digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def fetch(url: str, target: Path, md5: str) -> None:
    """Download a file, check it, and only then give it its name.

    Args:
        url: Where it is published.
        target: Where it goes; its folder is made.
        md5: What its MD5 must be.

    Raises:
        DataError: It could not be fetched or written, or is not what was published. Nothing is
            left behind.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with _temporary(target) as (descriptor, path):
            digest = _copy(url, descriptor)
            if digest != md5:
                raise DataError(
                    f"{url} gave a file with MD5 {digest}, published is {md5}; try again later, or "
                    f"put the published file at {target}"
                )
            os.fsync(descriptor)
            path.replace(target)
    except (urllib.error.URLError, http.client.HTTPException, TimeoutError) as error:
        raise DataError(
            f"{url} could not be fetched ({error}); fetch it on a machine with internet access and "
            f"put it at {target}"
        ) from None
    except OSError as error:
        raise DataError(f"{target} could not be written ({error})") from None


@contextlib.contextmanager
def _temporary(target: Path) -> Iterator[tuple[int, Path]]:
    descriptor, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    path = Path(name)
    try:
        yield descriptor, path
    finally:
        os.close(descriptor)
        path.unlink(missing_ok=True)


def _copy(url: str, descriptor: int) -> str:
    digest, length = hashlib.md5(usedforsecurity=False), 0
    with (
        urllib.request.urlopen(url, timeout=_TIMEOUT_S) as response,  # noqa: S310 - fixed scheme
        os.fdopen(os.dup(descriptor), "wb") as stream,
    ):
        while block := response.read(_BLOCK):
            length += len(block)
            if length > _LARGEST:
                raise DataError(f"{url} gave more than {_LARGEST} bytes; that is not the file")
            digest.update(block)
            stream.write(block)
    return digest.hexdigest()
