# SPDX-License-Identifier: Apache-2.0
"""The exchange's real store on a database of a test's own."""

from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from services.exchange.events import encode
from services.exchange.store import ExchangeStore
from services.kit.clock import Clock
from services.kit.crypto import Keyring, SigningKey
from tests.support.exchange_world import NOW


@dataclass(frozen=True)
class Settings:
    """As much as a store wants to know."""

    database: str


@dataclass(frozen=True)
class Resources:
    """As much of the runtime as a store wants."""

    settings: Settings
    keyring: Keyring
    signing_key: SigningKey
    clock: Clock


def standing() -> datetime:
    return NOW


def opened(url: str, folder: Path, *, clock: Clock = standing) -> AbstractAsyncContextManager[ExchangeStore]:
    keys = folder / "keys"
    resources = Resources(Settings(url), Keyring.open(keys), SigningKey.open(keys, "ledger"), clock)
    return ExchangeStore.open(resources, encode=encode)
