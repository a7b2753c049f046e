"""A short way through the headers of plain DICOM files.

pydicom reads every DICOM file there is, and takes milliseconds for each. Nearly all slices of a
series are plainer than that: elements in rising order, the attributes that matter
short and in ASCII. This walks over such a file once and keeps what is asked for. Whatever is
unusual in any way is left to pydicom, so that nothing here has to be guessed or mended.
Layout: PS3.5, 7 and A; PS3.10, 7.
"""

from __future__ import annotations

import os
import re
import struct
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from medpipe_plugins.scans.dicom_deflated import DEFLATED, undeflated
from medpipe_plugins.scans.dicom_plain_values import UnusualError, plain_value

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

_WINDOWS = (1 << 15, 1 << 20)  # bytes that are looked at for a header, at first and at most
_MOST_BEHIND = 1 << 16  # and behind the pixels
_MOST_NESTED = 16
_MOST_FRAGMENTS = 100_000
UNDEFINED = 0xFFFFFFFF  # in place of a length
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_SYNTAX, _CHARACTERS, _PIXELS = 0x00020010, 0x00080005, 0x7FE00010
BIG_ENDIAN = str(ExplicitVRBigEndian)
NATIVE = (str(ImplicitVRLittleEndian), str(ExplicitVRLittleEndian), BIG_ENDIAN)
_COMPRESSED = ("1.2.840.10008.1.2.4.", "1.2.840.10008.1.2.5")  # the JPEG family, RLE
_LONG = {b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"}
_SHORT = {
    *(b"AE", b"AS", b"AT", b"CS", b"DA", b"DS", b"DT", b"FL", b"FD", b"IS", b"LO", b"LT", b"PN"),
    *(b"SH", b"SL", b"SS", b"ST", b"TM", b"UI", b"UL", b"US"),
}
# Character sets in which bytes below 128 are ASCII, and need no escapes.
_ASCII_BELOW = re.compile(rb"(ISO_IR (6|100|101|109|110|126|127|138|144|148|166|192))?[ \0]*")
_FORMS = ("HH", "H", "L")  # of a tag, and of the two lengths
_LITTLE, _BIG = (
    tuple(struct.Struct(order + form).unpack_from for form in _FORMS) for order in "<>"
)


class _BeyondError(Exception):
    """The header goes on behind what was looked at."""


class _DeflatedError(Exception):
    """The header is deflated."""


@dataclass(frozen=True, eq=False)
class PlainHeader:
    """Attributes of a file by keyword, as `pydicom.Dataset` tells them, and where its pixels lie.

    Attributes:
        values: By keyword.
        syntax: The transfer syntax.
        start: Where the value of PixelData begins.
        length: How many bytes it has; None where it is in fragments.
        end: Where it ends.
        deflated: Whether these are places in what the file inflates to.
    """

    values: dict[str, Any]
    syntax: str
    start: int
    length: int | None
    end: int
    deflated: bool = False

    def get(self, name: str, default: Any = None) -> Any:
        """Return an attribute."""
        return self.values.get(name, default)

    def __contains__(self, name: str) -> bool:
        """Say whether there is an attribute, be it empty."""
        return name in self.values


class Wanted:
    """The attributes that are asked for, by tag."""

    def __init__(self, names: Iterable[str]) -> None:
        self.by_tag: dict[int, tuple[str, bytes]] = {}
        for name in names:
            tag = tag_for_keyword(name)
            if tag is not None:
                self.by_tag[tag] = name, dictionary_VR(tag).encode()


def plain_header(path: Path, wanted: Wanted) -> PlainHeader | None:
    """Return the header of a plain file with pixels; None for any other, which pydicom reads."""
    file = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
    try:
        size = os.fstat(file).st_size
        for window in _WINDOWS:
            os.lseek(file, 0, os.SEEK_SET)
            content = os.read(file, window)
            try:
                return _Walk(partial(_read_at, file), size, content, wanted).header()
            except _BeyondError:
                if len(content) >= size:
                    return None
    except _DeflatedError:
        return _deflated_header(path, wanted)
    except (UnusualError, struct.error, OSError):
        return None
    finally:
        os.close(file)
    return None


def _deflated_header(path: Path, wanted: Wanted) -> PlainHeader | None:
    content = undeflated(path)

    def read_at(place: int, count: int) -> bytes:
        return bytes(content[place : place + count])

    try:
        walk = _Walk(read_at, len(content), read_at(0, _WINDOWS[-1]), wanted)
        return replace(walk.header(), deflated=True)
    except (_BeyondError, UnusualError, struct.error):
        return None


def _read_at(file: int, place: int, count: int) -> bytes:
    os.lseek(file, place, os.SEEK_SET)
    return os.read(file, count)


class _Walk:
    """One way through a file, element by element."""

    def __init__(
        self, read_at: Callable[[int, int], bytes], size: int, content: bytes, wanted: Wanted
    ) -> None:
        self.read_at, self.size = read_at, size
        self.content, self.wanted = content, wanted.by_tag
        self.implicit = self.big = False
        self.tag, self.word, self.length = _LITTLE

    def header(self) -> PlainHeader:
        if self.content[128:132] != b"DICM":
            raise UnusualError
        syntax, place = self._meta()
        self.implicit, self.big = syntax == NATIVE[0], syntax == BIG_ENDIAN
        if self.big:
            self.tag, self.word, self.length = _BIG
        values: dict[str, Any] = {}
        before = 0x00080000 - 1
        while True:
            tag, vr, length, place = self._element(place)
            if tag <= before:
                raise UnusualError
            before = tag
            if tag == _PIXELS:
                values["PixelData"] = None
                if (length == UNDEFINED) == (syntax in NATIVE):
                    raise UnusualError
                end = self._end_of_pixels(vr, place, length)
                return PlainHeader(
                    values, syntax, place, None if length == UNDEFINED else length, end
                )
            if tag > _PIXELS - 16:  # offset tables, and pixels that are no whole numbers
                raise UnusualError
            if length == UNDEFINED:
                if tag in self.wanted or (vr != b"SQ" and not self._is_sequence(tag)):
                    raise UnusualError
                place = self._behind_items(place, 0)
                continue
            if place + length > len(self.content):
                raise _BeyondError
            if tag in self.wanted:
                name, usual = self.wanted[tag]
                if vr not in (None, usual):
                    raise UnusualError
                values[name] = plain_value(
                    name, usual, self.content[place : place + length], big=self.big
                )
            elif tag == _CHARACTERS and not self._is_ascii_below(place, length):
                raise UnusualError
            place += length

    def _is_ascii_below(self, place: int, length: int) -> bool:
        return bool(_ASCII_BELOW.fullmatch(self.content[place : place + length]))

    def _meta(self) -> tuple[str, int]:
        """Return the transfer syntax, and where the data set begins."""
        syntax, place, before = "", 132, 0x00020000 - 1
        while True:
            if len(self.content) < place + 2:
                raise _BeyondError
            if self.word(self.content, place)[0] != 2:
                break
            tag, _, length, place = self._element(place)
            if tag <= before or length == UNDEFINED:
                raise UnusualError
            if tag == _SYNTAX:
                syntax = self.content[place : place + length].rstrip(b"\0 ").decode("latin-1")
            before = tag
            place += length
        if syntax == DEFLATED:
            raise _DeflatedError
        if syntax not in NATIVE and not syntax.startswith(_COMPRESSED):
            raise UnusualError
        return syntax, place

    def _element(self, place: int) -> tuple[int, bytes | None, int, int]:
        """Return tag, VR, length, and where the value begins; no VR where it is implicit."""
        content = self.content
        if len(content) < place + 12:
            raise _BeyondError
        group, element = self.tag(content, place)
        tag = group << 16 | element
        vr = content[place + 4 : place + 6]
        if self.implicit and group != 2:
            if vr.isalpha() and vr.isupper():  # or is it explicit?
                raise UnusualError
            return tag, None, self.length(content, place + 4)[0], place + 8
        if vr in _SHORT:
            return tag, vr, self.word(content, place + 6)[0], place + 8
        if vr in _LONG:
            return tag, vr, self.length(content, place + 8)[0], place + 12
        raise UnusualError

    def _is_sequence(self, tag: int) -> bool:
        if not self.implicit:
            return False
        try:
            return dictionary_VR(tag) == "SQ"
        except KeyError:
            return False

    def _behind_items(self, place: int, depth: int) -> int:
        """Return where a sequence without a length ends."""
        if depth > _MOST_NESTED:
            raise UnusualError
        while True:
            if len(self.content) < place + 8:
                raise _BeyondError
            group, element = self.tag(self.content, place)
            length = self.length(self.content, place + 4)[0]
            place += 8
            tag = group << 16 | element
            if tag == _SEQUENCE_END and not length:
                return place
            if tag != _ITEM:
                raise UnusualError
            place = self._behind_item(place, depth) if length == UNDEFINED else place + length

    def _behind_item(self, place: int, depth: int) -> int:
        """Return where an item without a length ends."""
        while True:
            if len(self.content) < place + 8:
                raise _BeyondError
            group, element = self.tag(self.content, place)
            if group << 16 | element == _ITEM_END:
                if self.length(self.content, place + 4)[0]:
                    raise UnusualError
                return place + 8
            tag, vr, length, place = self._element(place)
            if length != UNDEFINED:
                place += length
            elif vr == b"SQ" or self._is_sequence(tag):
                place = self._behind_items(place, depth + 1)
            else:
                raise UnusualError

    def _end_of_pixels(self, vr: bytes | None, place: int, length: int) -> int:
        """Return where the pixels end, if nothing follows that matters."""
        if vr not in (None, b"OB", b"OW") or (self.big and vr != b"OW"):
            raise UnusualError
        end = place + length if length != UNDEFINED else behind_fragments(self.read_at, place)
        behind = self.size - end
        if not 0 <= behind <= _MOST_BEHIND:
            raise UnusualError
        if behind:
            self.content, place, before = self.read_at(end, behind) + bytes(12), 0, _PIXELS
            while place < behind:
                tag, _, length, place = self._element(place)
                if tag <= before or length == UNDEFINED or place + length > behind:
                    raise UnusualError
                before = tag
                place += length
        return end


def behind_fragments(read_at: Callable[[int, int], bytes], place: int) -> int:
    """Return where encapsulated pixels end that begin at a place (PS3.5, A.4).

    Args:
        read_at: Place and count → so many bytes there.
        place: Of the first item.

    Raises:
        UnusualError: They do not end as they should.
    """
    tag_of, _, length_of = _LITTLE
    for _ in range(_MOST_FRAGMENTS):
        head = read_at(place, 8)
        if len(head) < 8:
            raise UnusualError
        group, element = tag_of(head, 0)
        length = length_of(head, 4)[0]
        tag = group << 16 | element
        if tag == _SEQUENCE_END and not length:
            return place + 8
        if tag != _ITEM or length == UNDEFINED:
            raise UnusualError
        place += 8 + length
    raise UnusualError


def end_of_fragments(path: Path, start: int) -> int:
    """Return where encapsulated pixels end that begin at a place of a file.

    Raises:
        UnusualError: They do not end as they should.
        OSError: It cannot be read.
    """
    file = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
    try:
        return behind_fragments(partial(_read_at, file), start)
    finally:
        os.close(file)
