# SPDX-License-Identifier: Apache-2.0
"""How many calls are inside at once, of everybody and of each caller."""

from collections.abc import Sequence
from typing import Final

from services.kit.errors import TooManyRequests

_OURS: Final = b"spiffe://tongban/service/"
_RETRY_SECONDS: Final = 1.0


class Gate:
    """So many at once, and so many of one caller, so that no department takes every place.

    Our own services have no share to keep: what they ask they ask for everybody, each behind a door with bounds of
    its own; a fifth of the places is theirs alone, whatever all departments together do. Whoever has not exactly one
    name is about to be refused and holds no place for long.
    """

    __slots__ = ("_held", "_most", "_most_of_others", "_others", "_share", "inside")

    def __init__(self, most: int, share: int) -> None:
        self._most = most
        self._share = share
        self._most_of_others = most - most // 5
        self._held: dict[bytes, int] = {}
        self._others = 0
        self.inside = 0

    def enter(self, names: Sequence[bytes]) -> bytes:
        """Come in, or be refused for a while.

        Args:
            names: the SPIFFE ids in the peer's certificate.

        Returns:
            Whose share the place is of, to be given back with `leave`; b"" for nobody's.

        Raises:
            TooManyRequests: all places are taken, or all that this caller may have.
        """
        if self.inside >= self._most:
            raise TooManyRequests("Too many calls at once.", retry_after_seconds=_RETRY_SECONDS)
        name = names[0] if len(names) == 1 else b""
        if name.startswith(_OURS):
            name = b""
        if name:
            if self._others >= self._most_of_others:
                raise TooManyRequests("Too many calls at once.", retry_after_seconds=_RETRY_SECONDS)
            held = self._held.get(name, 0)
            if held >= self._share:
                raise TooManyRequests("Too many calls of this caller at once.", retry_after_seconds=_RETRY_SECONDS)
            self._held[name] = held + 1
            self._others += 1
        self.inside += 1
        return name

    def leave(self, name: bytes) -> None:
        """Give a place back."""
        self.inside -= 1
        if name:
            self._others -= 1
            held = self._held[name] - 1
            if held:
                self._held[name] = held
            else:
                del self._held[name]  # Who was here once is not remembered: names must not pile up.
