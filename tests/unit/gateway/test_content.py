# SPDX-License-Identifier: Apache-2.0
"""A file is what its bytes say, and a document does nothing by itself."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.domain import content as room
from services.gateway.domain.content import must_be_harmless
from services.gateway.domain.material import MediaType
from services.gateway.domain.refusals import MaterialContentRefused
from tests.support.gateway_materials import JPEG, PDF, PNG, packed

GOOD = {MediaType.PDF: PDF, MediaType.PNG: PNG, MediaType.JPEG: JPEG}


@pytest.mark.parametrize("media_type", MediaType)
def test_a_file_of_its_type_is_taken_and_one_of_another_is_not(media_type: MediaType) -> None:
    must_be_harmless(GOOD[media_type], media_type)
    for other, content in GOOD.items():
        if other is not media_type:
            with pytest.raises(MaterialContentRefused):
                must_be_harmless(content, media_type)


@pytest.mark.parametrize(
    "name",
    [
        b"/JavaScript",
        b"/Java#53cript",
        b"/Launch",
        b"/EmbeddedFile",
        b"/EmbeddedFiles",
        b"/SubmitForm",
        b"/XFA",
        b"/Encrypt",
    ],
)
def test_a_pdf_that_acts_or_is_locked_is_refused_however_it_is_spelled(name: bytes) -> None:
    for content in (
        PDF.replace(b"/Catalog", b"/Catalog /OpenAction << /S " + name + b" >>"),
        packed(b"1 0 << /S " + name + b" >>"),
    ):
        with pytest.raises(MaterialContentRefused):
            must_be_harmless(content, MediaType.PDF)


def test_a_pdf_with_packed_objects_that_do_nothing_is_taken() -> None:
    must_be_harmless(packed(b"1 0 << /Type /Page /JavaScripture 1 >>"), MediaType.PDF)


def test_a_pdf_that_was_cut_off_or_packs_in_another_way_or_is_a_bomb_is_refused() -> None:
    bomb = packed(bytes(17_000_000))
    for content in (PDF[:20], packed(b"1 0").replace(b"/FlateDecode", b"/LZWDecode"), bomb):
        with pytest.raises(MaterialContentRefused):
            must_be_harmless(content, MediaType.PDF)


@given(st.binary(max_size=2000), st.sampled_from(list(MediaType)))
def test_whatever_stands_in_a_file_it_is_taken_or_refused(content: bytes, media_type: MediaType) -> None:
    for start in (b"", GOOD[media_type][:18], packed(content)[:60]):
        try:
            must_be_harmless(start + content + b"%%EOF", media_type)
        except MaterialContentRefused:
            continue


PLAIN = re.compile(rb"\bobj\b([^\x80-\xff]{0,2000}?)\bstream\r?\n")
"""What is meant, in words that take quadratic time on files that somebody has made for that."""
WORDS = [b"obj", b" obj ", b" stream\n", b" stream\r\n", b"endstream\n", b"\x80", b"a" * 700, b"b" * 1990, b" "]


@given(st.lists(st.sampled_from(WORDS), max_size=30).map(b"".join))
def test_streams_are_found_as_the_plain_pattern_finds_them(content: bytes) -> None:
    meant = [(match[1], match.end()) for match in PLAIN.finditer(content)]
    assert list(room._streams(content)) == meant
