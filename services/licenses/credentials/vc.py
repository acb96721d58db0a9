# SPDX-License-Identifier: Apache-2.0
"""A license as SD-JWT VC (draft-ietf-oauth-sd-jwt-vc): how it is written and how a stranger's copy is examined."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from services.kit.errors import Code, Refusal
from services.licenses.credentials import sdjwt
from services.licenses.credentials.encoding import CredentialMalformed
from services.licenses.credentials.sdjwt import SdJwt
from services.licenses.credentials.signers import Signer
from services.licenses.credentials.trust import SignerChain, TrustAnchors
from services.licenses.domain.catalogue import Attributes, Catalogue, LicenseType
from services.licenses.domain.identifier import LicenseIdentifier
from services.licenses.domain.license import License
from services.licenses.domain.verdict import Check, CheckName, unchecked

TYP = "dc+sd-jwt"
AGENCY_URN = "urn:tongban:agency:"

_ALWAYS_OPEN = ("iss", "nbf", "exp", "cnf", "vct", "vct#integrity", "status", "license_id", "identifier")
"""Claims that no disclosure may bring: the draft's list (section 3.2.2.2), and what leads to the record."""

_SECONDS_MAX = 253402214400
"""31 December 9999: what Python's clock can still tell."""


class CredentialTypWrong(Refusal):
    """It is a JWT for something else: `typ` is not `dc+sd-jwt`."""

    code = Code.INVALID_ARGUMENT


class KeyBindingUnexpected(Refusal):
    """A key binding JWT comes along, but the license is bound to no key."""

    code = Code.INVALID_ARGUMENT


class CredentialTypeUnknown(Refusal):
    """`vct` is not of our catalogue."""

    code = Code.INVALID_ARGUMENT


class CredentialTypeDiffers(Refusal):
    """`vct` is of another type than the identifier names."""

    code = Code.INVALID_ARGUMENT


class CredentialExpired(Refusal):
    """Its last second (`exp`) has passed."""

    code = Code.INVALID_ARGUMENT


class CredentialNotYetValid(Refusal):
    """It is dated in the future (`iat` or `nbf`)."""

    code = Code.INVALID_ARGUMENT


class IssuerNotNamed(Refusal):
    """`iss` is not the agency that the signer's certificate names."""

    code = Code.INVALID_ARGUMENT


class IdentifierIssuerDiffers(Refusal):
    """The identifier names another issuer than the one that signed."""

    code = Code.INVALID_ARGUMENT


def sign(license: License, of_type: LicenseType, attributes: Attributes, signer: Signer) -> str:
    """Write a version of a license as a credential with every disclosure.

    Personal attributes stand in disclosures only, and there are always as many digests as the type has
    disclosable attributes: nobody can count what the holder left out. The holder's subject id is not in it,
    because it would tie the copies shown to different verifiers together.
    """
    disclosable = {one.name for one in of_type.attributes if one.disclosable}
    payload: dict[str, Any] = {
        "iss": signer.uri,
        "iat": int(license.issue_time.timestamp()),
        "vct": of_type.vct,
        "license_id": license.license_id,
        "identifier": str(license.identifier),
        **{name: value for name, value in attributes.items() if name not in disclosable},
    }
    if license.expire_time is not None:
        payload["exp"] = int(license.expire_time.timestamp()) + 1
    return sdjwt.write(
        {"typ": TYP, "x5c": list(signer.x5c)},
        payload,
        {name: value for name, value in attributes.items() if name in disclosable},
        sign=signer.sign,
        digests_min=len(disclosable),
    )


def words(credential: str) -> bytes:
    """Return the digest by which a credential is known again, whichever disclosures come with it."""
    return hashlib.sha256(credential.partition("~")[0].encode()).digest()


@dataclass(frozen=True, slots=True)
class Examination:
    """What a credential says and which checks held. `identifier` and `words` are None where it can't be trusted."""

    checks: tuple[Check, ...]
    identifier: LicenseIdentifier | None = None
    words: bytes | None = None


