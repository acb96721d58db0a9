# SPDX-License-Identifier: Apache-2.0
"""What a `kafka://` URL says: where the brokers are, and how to sign in to them."""

import logging
from typing import Any, Final
from urllib.parse import unquote

_LOOPBACK: Final = ("127.", "localhost:", "[::1]:")


def connection_of(url: str) -> dict[str, Any]:
    """Give the options that every client of aiokafka takes, from `kafka://[user:password@]host:port[,host:port]`.

    Whoever has a name signs in with SASL PLAIN. The password travels as it is: the way to the brokers must be loopback
    or a network of its own.
    """
    login, _, servers = url.removeprefix("kafka://").rstrip("/").rpartition("@")
    if not login:
        return {"bootstrap_servers": servers}
    if all(server.startswith(_LOOPBACK) for server in servers.split(",")):
        logging.getLogger("aiokafka.conn").addFilter(_is_news)
    user, _, password = login.partition(":")
    return {
        "bootstrap_servers": servers,
        "security_protocol": "SASL_PLAINTEXT",
        "sasl_mechanism": "PLAIN",
        "sasl_plain_username": unquote(user),
        "sasl_plain_password": unquote(password),
    }


def _is_news(record: logging.LogRecord) -> bool:
    """Leave out the warning that each connection would log; on loopback nobody listens in who couldn't read the file."""
    return record.msg != "Sending username and password in the clear"
