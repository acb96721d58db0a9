# SPDX-License-Identifier: Apache-2.0
"""What may stand in the catalogue, and how a provider may be reached."""

from typing import Any

import pytest

from services.exchange.domain.refusals import RegionNotServed
from services.exchange.domain.resource import ResourceField, Sensitivity, SharingClass, check_resource
from services.exchange.domain.settings import (
    AdapterKind,
    RestSettings,
    SqlSettings,
    keep_secrets,
    read_settings,
    tell_settings,
)
from services.kit.errors import RequestInvalid
from tests.support.exchange_world import household

SQL = {"url": "sqlite:////srv/police.sqlite", "statement": "SELECT address FROM household WHERE number = :subject_key"}
MAPPING = {name: f"record.{name}" for name in household().field_names}
REST = {"url": "https://127.0.0.1:9/marriages/{subject_key}", "mapping": MAPPING}


def faults(**changes: Any) -> set[str]:
    with pytest.raises(RequestInvalid) as refused:
        check_resource(household(**changes), region="990100")
    return {violation.field for violation in refused.value.violations}


def setting_faults(kind: AdapterKind, **settings: Any) -> set[str]:
    base: dict[str, Any] = SQL if kind is AdapterKind.SQL else REST
    return faults(adapter=kind, settings=read_settings(kind, {**base, **settings}))


def test_a_sound_resource_passes() -> None:
    check_resource(household(), region="990100")
    check_resource(household(sharing_class=SharingClass.UNCONDITIONAL, sharing_reason=""), region="990100")


@pytest.mark.parametrize(
    "code", ["", "307001", "307001/", "30700/1", "407001/1", "307001/1/2", "a07001/1", "307001 /1"]
)
def test_a_code_has_a_classification_and_a_running_number(code: str) -> None:
    assert faults(code=code) == {"resource.code"}


@pytest.mark.parametrize("sharing", [SharingClass.CONDITIONAL, SharingClass.REFUSED])
def test_what_is_not_shared_unconditionally_states_why(sharing: SharingClass) -> None:
    assert faults(sharing_class=sharing, sharing_reason="  ") == {"resource.sharing_reason"}


@pytest.mark.parametrize("timeout", [0, 49, 30_001])
def test_the_wait_for_a_provider_is_bounded(timeout: int) -> None:
    assert faults(timeout_ms=timeout) == {"resource.timeout_ms"}


def test_every_fault_is_named_at_once() -> None:
    bad = ResourceField("Subject Key", "", "x", Sensitivity.GENERAL)
    assert faults(provider="x", name_zh="", fields=(bad, bad)) == {
        "resource.provider",
        "resource.name_zh",
        "resource.fields[0].name",
        "resource.fields[0]",
        "resource.fields[1].name",
        "resource.fields[1]",
    }


def test_the_reserved_field_can_not_be_shared() -> None:
    assert faults(fields=(ResourceField("subject_key", "键", "key", Sensitivity.PERSONAL),)) == {
        "resource.fields[0].name"
    }


def test_a_resource_without_fields_is_refused() -> None:
    assert faults(fields=()) == {"resource.fields"}


def test_another_region_is_another_nodes_affair() -> None:
    with pytest.raises(RegionNotServed):
        check_resource(household(region="110000"), region="990100")


@pytest.mark.parametrize(
    "statement",
    [
        "",
        "SELECT address FROM household",
        "SELECT address FROM household WHERE number = :subject_keys",
        "SELECT 1 WHERE 1 = :subject_key; DROP TABLE household",
        "DELETE FROM household WHERE number = :subject_key",
        "WITH gone AS (DELETE FROM household RETURNING *) SELECT * FROM gone WHERE number = :subject_key",
        "SELECT x FROM household WHERE number = :subject_key OR " + "x = 1 OR " * 2000 + "y",
    ],
)
def test_a_statement_reads_one_subject_and_writes_nothing(statement: str) -> None:
    assert setting_faults(AdapterKind.SQL, statement=statement) == {"resource.adapter_settings.statement"}


@pytest.mark.parametrize(
    "url",
    ["", "sqlite://", "sqlite:///relative.sqlite", "oracle://host/name", "postgresql:/x", "mysql://h/d?local_infile=1"],
)
def test_a_database_is_sqlite_by_absolute_path_or_one_of_three_servers(url: str) -> None:
    assert setting_faults(AdapterKind.SQL, url=url) == {"resource.adapter_settings.url"}


@pytest.mark.parametrize("url", ["ftp://h/{subject_key}", "http://user:pw@h/{subject_key}", "file:///{subject_key}"])
def test_an_interface_is_http_without_credentials_in_the_address(url: str) -> None:
    assert setting_faults(AdapterKind.REST, url=url) == {"resource.adapter_settings.url"}


def test_a_request_must_say_whom_it_is_about() -> None:
    assert setting_faults(AdapterKind.REST, url="http://h/all") == {"resource.adapter_settings.body"}


def test_only_a_post_has_a_body() -> None:
    body = {"number": "{subject_key}"}
    assert setting_faults(AdapterKind.REST, url="http://h/find", body=body) == {"resource.adapter_settings.body"}
    settings = read_settings(AdapterKind.REST, {**REST, "url": "http://h/find", "body": body, "method": "post"})
    check_resource(household(adapter=AdapterKind.REST, settings=settings), region="990100")


