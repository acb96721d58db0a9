# SPDX-License-Identifier: Apache-2.0
"""Licenses as SD-JWT VC: strangers' libraries agree, and every way of being wrong has its name."""

import base64
import json
from collections.abc import Mapping
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from joserfc import jwk, jws
from jwcrypto.jwk import JWK
from sd_jwt.verifier import SDJWTVerifier

from services.kit.certificates import CertificateAuthority
from services.licenses.credentials.encoding import encode_bytes
from services.licenses.credentials.signers import SignerFolder, SignerMissing
from services.licenses.credentials.trust import TrustAnchors
from services.licenses.credentials.vc import Examination, words
from services.licenses.domain.verdict import CheckName
from tests.support.licenses_paper import (
    BIRTH,
    CARD,
    CHILD,
    HOSPITAL,
    HUMAN_RESOURCES,
    NOW,
    Paper,
    disclosures_of,
    shown,
)

ADULT = {"name": "测试人", "number": "990100199001011234"}


@pytest.fixture
def paper(tmp_path: Path) -> Paper:
    return Paper.made(tmp_path)


def reasons(examination: Examination) -> dict[CheckName, str]:
    return {check.name: check.reason for check in examination.checks if not check.passed}


def signer_key(paper: Paper, uscc: str = HOSPITAL) -> bytes:
    certificate = x509.load_pem_x509_certificate((paper.folder / "signers" / uscc / "signer.crt").read_bytes())
    return certificate.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def test_a_credential_of_ours_passes_every_check(paper: Paper) -> None:
    examination = paper.examiner().examine(paper.credential(), now=NOW)
    assert reasons(examination) == {}
    assert examination.identifier == paper.license().identifier
    assert [check.name for check in examination.checks] == list(CheckName)[:6]


def test_every_choice_of_disclosures_passes_and_is_known_again(paper: Paper) -> None:
    whole = paper.credential()
    for names in ((), ("child_name",), ("birth_date", "child_sex")):
        part = shown(whole, *names)
        assert reasons(paper.examiner().examine(part, now=NOW)) == {}
        assert words(part) == words(whole)


def test_personal_attributes_stand_in_disclosures_only(paper: Paper) -> None:
    jwt = paper.credential().partition("~")[0]
    header, payload = (json.loads(base64.urlsafe_b64decode(part + "==")) for part in jwt.split(".")[:2])
    assert set(payload) == {"iss", "iat", "vct", "license_id", "identifier", "_sd", "_sd_alg"}
    assert header["typ"] == "dc+sd-jwt"
    assert len(header["x5c"]) == 1
    assert len(payload["_sd"]) == len(paper.catalogue.type_of(BIRTH).attributes)
    assert payload["iss"] == f"urn:tongban:agency:{HOSPITAL}"


def test_two_credentials_of_the_same_words_share_no_salt_and_no_digest(paper: Paper) -> None:
    first, second = paper.credential(), paper.credential()
    assert not set(disclosures_of(first)) & set(disclosures_of(second))


def test_the_independent_sd_jwt_package_reads_the_same(paper: Paper) -> None:
    key = JWK.from_pem(signer_key(paper))
    payload = SDJWTVerifier(paper.credential(), lambda _issuer, _header: key).get_verified_payload()
    assert {name: payload[name] for name in CHILD} == dict(CHILD)
    part = shown(paper.credential(), "birth_date")
    claims = SDJWTVerifier(part, lambda _issuer, _header: key).get_verified_payload()
    assert claims["birth_date"] == "2026-10-30"
    assert "child_name" not in claims


def test_joserfc_verifies_the_signature_with_the_key_of_x5c(paper: Paper) -> None:
    jwt = paper.credential().partition("~")[0]
    key = jwk.ECKey.import_key(signer_key(paper))
    registry = jws.JWSRegistry(algorithms=["ES256"])
    registry.max_header_length = 8192  # x5c is longer than its default of 512 bytes
    assert jws.deserialize_compact(jwt, key, registry=registry).headers()["typ"] == "dc+sd-jwt"


