# SPDX-License-Identifier: Apache-2.0
"""One HTTP request to the provider's interface, and how it is shown who asks."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, Self
from urllib.parse import urlsplit

from services.exchange.domain.settings.loose import URL_MAX, Checks

PLACE = "{subject_key}"
_HEADER = re.compile(r"[A-Za-z0-9-]{1,64}")
_PEM = re.compile(r"-----BEGIN [A-Z ]{1,40}-----\s.{1,20000}-----END [A-Z ]{1,40}-----\s*", re.DOTALL)
_LOOPBACK = {"127.0.0.1", "localhost", "::1"}
_HEADERS_MAX, _SECRET_MAX, _PEM_MAX = 20, 1_000, 60_000


@dataclass(frozen=True, slots=True)
class OAuthSettings:
    """Client credentials (RFC 6749, 4.4). Without a secret the client shows itself by its certificate (RFC 8705)."""

    token_url: str
    client_id: str
    client_secret: str = field(default="", repr=False)
    scope: str = ""

    def holds(self, *, certified: bool) -> bool:
        """Whether a token can be asked for: over TLS, for the secret is in the request (RFC 6749, 3.2)."""
        return (
            _is_address(self.token_url)
            and (self.token_url.startswith("https://") or urlsplit(self.token_url).hostname in _LOOPBACK)
            and 0 < len(self.client_id) <= _SECRET_MAX
            and len(self.client_secret) <= _SECRET_MAX
            and (bool(self.client_secret) or certified)
            and len(self.scope) <= _SECRET_MAX
            and self.scope.isprintable()
        )


@dataclass(frozen=True, slots=True)
class TlsSettings:
    """Our certificate and key for this provider, and the authority that its own must come from; all PEM."""

    ca: str = ""
    certificate: str = ""
    key: str = field(default="", repr=False)

    def holds(self, *, encrypted: bool) -> bool:
        """Whether it is used at all, and certificate and key come together."""
        pems = [each for each in (self.ca, self.certificate, self.key) if each]
        return (
            encrypted
            and bool(pems)
            and all(len(each) <= _PEM_MAX and _PEM.match(each) for each in pems)
            and bool(self.certificate) == bool(self.key)
        )


@dataclass(frozen=True, slots=True)
class RestSettings:
    """One HTTP request; `{subject_key}` stands in the address or in the body. `mapping`: field -> dotted path."""

    TEXTS: ClassVar[frozenset[str]] = frozenset({"url", "method"})
    TABLES: ClassVar[frozenset[str]] = frozenset({"headers", "body", "mapping", "oauth", "tls"})

    url: str
    mapping: Mapping[str, str]
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: Mapping[str, str] = field(default_factory=dict)
    oauth: OAuthSettings | None = None
    tls: TlsSettings | None = None

    @classmethod
    def read(cls, given: Mapping[str, Any]) -> Self:
        """Read what has the right shape."""
        return cls(
            url=given.get("url", ""),
            mapping=dict(given.get("mapping", {})),
            method=(given.get("method", "") or "GET").upper(),
            headers=dict(given.get("headers", {})),
            body=dict(given.get("body", {})),
            oauth=_read(OAuthSettings, given.get("oauth", {})),
            tls=_read(TlsSettings, given.get("tls", {})),
        )

    def plain(self) -> dict[str, Any]:
        """As stored and as told to operators."""
        plain: dict[str, Any] = {
            "url": self.url,
            "method": self.method,
            "headers": dict(self.headers),
            "body": dict(self.body),
            "mapping": dict(self.mapping),
        }
        for name, part in (("oauth", self.oauth), ("tls", self.tls)):
            if part is not None:
                plain[name] = {each.name: getattr(part, each.name) for each in fields(part)}
        return plain

    def checks(self, fields: set[str]) -> Checks:
        """Say of each setting whether it holds."""
        placed = PLACE in self.url or any(PLACE in value for value in self.body.values())
        certified = self.tls is not None and bool(self.tls.certificate)
        return {
            "url": (_is_address(self.url), "http:// or https://, without credentials."),
            "method": (self.method in {"GET", "POST"}, "GET or POST."),
            "body": (
                placed and (self.method == "POST" or not self.body),
                f"{PLACE} in the url, or in the body of a POST.",
            ),
            "headers": (
                len(self.headers) <= _HEADERS_MAX
                and all(_HEADER.fullmatch(name) and value.isprintable() for name, value in self.headers.items()),
                f"At most {_HEADERS_MAX} headers of printable text.",
            ),
            "mapping": (
                bool(fields) and fields <= set(self.mapping) <= fields | {"subject_key"} and all(self.mapping.values()),
                "One path for every field of the resource (and for subject_key, where the answer tells it), and no others.",
            ),
            "oauth": (
                self.oauth is None or self.oauth.holds(certified=certified),
                "token_url, client_id, and a client_secret unless a certificate shows who asks; optional scope.",
            ),
            "tls": (
                self.tls is None or self.tls.holds(encrypted=self.url.startswith("https://")),
                "For https: ca, and certificate with key; each PEM.",
            ),
        }


def _read(kind: type[Any], given: Mapping[str, str]) -> Any:
    """Read a part that may be left out; a name that it does not know makes it unusable, and so refused."""
    known = {each.name for each in fields(kind)}
    if not given:
        return None
    required = {"token_url": "", "client_id": ""} if kind is OAuthSettings else {}
    return kind(**{**required, **given}) if given.keys() <= known else kind(**required)


def _is_address(url: str) -> bool:
    return url.startswith(("http://", "https://")) and len(url) <= URL_MAX and "@" not in url
