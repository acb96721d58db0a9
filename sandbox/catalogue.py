# SPDX-License-Identifier: Apache-2.0
"""What the departments share, with whom, and for what."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from google.protobuf import struct_pb2, timestamp_pb2
from tongban.exchange.v1 import exchange_pb2 as nouns

from sandbox.agencies import Agency
from sandbox.departments.civil_affairs import API_KEY_HEADER
from sandbox.numbers import REGION

MARRIAGES, HOUSEHOLDS, INSURANCE = "307001/000001", "307002/000001", "307003/000001"
BASIS = "PIPL art. 13(1)(3); Order 809 art. 19"
PURPOSES = ("birth",)
GRANTS = (
    (MARRIAGES, "hospital"),
    (MARRIAGES, "public_security"),
    (HOUSEHOLDS, "public_security"),
    (HOUSEHOLDS, "hospital"),
    (INSURANCE, "hospital"),
    (INSURANCE, "medical_insurance"),
    (INSURANCE, "tax"),
)
"""Who may ask what; see the matters for who does."""

_EXPIRE = datetime(2099, 12, 31, tzinfo=UTC)
_TIMEOUT_MS = 3000
_PERSONAL, _SENSITIVE, _GENERAL = (
    nouns.SENSITIVITY_PERSONAL,
    nouns.SENSITIVITY_SENSITIVE,
    nouns.SENSITIVITY_GENERAL,
)
_FIELDS = {
    MARRIAGES: (
        ("spouse_name", "配偶姓名", "Name of the spouse", _PERSONAL),
        ("spouse_number", "配偶公民身份号码", "Citizen number of the spouse", _SENSITIVE),
        ("certificate_number", "结婚证字号", "Marriage certificate number", _PERSONAL),
        ("marriage_date", "结婚登记日期", "Date of marriage", _PERSONAL),
        ("status", "婚姻状态", "Status", _PERSONAL),
    ),
    HOUSEHOLDS: (
        ("household_number", "户号", "Household number", _PERSONAL),
        ("address", "住址", "Address", _SENSITIVE),
        ("head_name", "户主姓名", "Head of the household", _PERSONAL),
        ("relation", "与户主关系", "Relation to the head", _PERSONAL),
    ),
    INSURANCE: (
        ("scheme", "险种类型", "Scheme", _PERSONAL),
        ("status", "参保状态", "Status", _PERSONAL),
        ("enroll_date", "参保日期", "Enrolled on", _GENERAL),
    ),
}
_HOUSEHOLD_STATEMENT = """
SELECT persons.number AS subject_key, households.number AS household_number, households.address AS address,
       households.head_name AS head_name, persons.relation AS relation
FROM persons JOIN households ON households.number = persons.household_number
WHERE persons.number = :subject_key
""".strip()


def resources(agencies: dict[str, Agency], *, police: Path, rest_url: str, api_key: str) -> list[nouns.Resource]:
    """The catalogue of the city. `police`: its database; `rest_url`: base of civil affairs' interface."""
    return [
        _resource(
            MARRIAGES,
            ("婚姻登记信息", "Marriage registration"),
            agencies["civil_affairs"],
            nouns.ADAPTER_KIND_REST,
            {
                "url": f"{rest_url}/v1/marriages/search",
                "method": "POST",
                "headers": {API_KEY_HEADER: api_key},
                "body": {"number": "{subject_key}"},
                "mapping": {
                    "subject_key": "person.number",
                    "spouse_name": "spouse.name",
                    "spouse_number": "spouse.number",
                    "certificate_number": "certificate.number",
                    "marriage_date": "certificate.date",
                    "status": "certificate.status",
                },
            },
        ),
        _resource(
            HOUSEHOLDS,
            ("户籍信息", "Household register"),
            agencies["public_security"],
            nouns.ADAPTER_KIND_SQL,
            {"url": f"sqlite:///{police}", "statement": _HOUSEHOLD_STATEMENT},
        ),
        _resource(
            INSURANCE,
            ("医疗保险参保信息", "Medical insurance enrollment"),
            agencies["medical_insurance"],
            nouns.ADAPTER_KIND_CONNECTOR,
            {},
        ),
    ]


def grants(agencies: dict[str, Agency]) -> list[nouns.Grant]:
    """Every grant of the city; the end is a fixed day, so that a repeat is the same grant."""
    expire = timestamp_pb2.Timestamp()
    expire.FromDatetime(_EXPIRE)
    return [
        nouns.Grant(
            resource=resource,
            grantee=agencies[grantee].uscc,
            purposes=PURPOSES,
            fields=[name for name, *_ in _FIELDS[resource]],
            verify_fields=[name for name, *_ in _FIELDS[resource]],
            basis=BASIS,
            expire_time=expire,
        )
        for resource, grantee in GRANTS
    ]


def _resource(
    code: str,
    name: tuple[str, str],
    provider: Agency,
    adapter: nouns.AdapterKind.ValueType,
    settings: dict[str, Any],
) -> nouns.Resource:
    struct = struct_pb2.Struct()
    struct.update(settings)
    return nouns.Resource(
        code=code,
        name_zh=name[0],
        name_en=name[1],
        provider=provider.uscc,
        sharing_class=nouns.SHARING_CLASS_CONDITIONAL,
        sharing_reason="限法定职责所需，一事一授权。 Only for statutory duties, one grant per purpose.",
        fields=[
            nouns.ResourceField(name=field, label_zh=zh, label_en=en, sensitivity=sensitivity)
            for field, zh, en, sensitivity in _FIELDS[code]
        ],
        adapter=adapter,
        adapter_settings=struct,
        timeout_ms=_TIMEOUT_MS,
        region=REGION,
    )
