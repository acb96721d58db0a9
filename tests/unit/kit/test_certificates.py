# SPDX-License-Identifier: Apache-2.0
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from services.kit.certificates import CertificateAuthority, Identity, SpiffeId, read_certificate
from services.kit.errors import StartupError

NAME = "spiffe://tongban/service/licenses"
USCC = "11990100000001011X"


@pytest.fixture
def authority(tmp_path: Path) -> CertificateAuthority:
    return CertificateAuthority.open(tmp_path)


def alternatives(certificate: x509.Certificate) -> x509.SubjectAlternativeName:
    return certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value


def usages(certificate: x509.Certificate) -> list[x509.ObjectIdentifier]:
    return list(certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)


def test_the_root_is_made_once(authority: CertificateAuthority, tmp_path: Path) -> None:
    before = (tmp_path / "ca.crt").read_bytes()
    assert CertificateAuthority.open(tmp_path).folder == authority.folder
    assert (tmp_path / "ca.crt").read_bytes() == before
    root = read_certificate(tmp_path / "ca.crt")
    assert root.extensions.get_extension_for_class(x509.BasicConstraints).value.ca


def test_a_process_gets_its_name_its_own_host_and_loopback(authority: CertificateAuthority, tmp_path: Path) -> None:
    folder = authority.issue(NAME)
    assert folder == tmp_path / "services/licenses"
    certificate = read_certificate(folder / "tls.crt")
    certificate.verify_directly_issued_by(read_certificate(tmp_path / "ca.crt"))
    names = alternatives(certificate)
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == [NAME]
    assert names.get_values_for_type(x509.DNSName) == ["licenses.service.tongban.internal", "localhost"]
    assert usages(certificate) == [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    assert isinstance(certificate.public_key(), ec.EllipticCurvePublicKey)


def test_private_files_are_for_their_owner_alone(authority: CertificateAuthority, tmp_path: Path) -> None:
    authority.issue(NAME)
    authority.issue_signer(USCC)
    keys = [*tmp_path.rglob("*.key")]
    assert len(keys) == 3
    assert {stat.S_IMODE(path.stat().st_mode) for path in keys} == {0o600}
    assert not [path for path in tmp_path.rglob("*") if path.name.startswith(".")]


def test_names_have_their_folders(tmp_path: Path) -> None:
    assert SpiffeId.parse(f"spiffe://tongban/agency/{USCC}").folder(tmp_path) == tmp_path / "agencies" / USCC
    assert SpiffeId.parse("spiffe://tongban/operator/wang").folder(tmp_path) == tmp_path / "operators/wang"


def test_a_document_signer_signs_documents_and_nothing_else(authority: CertificateAuthority, tmp_path: Path) -> None:
    folder = authority.issue_signer(USCC)
    certificate = read_certificate(folder / "signer.crt")
    certificate.verify_directly_issued_by(read_certificate(tmp_path / "ca.crt"))
    assert [usage.dotted_string for usage in usages(certificate)] == ["1.3.6.1.5.5.7.3.36"]
    uris = alternatives(certificate).get_values_for_type(x509.UniformResourceIdentifier)
    assert uris == [f"urn:tongban:agency:{USCC}"]
    before = (folder / "signer.crt").read_bytes()
    authority.issue_signer(USCC)
    assert (folder / "signer.crt").read_bytes() == before


def test_a_fresh_certificate_is_kept_and_an_ending_or_foreign_one_replaced(tmp_path: Path) -> None:
    authority = CertificateAuthority.open(tmp_path)
    folder = authority.ensure(NAME)
    first = (folder / "tls.crt").read_bytes()
    authority.ensure(NAME)
    assert (folder / "tls.crt").read_bytes() == first
    later = CertificateAuthority.open(tmp_path, clock=lambda: datetime.now(UTC) + timedelta(days=61))
    later.ensure(NAME)
    second = (folder / "tls.crt").read_bytes()
    assert second != first
    CertificateAuthority.open(tmp_path / "other").issue(NAME, folder)
    authority.ensure(NAME)
    read_certificate(folder / "tls.crt").verify_directly_issued_by(read_certificate(tmp_path / "ca.crt"))


def test_an_identity_knows_its_name_and_sees_its_files_change(authority: CertificateAuthority, tmp_path: Path) -> None:
    authority.issue(NAME)
    identity = Identity.open(tmp_path, NAME)
    assert identity.spiffe_id == NAME
    stamp = identity.stamp
    assert identity.stamp == stamp
    authority.issue(NAME)
    assert identity.stamp != stamp


def test_a_missing_mixed_or_foreign_certificate_stops_the_start_in_words(
    authority: CertificateAuthority, tmp_path: Path
) -> None:
    with pytest.raises(StartupError, match="can't be read"):
        Identity.open(tmp_path, NAME)
    folder = authority.issue(NAME)
    third = authority.issue(NAME, tmp_path / "third")
    authority.issue("spiffe://tongban/service/gateway", folder)
    with pytest.raises(StartupError, match="somebody else"):
        Identity.open(tmp_path, NAME)
    (folder / "tls.key").write_bytes((third / "tls.key").read_bytes())
    with pytest.raises(StartupError, match="belong together"):
        Identity.open(tmp_path, NAME)


def test_a_malformed_name_is_never_issued(authority: CertificateAuthority) -> None:
    with pytest.raises(ValueError, match="not a SPIFFE id"):
        authority.issue("spiffe://elsewhere/service/x")
