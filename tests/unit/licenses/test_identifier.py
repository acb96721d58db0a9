# SPDX-License-Identifier: Apache-2.0
"""Identifiers of GB/T 36904: standard, variant, forged."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.kit.errors import Refusal
from services.licenses.domain.identifier import (
    IdentifierCheckFailed,
    IdentifierCheckNonstandard,
    IdentifierMalformed,
    LicenseIdentifier,
    VersionsExhausted,
    variant_check,
)

ROOT = "1.2.156.3005.2."
STANDARD = [
    ROOT + "111000000000010033001.11110000000002006P.20260000000001.001.F",
    ROOT + "111000000000010033001.11110000000002006P.20260000000001.002.D",
    ROOT + "111000000000010033002.113201000000011184.A1B2C3D4E5F60718293A4B5C6D7E8F90.001.J",
    ROOT + "111000000000010033003.113201000000011184.2026000403.001.O",
    ROOT + "111000000000010033003.113201000000011184.2026000404.001.8",
    ROOT + "11100000000013338W011.11430000006122244L.20230000403.001.U",
    ROOT + "11100000000013338W011.11430000006122244L.20230000403.002.S",
    ROOT + "11100000000013338W087.11370800MB28559184.37080001202411010001.001.3",
]
VARIANT = ROOT + "11100000000013661B006.113700000045046442.209FA4E88F9E4C878F3E9BED2CE7EA49.001.M"
UPPER = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
SERIALS = st.text(UPPER, min_size=1, max_size=32)


@pytest.mark.parametrize("text", STANDARD)
def test_a_standard_identifier_is_read_and_written_alike(text: str) -> None:
    assert str(LicenseIdentifier.parse(text)) == text


def test_the_variant_of_the_field_is_its_own_kind_of_wrong() -> None:
    with pytest.raises(IdentifierCheckNonstandard) as caught:
        LicenseIdentifier.parse(VARIANT)
    assert caught.value.reason == "IDENTIFIER_CHECK_NONSTANDARD"
    assert str(LicenseIdentifier.parse(VARIANT[:-1] + "D")).endswith(".D")


@pytest.mark.parametrize(("text", "variant"), list(zip(STANDARD[5:], "TRG", strict=True)))
def test_the_variant_differs_on_standard_samples_as_published(text: str, variant: str) -> None:
    assert variant_check(LicenseIdentifier.parse(text).checked_text) == variant
    with pytest.raises(IdentifierCheckNonstandard):
        LicenseIdentifier.parse(text[:-1] + variant)


def test_letter_o_and_digit_zero_are_not_the_same_check() -> None:
    with pytest.raises((IdentifierCheckFailed, IdentifierCheckNonstandard)):
        LicenseIdentifier.parse(STANDARD[3][:-1] + "0")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1.2.156.3005.6-" + STANDARD[0][len(ROOT) :],
        "1.2.156.3005.2" + STANDARD[0][len(ROOT) :],
        STANDARD[0].replace("001.F", "01.F"),
        STANDARD[0].replace("001.F", "000.F"),
        STANDARD[0].lower(),
        STANDARD[0] + ".X",
        STANDARD[0][:-1],
        STANDARD[0] + "F",
        STANDARD[0].replace("0033001.", "003300١."),
        ROOT + "111000000000010033001.11110000000002006P." + "1" * 33 + ".001.F",
        ROOT + "111000000000010033001.11110000000002006P..001.F",
        "9" * 100_000,
    ],
)
def test_what_is_not_written_as_the_standard_says_is_malformed(text: str) -> None:
    with pytest.raises(IdentifierMalformed):
        LicenseIdentifier.parse(text)


@settings(deadline=None)
@given(SERIALS, st.integers(1, 999), st.data())
def test_one_changed_character_never_passes(serial: str, version: int, data: st.DataObject) -> None:
    text = str(LicenseIdentifier("111000000000010033002", "11990100000001011X", serial, version))
    places = [place for place in range(len(ROOT), len(text)) if text[place] != "."]
    place = data.draw(st.sampled_from(places))
    other = data.draw(st.sampled_from([one for one in UPPER if one != text[place]]))
    with pytest.raises(Refusal):
        LicenseIdentifier.parse(text[:place] + other + text[place + 1 :])


@settings(deadline=None)
@given(SERIALS, st.integers(1, 999))
def test_what_is_written_is_read_back(serial: str, version: int) -> None:
    identifier = LicenseIdentifier("111000000000010033017", "12990100000001038J", serial, version)
    assert LicenseIdentifier.parse(str(identifier)) == identifier


def test_after_999_versions_a_new_serial_is_needed() -> None:
    last = LicenseIdentifier("111000000000010033002", "11990100000001011X", "1", 998).next_version()
    with pytest.raises(VersionsExhausted):
        last.next_version()
