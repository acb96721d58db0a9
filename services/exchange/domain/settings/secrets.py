# SPDX-License-Identifier: Apache-2.0
"""Secrets in settings: told to nobody, not even to the operator who set them, and kept where a mask comes back."""

import re
from typing import Any

MASK = "********"
_PASSWORD = re.compile(r"(?<=://)([^/@]*:)([^/@]*)(?=@)|(?<=[?&]password=)([^&]*)")
_HIDDEN = (("oauth", "client_secret"), ("tls", "key"))
_ADDRESSES = (("url",), ("oauth", "token_url"), ("tls", "ca"))


def told(plain: dict[str, Any]) -> dict[str, Any]:
    """Give settings with every secret masked: the password of a database, values of headers, keys."""
    shown = dict(plain)
    if "url" in shown:
        shown["url"] = _PASSWORD.sub(lambda found: f"{found[1] or ''}{MASK}", shown["url"])
    if "headers" in shown:
        shown["headers"] = dict.fromkeys(shown["headers"], MASK)
    for part, name in _HIDDEN:
        if shown.get(part, {}).get(name):
            shown[part] = {**shown[part], name: MASK}
    return shown


def masked(plain: dict[str, Any]) -> bool:
    """Whether a mask stands where a secret should."""
    headers = plain.get("headers", {}).values()
    hidden = [plain.get(part, {}).get(name) for part, name in _HIDDEN]
    return MASK in plain.get("url", "") or MASK in headers or MASK in hidden


def unmasked(plain: dict[str, Any], before: dict[str, Any]) -> dict[str, Any]:
    """Put back the secrets that masks stand for; a mask stays where the address changed, or nothing was there before.

    A secret goes only where it was meant to go: whoever could redirect a kept one would learn it.
    """
    known = told(before)
    if any(_at(plain, place) != _at(known, place) for place in _ADDRESSES):
        return plain
    restored = {**plain, "url": before["url"]} if "url" in plain else dict(plain)
    if "headers" in plain:
        restored["headers"] = {
            name: before["headers"].get(name, value) if value == MASK else value
            for name, value in plain["headers"].items()
        }
    for part, name in _HIDDEN:
        if plain.get(part, {}).get(name) == MASK and part in before:
            restored[part] = {**plain[part], name: before[part].get(name, MASK)}
    return restored


def _at(plain: dict[str, Any], place: tuple[str, ...]) -> Any:
    found: Any = plain
    for name in place:
        found = found.get(name, "") if isinstance(found, dict) else ""
    return found