class Examiner:
    """Looks at credentials from anywhere; needs no record of ours."""

    def __init__(self, trust: TrustAnchors, catalogue: Catalogue, *, skew_seconds: float) -> None:
        self._trust = trust
        self._catalogue = catalogue
        self._skew = timedelta(seconds=skew_seconds)

    def examine(self, text: str, *, now: datetime) -> Examination:
        """Make every check that the credential alone allows; the first that fails on its form ends the rest."""
        try:
            credential, claims = _read(text)
        except Refusal as refusal:
            return Examination((Check(CheckName.FORMAT, refusal.reason), *unchecked(_AFTER_FORMAT)))
        found: list[LicenseIdentifier] = []
        checks = (
            Check(CheckName.FORMAT),
            _check(CheckName.SIGNATURE, lambda: self._signature(credential)),
            _check(CheckName.CHAIN, lambda: self._chain(credential, claims)),
            _check(CheckName.TYPE, lambda: self._type(claims)),
            _check(CheckName.DATES, lambda: self._dates(claims, now)),
            _check(CheckName.IDENTIFIER, lambda: found.append(_identifier(claims))),
        )
        genuine = found and all(check.passed for check in checks[:3])
        return Examination(checks, found[0] if genuine else None, words(text) if genuine else None)

    def _signature(self, credential: SdJwt) -> None:
        SignerChain.read(credential.header.get("x5c")).verify(credential.signed, credential.signature)

    def _chain(self, credential: SdJwt, claims: dict[str, Any]) -> None:
        chain = SignerChain.read(credential.header.get("x5c"))
        self._trust.check(chain, _moment(claims, "iat"))
        if not chain.names(claims.get("iss")):
            raise IssuerNotNamed("The issuer is not the one that the certificate names.")

    def _type(self, claims: dict[str, Any]) -> None:
        of_type = next((one for one in self._catalogue.types if one.vct == claims.get("vct")), None)
        if of_type is None:
            raise CredentialTypeUnknown("The type of the credential is not of our catalogue.")
        if f".{of_type.code}." not in str(claims.get("identifier")):
            raise CredentialTypeDiffers("The identifier is of another type than the credential.")

    def _dates(self, claims: dict[str, Any], now: datetime) -> None:
        if any(_moment(claims, name) > now + self._skew for name in ("iat", "nbf") if name in claims):
            raise CredentialNotYetValid("The credential is dated in the future.")
        if "exp" in claims and now >= _moment(claims, "exp") + self._skew:
            raise CredentialExpired("The credential has expired.")


_AFTER_FORMAT = (
    CheckName.SIGNATURE,
    CheckName.CHAIN,
    CheckName.TYPE,
    CheckName.DATES,
    CheckName.IDENTIFIER,
)


def _check(name: CheckName, look: Callable[[], None]) -> Check:
    try:
        look()
    except Refusal as refusal:
        return Check(name, refusal.reason)
    return Check(name)


def _read(text: str) -> tuple[SdJwt, dict[str, Any]]:
    credential = SdJwt.parse(text)
    if credential.header.get("typ") != TYP:
        raise CredentialTypWrong(f"A credential must be of typ {TYP}.")
    if credential.key_binding:
        raise KeyBindingUnexpected("The license is bound to no key.")
    claims = credential.claims()
    if any((name in claims) != (name in credential.payload) for name in _ALWAYS_OPEN):
        raise CredentialMalformed("A claim that must be open comes in a disclosure.")
    _moment(claims, "iat")
    return credential, claims


def _moment(claims: dict[str, Any], name: str) -> datetime:
    seconds = claims.get(name)
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds < _SECONDS_MAX:
        raise CredentialMalformed(f"{name} must be a number of seconds since 1970.")
    return datetime.fromtimestamp(seconds, UTC)


def _identifier(claims: dict[str, Any]) -> LicenseIdentifier:
    identifier = LicenseIdentifier.parse(str(claims.get("identifier")))
    if claims.get("iss") != AGENCY_URN + identifier.issuer:
        raise IdentifierIssuerDiffers("The identifier names another issuer than the one that signed.")
    return identifier
