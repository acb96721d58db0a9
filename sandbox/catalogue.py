# SPDX-License-Identifier: Apache-2.0
"""What the departments share, with whom, and for what."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from google.protobuf import struct_pb2, timestamp_pb2
from tongban.exchange.v1 import exchange_pb2 as nouns
from tongban.exchange.v1 import metadata_pb2 as nouns_metadata

from sandbox.agencies import Agency
from sandbox.departments.civil_affairs import API_KEY_HEADER
from sandbox.numbers import REGION

MARRIAGES, HOUSEHOLDS, INSURANCE = "307001/000001", "307002/000001", "307003/000001"
PUPILS, HOUSING_FUND = "307004/000001", "307005/000001"
CASES = Path(__file__).parent / "cases"
"""What stands for the registers of departments that have none here: one file for each case."""
BASIS = "PIPL art. 13(1)(3); Order 809 art. 19"
MEANINGS = Path(__file__).parent / "meanings.yaml"
PURPOSES = ("birth",)
GRANTS = (
    (MARRIAGES, "hospital"),
    (MARRIAGES, "public_security"),
    (HOUSEHOLDS, "public_security"),
    (HOUSEHOLDS, "hospital"),
    (INSURANCE, "hospital"),
    (INSURANCE, "medical_insurance"),
    (INSURANCE, "tax"),
    (PUPILS, "hospital"),
    (HOUSING_FUND, "hospital"),
)
"""Who may ask what for a birth; see the matters for who does."""
GRANTS_OF_MATTERS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    (MARRIAGES, "civil_affairs", ("marriage",)),
    (HOUSEHOLDS, "public_security", ("household_move",)),
)
"""The same for the other matters; what the offices' files share stands there."""

_EXPIRE = datetime(2099, 12, 31, tzinfo=UTC)
_TIMEOUT_MS = 3000
_PUBLISHED = "2026-01-05"
_PERSONAL, _SENSITIVE, _GENERAL = (
    nouns.SENSITIVITY_PERSONAL,
    nouns.SENSITIVITY_SENSITIVE,
    nouns.SENSITIVITY_GENERAL,
)
FieldRow = tuple[str, str, str, nouns.Sensitivity.ValueType, nouns_metadata.DataType.ValueType, int]
AboutRow = tuple[str, str, nouns_metadata.UpdateCycle.ValueType, str]
_TEXT, _DATE = nouns_metadata.DATA_TYPE_TEXT, nouns_metadata.DATA_TYPE_DATE
_FIELDS = {
    MARRIAGES: (
        ("spouse_name", "配偶姓名", "Name of the spouse", _PERSONAL, _TEXT, 50),
        ("spouse_number", "配偶公民身份号码", "Citizen number of the spouse", _SENSITIVE, _TEXT, 18),
        ("certificate_number", "结婚证字号", "Marriage certificate number", _PERSONAL, _TEXT, 30),
        ("marriage_date", "结婚登记日期", "Date of marriage", _PERSONAL, _DATE, 10),
        ("status", "婚姻状态", "Status", _PERSONAL, _TEXT, 20),
    ),
    HOUSEHOLDS: (
        ("household_number", "户号", "Household number", _PERSONAL, _TEXT, 20),
        ("address", "住址", "Address", _SENSITIVE, _TEXT, 200),
        ("head_name", "户主姓名", "Head of the household", _PERSONAL, _TEXT, 50),
        ("relation", "与户主关系", "Relation to the head", _PERSONAL, _TEXT, 20),
    ),
    PUPILS: (
        ("school_name", "学校名称", "School", _PERSONAL, _TEXT, 100),
        ("grade", "年级", "Grade", _PERSONAL, _TEXT, 20),
        ("status", "学籍状态", "Status", _PERSONAL, _TEXT, 20),
    ),
    HOUSING_FUND: (
        ("account_status", "账户状态", "Account status", _PERSONAL, _TEXT, 20),
        ("balance_fen", "账户余额（分）", "Balance in fen", _SENSITIVE, nouns_metadata.DATA_TYPE_INTEGER, 16),
        ("last_payment_date", "最近缴存日期", "Last payment", _PERSONAL, _DATE, 10),
    ),
    INSURANCE: (
        ("scheme", "险种类型", "Scheme", _PERSONAL, _TEXT, 20),
        ("status", "参保状态", "Status", _PERSONAL, _TEXT, 20),
        ("enroll_date", "参保日期", "Enrolled on", _GENERAL, _DATE, 10),
    ),
}
_METADATA = {
    MARRIAGES: (
        "通办市婚姻登记的当事人、证件与状态，供核验婚姻关系。",
        "Registered marriages: spouses, certificates and their state, to verify that two people are married.",
        nouns_metadata.UPDATE_CYCLE_REAL_TIME,
        "《婚姻登记条例》",
    ),
    HOUSEHOLDS: (
        "通办市常住人口的户号、住址、户主与成员关系。",
        "Households of residents: number, address, head and relations.",
        nouns_metadata.UPDATE_CYCLE_REAL_TIME,
        "《户口登记条例》",
    ),
    INSURANCE: (
        "通办市基本医疗保险参保人的险种与参保状态。",
        "Who is enrolled in basic medical insurance, in which scheme.",
        nouns_metadata.UPDATE_CYCLE_DAILY,
        "《社会保险法》",
    ),
    PUPILS: (
        "通办市中小学学生的学校、年级与学籍状态。",
        "Pupils of the city: school, grade and state of their record.",
        nouns_metadata.UPDATE_CYCLE_YEARLY,
        "《义务教育法》",
    ),
    HOUSING_FUND: (
        "通办市住房公积金账户的状态、余额与最近缴存日期。",
        "Housing fund accounts: state, balance and last payment.",
        nouns_metadata.UPDATE_CYCLE_DAILY,
        "《住房公积金管理条例》",
    ),
}
"""Abstracts in both languages, update cycle, and the law on which the department holds it."""
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
        _resource(
            PUPILS,
            ("学籍信息", "Pupils' records"),
            agencies["education"],
            nouns.ADAPTER_KIND_SANDBOX,
            {"key": "number"},
        ),
        _resource(
            HOUSING_FUND,
            ("住房公积金账户信息", "Housing fund accounts"),
            agencies["housing"],
            nouns.ADAPTER_KIND_SANDBOX,
            {
                "key": "number",
                "mapping": {
                    "account_status": "account.status",
                    "balance_fen": "account.balance.fen",
                    "last_payment_date": "payments.0.date",
                },
            },
        ),
    ]


