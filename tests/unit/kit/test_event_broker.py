# SPDX-License-Identifier: Apache-2.0
from pathlib import Path

from services.kit.config import Common
from services.kit.eventlog.broker import connection_of


def test_a_url_without_a_login_names_brokers_alone() -> None:
    assert connection_of("kafka://one:9092,two:9092/") == {"bootstrap_servers": "one:9092,two:9092"}


def test_a_login_signs_in_and_stands_nowhere_else() -> None:
    connection = connection_of("kafka://tongban:a%40b%2Fc:d@127.0.0.1:9092")
    assert connection["bootstrap_servers"] == "127.0.0.1:9092"
    assert (connection["security_protocol"], connection["sasl_mechanism"]) == ("SASL_PLAINTEXT", "SCRAM-SHA-256")
    assert (connection["sasl_plain_username"], connection["sasl_plain_password"]) == ("tongban", "a@b/c:d")


def test_settings_don_t_show_a_password_by_accident() -> None:
    settings = Common(
        database="postgresql://tongban:hunter2@db/x",
        events="kafka://tongban:hunter2@db:1",
        pki=Path("pki"),
        keys=Path("keys"),
    )
    assert "hunter2" not in repr(settings)
