# SPDX-License-Identifier: Apache-2.0
import pytest

from services.kit.errors import Code, NotFound, Refusal, RemoteRefusal, Unavailable, VersionConflict, reason_of


class LicenseNotActive(Refusal):
    """As a room writes it."""


class QuotaSpent(Refusal):
    code = Code.RESOURCE_EXHAUSTED
    reason = "GRANT_QUOTA_SPENT"


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("LicenseNotActive", "LICENSE_NOT_ACTIVE"),
        ("NotFound", "NOT_FOUND"),
        ("USCCInvalid", "USCC_INVALID"),
        ("Sm2SealBroken", "SM2_SEAL_BROKEN"),
        ("Refused", "REFUSED"),
    ],
)
def test_a_reason_is_the_name_in_capitals(name: str, reason: str) -> None:
    assert reason_of(name) == reason


def test_a_refusal_states_its_reason_and_code_by_its_class() -> None:
    assert (LicenseNotActive.reason, LicenseNotActive.code) == ("LICENSE_NOT_ACTIVE", Code.FAILED_PRECONDITION)
    assert (QuotaSpent.reason, QuotaSpent.code) == ("GRANT_QUOTA_SPENT", Code.RESOURCE_EXHAUSTED)
    assert (NotFound.code, VersionConflict.code) == (Code.NOT_FOUND, Code.ABORTED)


def test_a_subclass_of_a_refusal_has_a_reason_of_its_own_and_keeps_the_code() -> None:
    class PersonNotFound(NotFound):
        pass

    assert (PersonNotFound.reason, PersonNotFound.code) == ("PERSON_NOT_FOUND", Code.NOT_FOUND)


def test_a_remote_refusal_keeps_the_others_code_and_reason() -> None:
    refusal = RemoteRefusal("No.", code=Code.ABORTED, reason="VERSION_CONFLICT")
    assert isinstance(refusal, Refusal)
    assert (refusal.code, refusal.reason, str(refusal)) == (Code.ABORTED, "VERSION_CONFLICT", "No.")
    assert RemoteRefusal.reason == "REMOTE_REFUSAL"


def test_unavailable_is_no_refusal() -> None:
    assert not isinstance(Unavailable("away"), Refusal)
