# SPDX-License-Identifier: Apache-2.0
"""Paper for tests of licenses: an authority, signers, a license and its credential, and ways to forge one."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from services.kit.certificates import CertificateAuthority
from services.licenses.credentials import vc
from services.licenses.credentials.encoding import decode_bytes, encode_bytes
from services.licenses.credentials.signers import SignerFolder
from services.licenses.credentials.trust import TrustAnchors
from services.licenses.domain.catalogue import Attributes, Catalogue
from services.licenses.domain.license import Draft, License, issue
from services.licenses.store import read_catalogue

NOW = datetime(2026, 11, 2, 8, 0, tzinfo=UTC)
HOSPITAL = "1299010000000102XJ"
HUMAN_RESOURCES = "119901000000010626"
BIRTH = "111000000000010033002"
CARD = "111000000000010033011"
CHILD: Attributes = {
    "certificate_number": "Z990100001",
    "child_name": "测试宝宝",
    "child_sex": "female",
    "birth_date": "2026-10-30",
    "birth_weight_grams": 3250,
}
TYPES = Path(__file__).parents[2] / "services" / "licenses" / "types"


@dataclass
class Paper:
    """Everything that a credential is made of and checked against, in one folder."""

    folder: Path
    catalogue: Catalogue
    signers: SignerFolder
    trust: TrustAnchors

    @classmethod
    def made(cls, folder: Path, *, agencies: tuple[str, ...] = (HOSPITAL, HUMAN_RESOURCES)) -> "Paper":
        authority = CertificateAuthority.open(folder, clock=lambda: NOW)
        for agency in agencies:
            authority.issue_signer(agency)
        return cls(folder, read_catalogue(TYPES), SignerFolder(folder / "signers"), TrustAnchors(folder / "ca.crt"))

    def examiner(self) -> vc.Examiner:
        return vc.Examiner(self.trust, self.catalogue, skew_seconds=60)

    def license(self, type_code: str = BIRTH, issuer: str = HOSPITAL, serial: str = "Z990100001") -> License:
        of_type = self.catalogue.type_of(type_code)
        draft = Draft(type_code, issuer, serial, "0d1c2b3a-0000-4000-8000-000000000001")
        months = of_type.validity_months
        license_id = "5e9d4c1a-0000-4000-8000-000000000002"
        return issue(draft, None, license_id=license_id, validity_months=months, now=NOW)[0]

    def credential(self, license: License | None = None, attributes: Attributes = CHILD) -> str:
        license = license or self.license()
        of_type = self.catalogue.type_of(license.identifier.type_code)
        return vc.sign(license, of_type, of_type.check(attributes), self.signers.of(license.identifier.issuer))

    def forged(
        self,
        credential: str,
        *,
        header: Callable[[dict[str, Any]], Mapping[str, Any]] = dict,
        payload: Callable[[dict[str, Any]], Mapping[str, Any]] = dict,
        signer: str = HOSPITAL,
    ) -> str:
        """The same with another header or payload, signed anew by an agency that has a signer."""
        jwt, tilde, disclosures = credential.partition("~")
        head, body, _ = jwt.split(".")
        parts = [
            encode_bytes(json.dumps(change(json.loads(decode_bytes(part)))).encode())
            for part, change in ((head, header), (body, payload))
        ]
        signed = ".".join(parts)
        signature = self.signers.of(signer).sign(signed.encode())
        return f"{signed}.{encode_bytes(signature)}{tilde}{disclosures}"


def disclosures_of(credential: str) -> list[str]:
    """The disclosures of a credential without key binding."""
    return credential.split("~")[1:-1]


def shown(credential: str, *names: str) -> str:
    """What a holder shows who discloses only these claims."""
    jwt = credential.partition("~")[0]
    kept = [one for one in disclosures_of(credential) if json.loads(decode_bytes(one))[1] in names]
    return "~".join((jwt, *kept, ""))