def test_a_license_that_ends_says_when(paper: Paper) -> None:
    license = paper.license(CARD, HUMAN_RESOURCES, "C1")
    credential = paper.credential(license, ADULT)
    assert license.expire_time is not None
    examiner, end = paper.examiner(), license.expire_time + timedelta(seconds=1)
    assert reasons(examiner.examine(credential, now=end + timedelta(seconds=59))) == {}
    late = examiner.examine(credential, now=end + timedelta(seconds=60))
    assert reasons(late) == {CheckName.DATES: "CREDENTIAL_EXPIRED"}
    assert late.identifier == license.identifier, "An expired license still has its record."


def test_a_credential_from_the_future_is_not_yet_valid(paper: Paper) -> None:
    credential = paper.credential()
    examiner = paper.examiner()
    assert reasons(examiner.examine(credential, now=NOW - timedelta(seconds=60))) == {}
    early = examiner.examine(credential, now=NOW - timedelta(seconds=61))
    assert reasons(early) == {CheckName.DATES: "CREDENTIAL_NOT_YET_VALID"}


def changed(**claims: Any) -> Any:
    return lambda before: {name: value for name, value in {**before, **claims}.items() if value is not None}


IDENTIFIER = "1.2.156.3005.2.111000000000010033002.1299010000000102XJ.Z990100001.001."


@pytest.mark.parametrize(
    ("header", "payload", "check", "reason"),
    [
        ({"typ": "vc+sd-jwt"}, {}, "format", "CREDENTIAL_TYP_WRONG"),
        ({"typ": None}, {}, "format", "CREDENTIAL_TYP_WRONG"),
        ({"alg": "none"}, {}, "format", "ALGORITHM_REFUSED"),
        ({}, {"_sd_alg": "md5"}, "format", "ALGORITHM_REFUSED"),
        ({}, {"_sd": []}, "format", "DISCLOSURE_UNREFERENCED"),
        ({}, {"child_name": "x"}, "format", "CLAIM_TWICE"),
        ({}, {"iat": "today"}, "format", "CREDENTIAL_MALFORMED"),
        ({}, {"iat": None}, "format", "CREDENTIAL_MALFORMED"),
        ({}, {"iat": True}, "format", "CREDENTIAL_MALFORMED"),
        ({}, {"iat": 1e300}, "format", "CREDENTIAL_MALFORMED"),
        ({}, {"exp": -1}, "dates", "CREDENTIAL_MALFORMED"),
        ({}, {"nbf": 4_000_000_000}, "dates", "CREDENTIAL_NOT_YET_VALID"),
        ({}, {"exp": 1}, "dates", "CREDENTIAL_EXPIRED"),
        ({}, {"vct": "urn:tongban:license:111000000000010033099:1"}, "type", "CREDENTIAL_TYPE_UNKNOWN"),
        ({}, {"vct": None}, "type", "CREDENTIAL_TYPE_UNKNOWN"),
        ({}, {"vct": "urn:tongban:license:111000000000010033011:1"}, "type", "CREDENTIAL_TYPE_DIFFERS"),
        ({}, {"identifier": IDENTIFIER + "0"}, "identifier", "IDENTIFIER_CHECK_FAILED"),
        ({}, {"identifier": 7}, "identifier", "IDENTIFIER_MALFORMED"),
        ({}, {"iss": f"urn:tongban:agency:{HUMAN_RESOURCES}"}, "chain", "ISSUER_NOT_NAMED"),
        ({}, {"iss": f"urn:tongban:agency:{HUMAN_RESOURCES}"}, "identifier", "IDENTIFIER_ISSUER_DIFFERS"),
        ({"x5c": None}, {}, "signature", "CERTIFICATE_MISSING"),
        ({"x5c": []}, {}, "chain", "CERTIFICATE_MISSING"),
        ({"x5c": ["!"]}, {}, "signature", "CERTIFICATE_MISSING"),
        ({"x5c": "text"}, {}, "signature", "CERTIFICATE_MISSING"),
        ({"x5c": [7]}, {}, "signature", "CERTIFICATE_MISSING"),
    ],
)
def test_every_wrong_has_its_name(
    paper: Paper, header: Mapping[str, Any], payload: Mapping[str, Any], check: str, reason: str
) -> None:
    forged = paper.forged(paper.credential(), header=changed(**header), payload=changed(**payload))
    assert reasons(paper.examiner().examine(forged, now=NOW))[CheckName(check)] == reason


