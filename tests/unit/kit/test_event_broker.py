# SPDX-License-Identifier: Apache-2.0
import logging
from pathlib import Path

import pytest

from services.kit.config import Common
from services.kit.eventlog.broker import connection_of

CLEAR = "Sending username and password in the clear"


def test_a_url_without_a_login_names_brokers_alone() -> None:
    assert connection_of("kafka://one:9092,two:9092/") == {"bootstrap_servers": "one:9092,two:9092"}


def test_a_login_signs_in_and_stands_nowhere_else() -> None:
    connection = connection_of("kafka://tongban:a%40b%2Fc:d@127.0.0.1:9092")
    assert connection["bootstrap_servers"] == "127.0.0.1:9092"
    assert (connection["security_protocol"], connection["sasl_mechanism"]) == ("SASL_PLAINTEXT", "PLAIN")
    assert (connection["sasl_plain_username"], connection["sasl_plain_password"]) == ("tongban", "a@b/c:d")


@pytest.mark.parametrize(
    ("hosts", "warned"), [("127.0.0.1:1,localhost:2", False), ("127.0.0.1:1,kafka.example:2", True)]
)
def test_a_password_in_the_clear_is_warned_of_where_the_line_is_not_loopback(
    hosts: str, warned: bool, caplog: pytest.LogCaptureFixture
) -> None:
    log = logging.getLogger("aiokafka.conn")
    for before in list(log.filters):
        log.removeFilter(before)
    connection_of(f"kafka://tongban:secret@{hosts}")
    log.warning(CLEAR)
    log.warning("The broker has gone")
    assert [record.getMessage() for record in caplog.records] == [CLEAR] * warned + ["The broker has gone"]


def test_settings_don_t_show_a_password_by_accident() -> None:
    settings = Common(
        database="postgresql://tongban:hunter2@db/x",
        events="kafka://tongban:hunter2@db:1",
        pki=Path("pki"),
        keys=Path("keys"),
    )
    assert "hunter2" not in repr(settings)
