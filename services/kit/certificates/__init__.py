# SPDX-License-Identifier: Apache-2.0
"""Who a process is: an own small certificate authority, SPIFFE ids, and credentials that follow the files on disk.

Layout of the folder: `ca.crt ca.key`, `services/<name>/tls.{crt,key}`, `agencies/<USCC>/tls.{crt,key}`,
`operators/<name>/tls.{crt,key}`, `signers/<USCC>/signer.{crt,key}`.
"""

from services.kit.certificates.authority import CertificateAuthority
from services.kit.certificates.files import read_certificate
from services.kit.certificates.identity import Identity
from services.kit.certificates.spiffe import TRUST_DOMAIN, SpiffeId, host_of

__all__ = ["TRUST_DOMAIN", "CertificateAuthority", "Identity", "SpiffeId", "host_of", "read_certificate"]