def test_another_agency_cannot_sign_for_the_hospital(paper: Paper) -> None:
    own = list(paper.signers.of(HUMAN_RESOURCES).x5c)
    forged = paper.forged(paper.credential(), header=changed(x5c=own), signer=HUMAN_RESOURCES)
    examination = paper.examiner().examine(forged, now=NOW)
    assert reasons(examination) == {CheckName.CHAIN: "ISSUER_NOT_NAMED"}
    assert examination.identifier is None, "A forgery learns nothing of the record."


def test_a_changed_payload_breaks_the_signature(paper: Paper) -> None:
    whole = paper.credential()
    forged = paper.forged(whole, payload=changed(iat=int(NOW.timestamp()) - 1))
    mixed = ".".join((*forged.split(".")[:2], whole.split(".", 2)[2]))
    assert reasons(paper.examiner().examine(mixed, now=NOW)) == {CheckName.SIGNATURE: "SIGNATURE_WRONG"}


def test_a_root_in_the_chain_is_refused(paper: Paper) -> None:
    root = x509.load_pem_x509_certificate((paper.folder / "ca.crt").read_bytes())
    der = base64.b64encode(root.public_bytes(serialization.Encoding.DER)).decode()
    chain = [*paper.signers.of(HOSPITAL).x5c, der]
    forged = paper.forged(paper.credential(), header=changed(x5c=chain))
    assert reasons(paper.examiner().examine(forged, now=NOW)) == {CheckName.CHAIN: "ANCHOR_IN_CHAIN"}


def test_a_chain_to_another_root_is_broken(paper: Paper, tmp_path: Path) -> None:
    foreign = Paper.made(tmp_path / "foreign")
    examination = paper.examiner().examine(foreign.credential(), now=NOW)
    assert reasons(examination) == {CheckName.CHAIN: "CHAIN_BROKEN"}


def test_two_certificates_that_do_not_follow_each_other_are_broken(paper: Paper) -> None:
    chain = [*paper.signers.of(HOSPITAL).x5c, *paper.signers.of(HUMAN_RESOURCES).x5c]
    forged = paper.forged(paper.credential(), header=changed(x5c=chain))
    assert reasons(paper.examiner().examine(forged, now=NOW)) == {CheckName.CHAIN: "CHAIN_BROKEN"}


def test_the_certificate_of_a_door_signs_no_license(paper: Paper) -> None:
    """An agency's TLS key lies on many machines; it must not be able to issue."""
    folder = CertificateAuthority.open(paper.folder, clock=lambda: NOW).issue(f"spiffe://tongban/agency/{HOSPITAL}")
    stolen = paper.folder / "stolen" / HOSPITAL
    stolen.mkdir(parents=True)
    (stolen / "signer.crt").write_bytes((folder / "tls.crt").read_bytes())
    (stolen / "signer.key").write_bytes((folder / "tls.key").read_bytes())
    thief = Paper(paper.folder, paper.catalogue, SignerFolder(paper.folder / "stolen"), paper.trust)
    examination = paper.examiner().examine(thief.credential(), now=NOW)
    assert reasons(examination)[CheckName.CHAIN] == "CERTIFICATE_UNFIT"


