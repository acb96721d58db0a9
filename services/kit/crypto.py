# SPDX-License-Identifier: Apache-2.0
"""Keys on disk and what they do: seal personal data, find it blindly, name it by pseudonym, sign for it.

Sealed bytes are: version (1 byte, 0x01) | key id (8) | nonce (12) | AES-256-GCM ciphertext and tag. Nonces are
random, so a key should be rotated before 2^32 seals (NIST SP 800-38D, 8.3).
"""

import base64
import binascii
import fcntl
import hashlib
import hmac
import json
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from services.kit.errors import StartupError

_VERSION = b"\x01"
_KEY_ID_BYTES = 8
_NONCE_BYTES = 12
_HEAD_BYTES = len(_VERSION) + _KEY_ID_BYTES + _NONCE_BYTES
_COORDINATE_BYTES = 32
_FILE = "keyring.json"


class SealBroken(Exception):  # noqa: N818 - it states what is so
    """Sealed bytes don't open: changed, of another context, or of a key that we don't hold. Never a caller's fault."""


class Keyring:
    """The data keys of one service. Old keys stay for reading; the newest seals."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._ciphers: dict[bytes, AESGCM] = {}
        self._active = b""
        self._index = self._pseudonym = self._digest = b""
        self._read()

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Open the keyring of a folder, and make it on first use. Two processes that start at once agree on one."""
        path = Path(folder) / _FILE
        if not path.exists():
            create_once(path, json.dumps(_fresh()).encode())
        return cls(path)

    def rotate(self) -> None:
        """Add a key that seals from now on. Index, pseudonym and digest keys stay: their answers are stored."""
        with _locked(self._path):
            content = _load(self._path)
            key_id = secrets.token_hex(_KEY_ID_BYTES)
            content["keys"][key_id] = _text(secrets.token_bytes(32))
            content["active"] = key_id
            replace_file(self._path, json.dumps(content).encode(), mode=0o600)
        self._read()

    def seal(self, plaintext: bytes, context: str) -> bytes:
        """Encrypt; the context (e.g. `persons.number`) must be given again to open it."""
        nonce = os.urandom(_NONCE_BYTES)
        head = _VERSION + self._active
        sealed = self._ciphers[self._active].encrypt(nonce, plaintext, head + context.encode())
        return head + nonce + sealed

    def open_sealed(self, sealed: bytes, context: str) -> bytes:
        """Decrypt what `seal` made with the same context. Raises SealBroken."""
        if len(sealed) < _HEAD_BYTES or sealed[:1] != _VERSION:
            raise SealBroken("These bytes are not sealed by us.")
        head = sealed[: 1 + _KEY_ID_BYTES]
        cipher = self._cipher(head[1:])
        try:
            return cipher.decrypt(sealed[len(head) : _HEAD_BYTES], sealed[_HEAD_BYTES:], head + context.encode())
        except InvalidTag as error:
            raise SealBroken("Sealed bytes were changed, or belong to another context.") from error

    def blind_index(self, value: str, context: str) -> bytes:
        """Give the 32 bytes under which a value can be found without being read."""
        return hmac.digest(self._index, _framed(context, value), hashlib.sha256)

    def pseudonym(self, subject_id: str) -> str:
        """Give the name (64 hexadecimal digits) of a subject in the ledger; the same subject, the same name."""
        return hmac.digest(self._pseudonym, subject_id.encode(), hashlib.sha256).hex()

    def digest(self, payload: bytes) -> str:
        """Give a keyed digest (64 hexadecimal digits), so that short answers can't be guessed from it."""
        return hmac.digest(self._digest, payload, hashlib.sha256).hex()

    def _cipher(self, key_id: bytes) -> AESGCM:
        """Find a key; an unknown one may come from a rotation in another process, so the file is read once more."""
        if key_id not in self._ciphers:
            self._read()
        try:
            return self._ciphers[key_id]
        except KeyError as error:
            raise SealBroken("Sealed bytes name a key that this keyring doesn't hold.") from error

    def _read(self) -> None:
        content = _load(self._path)
        try:
            ciphers = {bytes.fromhex(key_id): AESGCM(_bytes(key)) for key_id, key in content["keys"].items()}
            active = bytes.fromhex(content["active"])
            index, pseudonym, digest = (_bytes(content[name]) for name in ("index", "pseudonym", "digest"))
        except (KeyError, TypeError, ValueError, AttributeError, binascii.Error) as error:
            raise StartupError(f"The keyring {self._path} is damaged.") from error
        if active not in ciphers or any(len(key) != _KEY_ID_BYTES for key in ciphers):
            raise StartupError(f"The keyring {self._path} is damaged.")
        self._ciphers, self._active = ciphers, active
        self._index, self._pseudonym, self._digest = index, pseudonym, digest


