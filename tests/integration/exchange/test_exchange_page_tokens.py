# SPDX-License-Identifier: Apache-2.0
"""Every paged method, asked with tokens that nobody gave out: refused by name, never broken by."""

import base64
import importlib
import json
from collections.abc import Iterator
from typing import Any

from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message_factory import GetMessageClass
from tongban.access.v1 import access_pb2

from services.kit.errors import PageTokenInvalid, RemoteRefusal
from services.kit.ids import new_id
from tests.support.exchange_city import HOUSEHOLD, OPERATOR, SUBJECT_ID, City, city
from tests.support.neighbors import HOSPITAL
from tests.support.profiles import Profile

KEYS = (
    ("by", "place", "behind", "score", "code"),
    ("time", "id", "agency"),
    ("late", "provider", "dataset"),
    ("after", "before", "below"),
    ("line", "position"),
    ("revision", "version"),
)
"""Every name that a token of ours has: a made-up one may have several."""
VALUES = ("x", -1, 1 << 40, 1 << 70, "0001-01-01T00:00:00+14:00", "2026-01-05T00:00:00", "a\0b", "\ud800")


def token_of(values: dict[str, str | int]) -> str:
    return base64.urlsafe_b64encode(json.dumps(values, separators=(",", ":")).encode()).rstrip(b"=").decode()


GARBAGE = (
    *("?", "e30", "x" * 90, "W10", "bnVsbA", "W" * 90, "\u00e4", token_of({"other": 1})),
    token_of({"by": "资源", "place": 1 << 40, "behind": "x", "score": -1, "code": "x"}),
    *(token_of(dict.fromkeys(keys, value)) for keys in KEYS for value in VALUES),
)
LENGTH_MAX = 200
"""The contract refuses longer ones before anybody reads them."""
MISSING = {"FILE_DROP_NOT_FOUND", "OPEN_DATASET_NOT_FOUND", "RESOURCE_NOT_OWNED"}
"""Lists of what belongs to something else: where that is not there, the token is not looked at."""


def walked() -> Iterator[MethodDescriptor]:
    for stub in City.stubs:
        module = importlib.import_module(stub.__module__.removesuffix("_grpc"))
        service = module.DESCRIPTOR.services_by_name[stub.__name__.removesuffix("Stub")]
        yield from (method for method in service.methods if "page_token" in method.input_type.fields_by_name)


async def test_a_made_up_page_token_is_refused_by_name_whatever_it_says(profile: Profile) -> None:
    async with city(profile) as town:
        town.identity.rights[HOSPITAL] = (True, ("exchange.query", "exchange.read"))
        await town.stock()
        methods = list(walked())
        assert len(methods) > 20
        broken: list[str] = []
        for method in methods:
            for token in (each for each in GARBAGE if len(each) <= LENGTH_MAX):
                told = await said(town, method, token)
                if told not in {"", PageTokenInvalid.reason, *MISSING}:
                    broken.append(f"{method.name} {told} {token}")
        assert broken == [], sorted({each.rsplit(" ", 1)[0] for each in broken})


async def said(town: City, method: MethodDescriptor, token: str) -> str:
    """Ask for a page; give the reason of the refusal, empty for an answer."""
    callers = method.GetOptions().Extensions[access_pb2.rule].callers
    who = (
        SUBJECT_ID
        if access_pb2.CALLER_KIND_CITIZEN in callers
        else OPERATOR
        if access_pb2.CALLER_KIND_OPERATOR in callers
        else HOSPITAL
    )
    try:
        await town.call(who, method.name, GetMessageClass(method.input_type)(**given(town, method), page_token=token))
    except RemoteRefusal as refused:
        return refused.reason
    return ""


def given(town: City, method: MethodDescriptor) -> dict[str, Any]:
    """Whatever else the method needs."""
    needed: dict[str, Any] = {
        "code": HOUSEHOLD,
        "format": 1,
        "dataset": "births",
        "drop_id": new_id(),
        "purpose": "audit",
        "basis": "Order 809 art. 19",
        "words": "资源",
        "resource": town.household() if method.name == "PreviewChange" else HOUSEHOLD,
    }
    return {name: value for name, value in needed.items() if name in method.input_type.fields_by_name}
