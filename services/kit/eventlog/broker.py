# SPDX-License-Identifier: Apache-2.0
"""What a `kafka://` URL says: where the brokers are, and how to sign in to them."""

from typing import Any, Final
from urllib.parse import unquote

from aiokafka import conn
from aiokafka.errors import AuthenticationFailedError

ITERATIONS: Final = range(4096, 100_001)
"""What a server may ask for: fewer make guessing cheap (RFC 7677), more are work for nothing."""


def connection_of(url: str) -> dict[str, Any]:
    """Give the options that every client of aiokafka takes, from `kafka://[user:password@]host:port[,host:port]`.

    Whoever has a name signs in with SCRAM: the password itself never travels, and the broker proves that it knows it.
    What is said afterwards travels as it is: the way to the brokers must be loopback or a network of its own.
    """
    login, _, servers = url.removeprefix("kafka://").rstrip("/").rpartition("@")
    if not login:
        return {"bootstrap_servers": servers}
    user, _, password = login.partition(":")
    return {
        "bootstrap_servers": servers,
        "security_protocol": "SASL_PLAINTEXT",
        "sasl_mechanism": "SCRAM-SHA-256",
        "sasl_plain_username": unquote(user),
        "sasl_plain_password": unquote(password),
    }


class _Scram(conn.ScramAuthenticator):  # type: ignore[misc] # aiokafka has no types
    """A stranger on the broker's port is an error of Kafka's, which clients outlive; aiokafka's own would end them."""

    async def step(self, payload: bytes | None) -> Any:
        try:
            return await super().step(payload)
        except (ValueError, LookupError) as error:
            raise AuthenticationFailedError("What answers on the broker's port does not know the password.") from error

    def create_salted_password(self, salt: bytes, iterations: int) -> None:
        if iterations not in ITERATIONS:
            raise ValueError(f"{iterations} iterations are asked for.")
        super().create_salted_password(salt, iterations)


conn.ScramAuthenticator = _Scram
