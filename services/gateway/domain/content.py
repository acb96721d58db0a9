# SPDX-License-Identifier: Apache-2.0
"""Whether a file is what it is said to be, by its bytes alone: its name and its sender prove nothing.

A first look, no replacement for the scanner: a PDF that acts (scripts, programs to start, files within, forms that send
themselves) is no document to decide on, and one with a password can be read by nobody.
"""

import re
import zlib
from collections import deque
from collections.abc import Iterator
from typing import Final

from services.gateway.domain.material import MediaType
from services.gateway.domain.refusals import MaterialContentRefused

_MAGIC: Final = {
    MediaType.PDF: re.compile(rb"%PDF-[12]\.[0-9]"),
    MediaType.PNG: re.compile(rb"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"),
    MediaType.JPEG: re.compile(rb"\xff\xd8\xff[\xc0-\xfe]"),
}
_ACTIVE: Final = re.compile(
    rb"/(JavaScript|Launch|EmbeddedFiles?|RichMedia|Rendition|SubmitForm|ImportData|XFA|GoToE|GoToR|Encrypt)"
    rb"(?![A-Za-z0-9_.#-])"
)
_ESCAPE: Final = re.compile(rb"#([0-9A-Fa-f]{2})")
_WORD: Final = re.compile(rb"\bobj\b|\bstream\r?\n")
_NO_TEXT: Final = re.compile(rb"[\x80-\xff]")
_ABOUT_MAX: Final = 2000
"""Bytes between an object's beginning and its stream, which say what the stream is."""
_PIECE: Final = 4096
_OBJECTS_MAX: Final = 16_000_000
"""Bytes of all packed objects together that are looked into."""
_TAIL: Final = 1024


def must_be_harmless(content: bytes, media_type: MediaType) -> None:
    """Raises MaterialContentRefused, which says what is wrong and nothing of what stands in it."""
    if _MAGIC[media_type].match(content) is None:
        raise MaterialContentRefused(
            f"The file is no {media_type.value}.", remedy="Save it anew in the type that it is sent as."
        )
    if media_type is MediaType.PDF:
        _must_be_plain(content)


def _must_be_plain(content: bytes) -> None:
    if b"%%EOF" not in content[-_TAIL:]:
        raise MaterialContentRefused("The PDF is not complete.", remedy="Save it anew, and send it again.")
    for part in (content, *_packed(content)):
        found = _ACTIVE.search(_ESCAPE.sub(lambda match: bytes([int(match[1], 16)]), part))
        if found is not None:
            raise MaterialContentRefused(
                f"The PDF holds /{found[1].decode()}: a document needs none.",
                remedy="Print it into a new PDF without password, and send that.",
            )


def _packed(content: bytes) -> Iterator[bytes]:
    """What stands in object streams (ISO 32000-1, 7.5.7): there a name can be hidden from a plain search."""
    left = _OBJECTS_MAX
    for about, start in _streams(content):
        if b"/ObjStm" not in about:
            continue
        if about.count(b"Decode") > 1 or (b"/Filter" in about and b"/FlateDecode" not in about):
            raise MaterialContentRefused("The PDF packs its objects in a way that can't be looked into.")
        part = _inflated(content, start, left) if b"/Filter" in about else content[start : start + left]
        left -= len(part)
        if left <= 0:
            raise MaterialContentRefused("The PDF packs more objects than a document needs.")
        yield part


def _streams(content: bytes) -> Iterator[tuple[bytes, int]]:
    """What is said about each stream, and where it begins; each byte is looked at a fixed number of times."""
    objects: deque[int] = deque()
    for word in _WORD.finditer(content):
        if word[0] == b"obj":
            objects.append(word.end())
            continue
        begin = word.start() - _ABOUT_MAX
        while objects and objects[0] < begin:
            objects.popleft()
        if objects:
            begin = max((one.end() for one in _NO_TEXT.finditer(content, objects[0], word.start())), default=begin)
        while objects and objects[0] < begin:
            objects.popleft()
        if objects:
            yield _ESCAPE.sub(lambda one: bytes([int(one[1], 16)]), content[objects[0] : word.start()]), word.end()
        objects.clear()


def _inflated(content: bytes, start: int, most: int) -> bytes:
    """What was packed, `most` bytes of it; piece by piece, since nothing says where it ends."""
    unpacking, part = zlib.decompressobj(), bytearray()
    try:
        while start < len(content) and len(part) < most and not unpacking.eof:
            part += unpacking.decompress(unpacking.unconsumed_tail + content[start : start + _PIECE], most - len(part))
            start += _PIECE
    except zlib.error:
        raise MaterialContentRefused("The PDF is damaged.") from None
    return bytes(part)