def test_every_field_is_mapped_and_nothing_else() -> None:
    lacking = {name: path for name, path in MAPPING.items() if name != "address"}
    assert setting_faults(AdapterKind.REST, mapping=lacking) == {"resource.adapter_settings.mapping"}
    assert setting_faults(AdapterKind.REST, mapping={**MAPPING, "x": "y"}) == {"resource.adapter_settings.mapping"}
    echoing = read_settings(AdapterKind.REST, {**REST, "mapping": {**MAPPING, "subject_key": "number"}})
    check_resource(household(adapter=AdapterKind.REST, settings=echoing), region="990100")


def test_a_header_can_not_smuggle_another() -> None:
    headers = {"authorization": "x\r\nhost: y"}
    assert setting_faults(AdapterKind.REST, headers=headers) == {"resource.adapter_settings.headers"}


@pytest.mark.parametrize(
    ("kind", "given", "field"),
    [
        (AdapterKind.SQL, {"url": 7, "statement": "x"}, "url"),
        (AdapterKind.SQL, {**SQL, "password": "x"}, "password"),
        (AdapterKind.REST, {**REST, "mapping": {"a": 1.0}}, "mapping"),
        (AdapterKind.REST, {**REST, "headers": ["x"]}, "headers"),
        (AdapterKind.CONNECTOR, {"url": "x"}, "url"),
    ],
)
def test_settings_of_another_shape_are_refused(kind: AdapterKind, given: dict[str, Any], field: str) -> None:
    with pytest.raises(RequestInvalid) as refused:
        read_settings(kind, given)
    assert [violation.field for violation in refused.value.violations] == [f"resource.adapter_settings.{field}"]


def test_settings_come_back_as_they_were_given() -> None:
    sql, rest = read_settings(AdapterKind.SQL, SQL), read_settings(AdapterKind.REST, REST)
    assert isinstance(sql, SqlSettings)
    assert isinstance(rest, RestSettings)
    assert read_settings(AdapterKind.SQL, sql.plain()) == sql
    assert read_settings(AdapterKind.REST, rest.plain()) == rest


def test_secrets_of_settings_are_not_in_their_words() -> None:
    settings = read_settings(AdapterKind.REST, {**REST, "headers": {"authorization": "Bearer secret"}})
    assert "secret" not in repr(settings)
    assert "secret" not in repr(household(adapter=AdapterKind.REST, settings=settings))


OAUTH = {"token_url": "https://h/token", "client_id": "c", "client_secret": "s3cret"}
PEM = "-----BEGIN CERTIFICATE-----\nTUlJ\n-----END CERTIFICATE-----\n"
KEY = "-----BEGIN PRIVATE KEY-----\nTUlJ\n-----END PRIVATE KEY-----\n"


@pytest.mark.parametrize(
    "oauth",
    [
        {"token_url": "https://h/token"},
        {"token_url": "https://h/token", "client_id": "c"},
        {**OAUTH, "token_url": "http://h/token"},
        {**OAUTH, "token_url": "http://127.0.0.1.example/token"},
        {**OAUTH, "grant": "password"},
    ],
)
def test_a_token_is_asked_for_with_name_and_secret_over_tls(oauth: dict[str, str]) -> None:
    assert setting_faults(AdapterKind.REST, oauth=oauth) == {"resource.adapter_settings.oauth"}


@pytest.mark.parametrize(
    ("url", "tls"),
    [
        ("https://h/{subject_key}", {"certificate": PEM}),
        ("https://h/{subject_key}", {"certificate": PEM, "key": "secret"}),
        ("https://h/{subject_key}", {"path": "/etc/passwd"}),
        ("http://h/{subject_key}", {"certificate": PEM, "key": KEY}),
    ],
)
def test_a_certificate_comes_with_its_key_and_only_over_tls(url: str, tls: dict[str, str]) -> None:
    assert setting_faults(AdapterKind.REST, url=url, tls=tls) == {"resource.adapter_settings.tls"}


SECRETS = [
    (AdapterKind.SQL, {**SQL, "url": "postgresql://reader:s3cret@h/register"}),
    (AdapterKind.SQL, {**SQL, "url": "mariadb://:s3cret@h/register"}),
    (AdapterKind.REST, {**REST, "headers": {"x-api-key": "s3cret"}}),
    (AdapterKind.REST, {**REST, "oauth": OAUTH}),
    (AdapterKind.REST, {**REST, "tls": {"certificate": PEM, "key": "s3cret"}}),
]


@pytest.mark.parametrize(("kind", "given"), SECRETS)
def test_secrets_are_told_as_masks_and_masks_keep_them(kind: AdapterKind, given: dict[str, Any]) -> None:
    stored = read_settings(kind, given)
    shown = tell_settings(stored)
    assert "s3cret" not in str(shown)
    assert keep_secrets(kind, read_settings(kind, shown), stored) == stored


@pytest.mark.parametrize(("kind", "given"), SECRETS)
def test_a_kept_secret_does_not_follow_to_another_address(kind: AdapterKind, given: dict[str, Any]) -> None:
    stored = read_settings(kind, given)
    elsewhere = {**tell_settings(stored)}
    elsewhere["url"] = elsewhere["url"].replace("h/", "thief/").replace("127.0.0.1", "thief")
    moved = keep_secrets(kind, read_settings(kind, elsewhere), stored)
    assert "s3cret" not in str(moved.plain())
    assert "resource.adapter_settings" in faults(adapter=kind, settings=moved)
