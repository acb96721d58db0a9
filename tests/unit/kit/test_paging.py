# SPDX-License-Identifier: Apache-2.0
import base64

import pytest

from services.kit.errors import PageTokenInvalid
from services.kit.ids import derived_id, new_id
from services.kit.paging import decode_token, encode_token


def test_a_token_is_read_back_as_it_was_written() -> None:
    assert decode_token(encode_token(after="出生", index=7)) == {"after": "出生", "index": 7}


def test_no_token_is_the_first_page() -> None:
    assert decode_token("") == {}


@pytest.mark.parametrize(
    "token",
    ["%", "AAAA", "bnVsbA", "é", "x" * 1001, base64.urlsafe_b64encode(b"[1]").decode().rstrip("="), "eyJhIjpbMV19"],
)
def test_any_other_token_is_refused(token: str) -> None:
    with pytest.raises(PageTokenInvalid):
        decode_token(token)


def test_derived_ids_depend_on_each_part() -> None:
    assert derived_id("ab", "c") == derived_id("ab", "c")
    assert derived_id("ab", "c") != derived_id("a", "bc")
    assert new_id() != new_id()
