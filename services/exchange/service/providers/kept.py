# SPDX-License-Identifier: Apache-2.0
"""Answers that may be given again for a while: in memory alone, found by a keyed digest of whom they are about."""

import hashlib
import secrets
from collections import defaultdict
from collections.abc import Callable

from cachetools import TLRUCache

from services.exchange.domain.answer import Scalar
from services.exchange.domain.inquiry import Inquiry
from services.exchange.domain.resource import Resource

Values = dict[str, Scalar]
_FIELD_BYTES = 120  # What Python needs for a name and a value, beside the text.
_ENTRY_BYTES = 500
_ENTRY_SHARE = 8  # No answer takes more than this part of the room.


class KeptAnswers:
    """Bounded in bytes. Nothing in it outlives the process, and its keys tell nobody's number."""

    def __init__(self, *, bytes_max: int, monotonic: Callable[[], float]) -> None:
        self._secret = secrets.token_bytes(32)
        self._monotonic = monotonic
        self._bytes_max = bytes_max
        self._turns: defaultdict[str, int] = defaultdict(int)
        self._kept: TLRUCache[bytes, tuple[Values, float]] = TLRUCache(
            maxsize=bytes_max,
            ttu=lambda _key, entry, _now: entry[1],
            timer=monotonic,
            getsizeof=lambda entry: _size(entry[0]),
        )

    def key(self, resource: Resource, inquiry: Inquiry) -> bytes:
        """Give the key of a question: made before it is asked, so that an answer from before a change is never found."""
        words = (
            resource.code,
            str(resource.revision),
            str(self._turns[resource.code]),
            inquiry.subject_key,
            *inquiry.fields,
        )
        return hashlib.blake2b("\0".join(words).encode(), key=self._secret, digest_size=24).digest()

    def find(self, key: bytes) -> Values | None:
        """Give an answer that may still be given."""
        entry = self._kept.get(key)
        return None if entry is None else dict(entry[0])

    def keep(self, key: bytes, values: Values, seconds: int) -> None:
        """Keep an answer for so long, at most."""
        if _size(values) * _ENTRY_SHARE <= self._bytes_max:
            self._kept[key] = (dict(values), self._monotonic() + seconds)

    def forget(self, resource: str) -> None:
        """Give none of a resource's answers again: something in it was corrected or changed."""
        self._turns[resource] += 1


def _size(values: Values) -> int:
    texts = sum(len(value) * 4 for value in values.values() if isinstance(value, str))
    return _ENTRY_BYTES + texts + sum(_FIELD_BYTES + len(name) for name in values)