def held() -> dict[str, dict[str, str]]:
    """What the resources hold: code to field to kind of value (`text`, `date`, `number`)."""
    kinds = {_DATE: "date", nouns_metadata.DATA_TYPE_INTEGER: "number"}
    return {
        code: {name: kinds.get(data_type, "text") for name, _, _, _, data_type, _ in fields}
        for code, fields in _FIELDS.items()
    }


def grants(agencies: dict[str, Agency]) -> list[nouns.Grant]:
    """The grants on the registers of the departments' own code."""
    return [
        granted(resource, agencies[grantee], purposes, [name for name, *_ in _FIELDS[resource]], basis=BASIS)
        for resource, grantee, purposes in (*((*each, PURPOSES) for each in GRANTS), *GRANTS_OF_MATTERS)
    ]


def granted(
    resource: str, grantee: Agency, purposes: Sequence[str], fields: Sequence[str], *, basis: str
) -> nouns.Grant:
    """One grant; its end is a fixed day, so that a repeat is the same grant."""
    expire = timestamp_pb2.Timestamp()
    expire.FromDatetime(_EXPIRE)
    return nouns.Grant(
        resource=resource,
        grantee=grantee.uscc,
        purposes=purposes,
        fields=fields,
        verify_fields=fields,
        basis=basis,
        expire_time=expire,
    )


def _resource(
    code: str,
    name: tuple[str, str],
    provider: Agency,
    adapter: nouns.AdapterKind.ValueType,
    settings: dict[str, Any],
) -> nouns.Resource:
    return conditional(code, name, provider, adapter, settings, fields=_FIELDS[code], about=_METADATA[code])


def conditional(
    code: str,
    name: tuple[str, str],
    provider: Agency,
    adapter: nouns.AdapterKind.ValueType,
    settings: dict[str, Any],
    *,
    fields: Sequence[FieldRow],
    about: AboutRow,
) -> nouns.Resource:
    """A resource that is shared for statutory duties only. `fields`, `about`: see `_FIELDS`, `_METADATA`."""
    struct = struct_pb2.Struct()
    struct.update(settings)
    abstract_zh, abstract_en, cycle, basis = about
    return nouns.Resource(
        code=code,
        name_zh=name[0],
        name_en=name[1],
        provider=provider.uscc,
        sharing_class=nouns.SHARING_CLASS_CONDITIONAL,
        sharing_reason="限法定职责所需，一事一授权。 Only for statutory duties, one grant per purpose.",
        fields=[
            nouns.ResourceField(
                name=field,
                label_zh=zh,
                label_en=en,
                sensitivity=sensitivity,
                data_type=data_type,
                length=length,
                basis=basis,
            )
            for field, zh, en, sensitivity, data_type, length in fields
        ],
        adapter=adapter,
        adapter_settings=struct,
        timeout_ms=_TIMEOUT_MS,
        region=REGION,
        metadata=nouns_metadata.CoreMetadata(
            provider_name=provider.name_zh,
            abstract_zh=abstract_zh,
            abstract_en=abstract_en,
            format=nouns_metadata.RESOURCE_FORMAT_DATABASE,
            sharing_methods=[nouns_metadata.SHARING_METHOD_INTERFACE],
            opening=nouns_metadata.OPENING_CLOSED,
            update_cycle=cycle,
            publish_date=_PUBLISHED,
        ),
    )
