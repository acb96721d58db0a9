# SPDX-License-Identifier: Apache-2.0
import base64
import hashlib
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from joserfc import jwk, jws

from services.kit.crypto import Keyring, SealBroken, SigningKey
from services.kit.errors import StartupError


@pytest.fixture
def ring(tmp_path: Path) -> Keyring:
    return Keyring.open(tmp_path)


def test_what_is_sealed_opens_with_its_context_alone(ring: Keyring) -> None:
    sealed = ring.seal(b"11010519491231002X", "persons.number")
    assert ring.open_sealed(sealed, "persons.number") == b"11010519491231002X"
    assert b"11010519491231002X" not in sealed
    with pytest.raises(SealBroken):
        ring.open_sealed(sealed, "persons.name")


def test_the_same_plaintext_is_sealed_differently_each_time(ring: Keyring) -> None:
    assert ring.seal(b"x", "c") != ring.seal(b"x", "c")


def test_every_changed_byte_is_noticed(ring: Keyring) -> None:
    sealed = ring.seal(b"plain", "c")
    for place in range(len(sealed)):
        changed = bytearray(sealed)
        changed[place] ^= 1
        with pytest.raises(SealBroken):
            ring.open_sealed(bytes(changed), "c")
    for length in (0, 1, 20, len(sealed) - 1):
        with pytest.raises(SealBroken):
            ring.open_sealed(sealed[:length], "c")


def test_another_keyring_opens_nothing(ring: Keyring, tmp_path: Path) -> None:
    with pytest.raises(SealBroken):
        Keyring.open(tmp_path / "other").open_sealed(ring.seal(b"x", "c"), "c")


def test_rotation_keeps_the_old_readable_and_indexes_stable(ring: Keyring, tmp_path: Path) -> None:
    old, index, name = ring.seal(b"x", "c"), ring.blind_index("v", "c"), ring.pseudonym("s")
    elsewhere = Keyring.open(tmp_path)
    ring.rotate()
    new = ring.seal(b"y", "c")
    assert old[1:9] != new[1:9]
    assert ring.open_sealed(old, "c") == b"x"
    assert elsewhere.open_sealed(new, "c") == b"y"
    again = Keyring.open(tmp_path)
    assert (again.open_sealed(old, "c"), again.open_sealed(new, "c")) == (b"x", b"y")
    assert (again.blind_index("v", "c"), again.pseudonym("s")) == (index, name)


def test_indexes_pseudonyms_and_digests_are_keyed_and_apart(ring: Keyring, tmp_path: Path) -> None:
    other = Keyring.open(tmp_path / "other")
    assert ring.blind_index("v", "a") == ring.blind_index("v", "a")
    assert ring.blind_index("v", "a") != ring.blind_index("v", "b")
    assert ring.blind_index("bc", "a") != ring.blind_index("c", "ab")
    assert ring.blind_index("v", "a") != other.blind_index("v", "a")
    assert ring.pseudonym("v") != other.pseudonym("v") != ring.digest(b"v")
    assert ring.digest(b"v") != hashlib.sha256(b"v").hexdigest()
    assert len(ring.pseudonym("v")) == len(ring.digest(b"v")) == 64


def test_key_files_are_for_their_owner_alone(tmp_path: Path) -> None:
    Keyring.open(tmp_path)
    SigningKey.open(tmp_path, "token")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["keyring.json", "token.pem"]
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {0o600}


OPENED = """
import sys
from pathlib import Path
from services.kit.crypto import Keyring, SigningKey
folder = Path(sys.argv[1])
print(Keyring.open(folder).pseudonym("s"), SigningKey.open(folder, "token").kid)
"""


def test_processes_that_start_at_once_agree_on_their_keys(tmp_path: Path) -> None:
    command = [sys.executable, "-c", OPENED, str(tmp_path / "keys")]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(6)]
    found = {process.communicate(timeout=60)[0] for process in processes}
    assert [process.returncode for process in processes] == [0] * 6
    assert len(found) == 1


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"active": "00", "keys": {}}', '{"keys": 5}'])
def test_a_damaged_keyring_stops_the_start_in_words(tmp_path: Path, content: str) -> None:
    (tmp_path / "keyring.json").write_text(content)
    with pytest.raises(StartupError, match="damaged"):
        Keyring.open(tmp_path)


def test_a_folder_that_cannot_be_written_stops_the_start_in_words(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StartupError, match="can't be written"):
        Keyring.open(tmp_path / "file" / "keys")


def test_a_signature_is_es256_as_others_verify_it(tmp_path: Path) -> None:
    key = SigningKey.open(tmp_path, "token")
    signed = key.sign_jws(b'{"a":1}', {"typ": "at+jwt"})
    verified = jws.deserialize_compact(signed, jwk.import_key(dict(key.public_jwk())), algorithms=["ES256"])
    assert verified.payload == b'{"a":1}'
    assert verified.headers() == {"alg": "ES256", "kid": key.kid, "typ": "at+jwt"}
    assert len(base64.urlsafe_b64decode(signed.split(".")[2] + "==")) == 64


def test_a_key_is_named_by_its_thumbprint(tmp_path: Path) -> None:
    key = SigningKey.open(tmp_path, "token")
    assert key.kid == jwk.import_key(dict(key.public_jwk())).thumbprint()
    assert SigningKey.open(tmp_path, "token").kid == key.kid
    assert "d" not in key.public_jwk()
