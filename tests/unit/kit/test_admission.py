# SPDX-License-Identifier: Apache-2.0
import base64

import pytest

from services.kit.caller import EVERY_RIGHT, Caller, CallerKind
from services.kit.certificates import SpiffeId
from services.kit.errors import RightMissing, Unavailable
from services.kit.rights import AgencyNotActive, RightsSource, Standing
from services.kit.rpc.admission import CallerNotAllowed, CertificateForeign, Doorkeeper, Rule, TokenNotAccepted, rule_of
from services.kit.tokens import KeySet, TokenInvalid, TokenVerifier

USCC = "11990100000001011X"
AGENCY_RULE = Rule(frozenset({CallerKind.AGENCY, CallerKind.SERVICE}), "identity.verify", frozenset({"gateway"}))


async def no_keys() -> KeySet:
    raise Unavailable("no keys here")


async def standing(uscc: str) -> Standing:
    return Standing(active=uscc == USCC, rights=frozenset({"identity.verify"}))


def keeper() -> Doorkeeper:
    return Doorkeeper(TokenVerifier(no_keys), RightsSource(standing))


def test_the_rule_is_read_from_the_contract() -> None:
    from tongban.identity.v1 import identity_service_pb2  # noqa: F401

    rule = rule_of("tongban.identity.v1.IdentityService", "VerifyPerson")
    assert rule == Rule(
        frozenset({CallerKind.AGENCY, CallerKind.SERVICE}), "identity.verify", frozenset({"gateway", "exchange"})
    )


def test_a_method_without_a_rule_refuses_everyone() -> None:
    from grpc_health.v1 import health_pb2  # noqa: F401

    rule = rule_of("grpc.health.v1.Health", "Check")
    for kind in CallerKind:
        with pytest.raises(CallerNotAllowed):
            rule.admit(Caller(kind, "gateway", frozenset({EVERY_RIGHT})))


def test_a_service_must_be_named() -> None:
    AGENCY_RULE.admit(Caller(CallerKind.SERVICE, "gateway"))
    with pytest.raises(CallerNotAllowed):
        AGENCY_RULE.admit(Caller(CallerKind.SERVICE, "licenses"))


def test_an_agency_must_hold_the_right() -> None:
    AGENCY_RULE.admit(Caller(CallerKind.AGENCY, USCC, frozenset({"identity.verify"})))
    with pytest.raises(RightMissing):
        AGENCY_RULE.admit(Caller(CallerKind.AGENCY, USCC))


def test_a_citizen_needs_no_right_but_must_be_meant() -> None:
    Rule(frozenset({CallerKind.CITIZEN, CallerKind.CLERK}), "gateway.cases").admit(Caller(CallerKind.CITIZEN, "s"))
    with pytest.raises(CallerNotAllowed):
        AGENCY_RULE.admit(Caller(CallerKind.CITIZEN, "s"))


@pytest.mark.parametrize(
    "name",
    [
        "spiffe://elsewhere/service/gateway",
        "spiffe://tongban/service/",
        "spiffe://tongban/service/gateway/x",
        "spiffe://tongban/Service/gateway",
        "spiffe://tongban/service/gate way",
        "spiffe://tongban/service/gateway?x",
        "spiffe://tongban/service/gateway\n",
        "spiffe://tongban/agency/short",
        "spiffe://tongban/king/x",
        "https://tongban/service/gateway",
        "",
    ],
)
async def test_foreign_and_malformed_names_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="not a SPIFFE id"):
        SpiffeId.parse(name)
    with pytest.raises(CertificateForeign):
        await keeper().establish([name.encode()], "")


async def test_no_name_and_several_names_are_refused() -> None:
    name = b"spiffe://tongban/service/gateway"
    for names in ([], [name, name], [b"\xff"]):
        with pytest.raises(CertificateForeign):
            await keeper().establish(names, "")


async def test_certificates_make_services_agencies_and_operators() -> None:
    doors = keeper()
    service = await doors.establish([b"spiffe://tongban/service/licenses"], "")
    assert (service.kind, service.id, service.rights) == (CallerKind.SERVICE, "licenses", frozenset())
    agency = await doors.establish([f"spiffe://tongban/agency/{USCC}".encode()], "")
    assert (agency.kind, agency.agency, agency.rights) == (CallerKind.AGENCY, USCC, frozenset({"identity.verify"}))
    operator = await doors.establish([b"spiffe://tongban/operator/wang"], "")
    assert (operator.kind, operator.rights) == (CallerKind.OPERATOR, frozenset({EVERY_RIGHT}))


async def test_a_barred_agency_is_refused() -> None:
    with pytest.raises(AgencyNotActive):
        await keeper().establish([b"spiffe://tongban/agency/1299010000000102XJ"], "")


async def test_a_token_is_taken_from_the_gateway_alone_and_only_as_a_bearer_token() -> None:
    for name in ("service/licenses", f"agency/{USCC}", "operator/wang"):
        with pytest.raises(TokenNotAccepted):
            await keeper().establish([f"spiffe://tongban/{name}".encode()], "Bearer x.y.z")
    with pytest.raises(TokenNotAccepted):
        await keeper().establish([b"spiffe://tongban/service/gateway"], "Basic eDp5")


async def test_who_was_established_is_remembered_and_an_agency_only_with_the_rights_it_had() -> None:
    rights = RightsSource(standing)
    doors = Doorkeeper(TokenVerifier(no_keys), rights)
    service, agency = b"spiffe://tongban/service/licenses", f"spiffe://tongban/agency/{USCC}".encode()
    for name in (service, agency):
        assert doors.at_once([name], "") is None
        caller = await doors.establish([name], "")
        assert doors.at_once([name], "") is caller
        assert doors.at_once([name], "Bearer x") is None
        assert doors.at_once([name, name], "") is None
    rights.forget(USCC)
    assert doors.at_once([agency], "") is None
    assert doors.at_once([service], "") is not None


async def test_an_open_stream_goes_by_the_rights_that_its_agency_has_now() -> None:
    held = {"identity.verify"}

    async def now(_uscc: str) -> Standing:
        return Standing(active=True, rights=frozenset(held))

    rights = RightsSource(now)
    door = Doorkeeper(TokenVerifier(no_keys), rights)
    caller = await door.establish([f"spiffe://tongban/agency/{USCC}".encode()], "")
    AGENCY_RULE.admit(await door.renewed(caller))
    held.clear()
    rights.forget_all()
    with pytest.raises(RightMissing):
        AGENCY_RULE.admit(await door.renewed(caller))


async def test_a_token_of_brackets_without_end_is_malformed_and_breaks_nothing() -> None:
    brackets = base64.urlsafe_b64encode(b"[" * 5000).rstrip(b"=").decode()
    with pytest.raises(TokenInvalid):
        await TokenVerifier(no_keys).verify(f"{brackets}.a.b")
