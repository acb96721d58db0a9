# SPDX-License-Identifier: Apache-2.0
import grpc
import pytest
from google.rpc import status_pb2
from grpc import aio

from services.kit.errors import (
    Code,
    NotFound,
    Refusal,
    RemoteFailure,
    RemoteRefusal,
    RequestInvalid,
    TooManyRequests,
    Unavailable,
    Violation,
)
from services.kit.rpc.status import broken, code_of, received, refused, trailers, unavailable


def arrived(status: status_pb2.Status) -> aio.AioRpcError:
    """As a client gets it."""
    [code] = [code for code in grpc.StatusCode if code.value[0] == status.code]
    return aio.AioRpcError(code, aio.Metadata(), aio.Metadata(*trailers(status)), status.message)


def test_every_code_of_ours_is_one_of_grpcs() -> None:
    assert [code_of(code).name for code in Code] == [code.value for code in Code]


def test_a_refusal_arrives_as_it_was_said() -> None:
    said = RequestInvalid(
        "The request is wrong.",
        remedy="Mend it.",
        violations=[Violation("persons[0].number", "must be valid")],
        retry_after_seconds=1.5,
        metadata={"limit": "5"},
    )
    heard = received(arrived(refused(said)), "identity")
    assert isinstance(heard, RemoteRefusal)
    assert (heard.code, heard.reason, heard.message) == (Code.INVALID_ARGUMENT, "REQUEST_INVALID", said.message)
    assert (heard.remedy, heard.violations, heard.retry_after_seconds) == ("Mend it.", said.violations, 1.5)
    assert heard.metadata == {"limit": "5"}


def test_a_refusal_keeps_its_reason_over_two_hops() -> None:
    first = received(arrived(refused(NotFound("There is no such case."))), "gateway")
    assert isinstance(first, RemoteRefusal)
    second = received(arrived(refused(first)), "exchange")
    assert isinstance(second, RemoteRefusal)
    assert (second.code, second.reason) == (Code.NOT_FOUND, "NOT_FOUND")


def test_unavailable_arrives_as_unavailable_with_its_time() -> None:
    heard = received(arrived(unavailable(Unavailable("away", retry_after_seconds=4))), "identity")
    assert isinstance(heard, Unavailable)
    assert heard.retry_after_seconds == 4


def test_a_busy_service_is_unavailable_and_a_spent_quota_a_refusal() -> None:
    busy = received(arrived(refused(TooManyRequests("Too many.", retry_after_seconds=1))), "identity")
    assert isinstance(busy, Unavailable)

    class QuotaSpent(Refusal):
        code = Code.RESOURCE_EXHAUSTED

    spent = received(arrived(refused(QuotaSpent("The quota is spent."))), "exchange")
    assert isinstance(spent, RemoteRefusal)
    assert spent.reason == "QUOTA_SPENT"


@pytest.mark.parametrize("code", [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED])
def test_no_answer_is_unavailable_whatever_the_transport_says(code: grpc.StatusCode) -> None:
    error = aio.AioRpcError(code, aio.Metadata(), aio.Metadata(), "connection to 10.0.0.1 refused")
    heard = received(error, "identity")
    assert isinstance(heard, Unavailable)
    assert "10.0.0.1" not in str(heard)


def test_a_broken_service_shows_its_incident_and_nothing_else() -> None:
    status = broken("abc123")
    heard = received(arrived(status), "licenses")
    assert isinstance(heard, RemoteFailure)
    assert heard.incident == "abc123"
    assert "abc123" in status.message


def test_a_status_fits_into_metadata_however_much_is_wrong() -> None:
    said = RequestInvalid("字" * 5000, violations=[Violation("f" * 500, "d" * 500) for _ in range(500)])
    status = refused(said)
    assert len(status.SerializeToString()) < 8 * 1024