class SigningKey:
    """A P-256 key on disk that signs with ES256 (RFC 7518, 3.4). `kid` is its thumbprint (RFC 7638)."""

    def __init__(self, private: ec.EllipticCurvePrivateKey) -> None:
        self.private = private
        numbers = private.public_key().public_numbers()
        self._point = {
            "crv": "P-256",
            "kty": "EC",
            "x": base64url(numbers.x.to_bytes(_COORDINATE_BYTES, "big")),
            "y": base64url(numbers.y.to_bytes(_COORDINATE_BYTES, "big")),
        }
        self.kid = base64url(hashlib.sha256(_compact(self._point)).digest())

    @classmethod
    def open(cls, folder: Path, name: str) -> Self:
        """Open `<name>.pem` of a folder, and make it (0600) on first use."""
        path = Path(folder) / f"{name}.pem"
        if not path.exists():
            create_once(path, private_pem(ec.generate_private_key(ec.SECP256R1())))
        return cls.read(path)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Open a P-256 key in PEM, e.g. that of a document signer."""
        try:
            key = serialization.load_pem_private_key(path.read_bytes(), password=None)
        except (OSError, ValueError) as error:
            raise StartupError(f"The signing key {path} can't be read.") from error
        if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
            raise StartupError(f"The signing key {path} is not a P-256 key.")
        return cls(key)

    def public_jwk(self) -> dict[str, str]:
        """Give the public half as a JWK (RFC 7517)."""
        return {**self._point, "alg": "ES256", "kid": self.kid, "use": "sig"}

    def sign(self, message: bytes) -> bytes:
        """Sign; the 64 bytes of r and s, as JOSE wants them."""
        r, s = utils.decode_dss_signature(self.private.sign(message, ec.ECDSA(hashes.SHA256())))
        return r.to_bytes(_COORDINATE_BYTES, "big") + s.to_bytes(_COORDINATE_BYTES, "big")

    def sign_jws(self, payload: bytes, headers: Mapping[str, Any] | None = None) -> str:
        """Give a compact JWS (RFC 7515, 7.1). `alg` and `kid` are set here; `headers` adds e.g. `typ` and `x5c`."""
        head = {"kid": self.kid, **(headers or {}), "alg": "ES256"}
        signed = f"{base64url(_compact(head))}.{base64url(payload)}"
        return f"{signed}.{base64url(self.sign(signed.encode()))}"


def sm3(*parts: bytes) -> bytes:
    """Digest the parts as one message (GB/T 32905-2016); 32 bytes. Python's own hashlib need not have it."""
    digest = hashes.Hash(hashes.SM3())
    for part in parts:
        digest.update(part)
    return digest.finalize()


def base64url(value: bytes) -> str:
    """Encode without padding (RFC 7515, appendix C)."""
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def private_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """Write a private key as unencrypted PKCS #8; the file's mode protects it."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def create_once(path: Path, content: bytes, *, mode: int = 0o600) -> bool:
    """Create a file whole or not at all, and keep one that somebody else was faster to create. True if it is ours."""
    temporary = _written(path, content, mode)
    try:
        os.link(temporary, path)
    except FileExistsError:
        return False
    finally:
        temporary.unlink()
    _sync_folder(path.parent)
    return True


def replace_file(path: Path, content: bytes, *, mode: int = 0o644) -> None:
    """Replace a file whole or not at all: a reader sees the old one or the new one."""
    _written(path, content, mode).replace(path)
    _sync_folder(path.parent)


def _written(path: Path, content: bytes, mode: int) -> Path:
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(descriptor)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise StartupError(f"{path} can't be written: {error.strerror}.") from error
    return temporary


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.with_suffix(".lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _fresh() -> dict[str, Any]:
    key_id = secrets.token_hex(_KEY_ID_BYTES)
    own = {name: _text(secrets.token_bytes(32)) for name in ("index", "pseudonym", "digest")}
    return {"active": key_id, "keys": {key_id: _text(secrets.token_bytes(32))}, **own}


def _load(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_bytes())
    except OSError as error:
        raise StartupError(f"The keyring {path} can't be read: {error.strerror}.") from error
    except ValueError as error:
        raise StartupError(f"The keyring {path} is damaged.") from error
    if not isinstance(content, dict):
        raise StartupError(f"The keyring {path} is damaged.")
    return content


def _framed(context: str, value: str) -> bytes:
    return f"{len(context)}:{context}{value}".encode()


def _compact(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, separators=(",", ":"), sort_keys=True).encode()


def _text(value: bytes) -> str:
    return base64.b64encode(value).decode()


def _bytes(value: str) -> bytes:
    return base64.b64decode(value, validate=True)