def test_a_license_outlives_its_signer_but_is_not_dated_before_it(paper: Paper) -> None:
    later = NOW + timedelta(days=3000)
    assert reasons(paper.examiner().examine(paper.credential(), now=later)) == {}
    before = int((NOW - timedelta(days=1)).timestamp())
    forged = paper.forged(paper.credential(), payload=changed(iat=before))
    assert reasons(paper.examiner().examine(forged, now=NOW)) == {CheckName.CHAIN: "CERTIFICATE_NOT_VALID"}


def test_what_must_be_open_may_not_come_in_a_disclosure(paper: Paper) -> None:
    """Else whoever shows a license could leave its end out."""
    hidden = encode_bytes(b'["c2FsdHNhbHRzYWx0c2FsdA","exp",4000000000]')
    digest = encode_bytes(sha256(hidden.encode()).digest())
    jwt = paper.credential().partition("~")[0] + "~"
    forged = paper.forged(jwt, payload=lambda before: {**before, "_sd": [digest]}) + hidden + "~"
    assert reasons(paper.examiner().examine(forged, now=NOW))[CheckName.FORMAT] == "CREDENTIAL_MALFORMED"


def test_a_key_binding_with_a_license_of_no_key_is_refused(paper: Paper) -> None:
    examination = paper.examiner().examine(paper.credential() + "a.b.c", now=NOW)
    assert reasons(examination)[CheckName.FORMAT] == "KEY_BINDING_UNEXPECTED"
    assert reasons(examination)[CheckName.SIGNATURE] == "NOT_CHECKED"


def test_a_bare_jwt_and_noise_are_malformed(paper: Paper) -> None:
    for text in (paper.credential().partition("~")[0], "", "~~~", "\0", "你好~"):
        assert reasons(paper.examiner().examine(text, now=NOW))[CheckName.FORMAT] == "CREDENTIAL_MALFORMED"


def test_an_agency_without_signer_is_refused_in_words(paper: Paper) -> None:
    with pytest.raises(SignerMissing) as caught:
        paper.signers.of("119901000000010701")
    assert caught.value.reason == "SIGNER_MISSING"


def test_a_key_that_does_not_belong_to_its_certificate_signs_nothing(paper: Paper) -> None:
    signers = paper.folder / "signers"
    (signers / HOSPITAL / "signer.key").write_bytes((signers / HUMAN_RESOURCES / "signer.key").read_bytes())
    with pytest.raises(SignerMissing):
        paper.signers.of(HOSPITAL)


def test_a_new_signer_is_picked_up_without_a_restart(paper: Paper) -> None:
    before = paper.signers.of(HOSPITAL)
    (paper.folder / "signers" / HOSPITAL / "signer.crt").unlink()
    CertificateAuthority.open(paper.folder, clock=lambda: NOW).issue_signer(HOSPITAL)
    assert paper.signers.of(HOSPITAL).x5c != before.x5c
    assert paper.signers.of(HOSPITAL) is paper.signers.of(HOSPITAL)


def test_roots_are_read_again_and_a_broken_file_takes_nothing_away(paper: Paper, tmp_path: Path) -> None:
    credential, root = paper.credential(), paper.folder / "ca.crt"
    kept = root.read_bytes()
    root.write_bytes(b"half a fi")
    assert reasons(paper.examiner().examine(credential, now=NOW)) == {}
    other = Paper.made(tmp_path / "other")
    root.write_bytes((other.folder / "ca.crt").read_bytes())
    assert reasons(paper.examiner().examine(credential, now=NOW)) == {CheckName.CHAIN: "CHAIN_BROKEN"}
    root.write_bytes(kept + (other.folder / "ca.crt").read_bytes())
    assert reasons(paper.examiner().examine(credential, now=NOW)) == {}
    assert reasons(paper.examiner().examine(other.credential(), now=NOW)) == {}
    assert TrustAnchors(root)
