# SPDX-License-Identifier: Apache-2.0
"""How a provider is reached, per kind of adapter: read from loose settings, refused with every fault named."""

from collections.abc import Iterable, Mapping
from typing import Any

from services.exchange.domain.settings.cases import CaseSettings
from services.exchange.domain.settings.connector import ConnectorSettings
from services.exchange.domain.settings.drop import DropSettings
from services.exchange.domain.settings.loose import AdapterKind, path, shape_faults
from services.exchange.domain.settings.rest import PLACE, OAuthSettings, RestSettings, TlsSettings
from services.exchange.domain.settings.secrets import masked, told, unmasked
from services.exchange.domain.settings.sql import PARAMETER, SqlSettings
from services.kit.errors import RequestInvalid, Violation

__all__ = [
    "PARAMETER",
    "PLACE",
    "AdapterKind",
    "AdapterSettings",
    "CaseSettings",
    "ConnectorSettings",
    "DropSettings",
    "OAuthSettings",
    "RestSettings",
    "SqlSettings",
    "TlsSettings",
    "check_settings",
    "keep_secrets",
    "read_settings",
    "tell_settings",
]

AdapterSettings = SqlSettings | RestSettings | ConnectorSettings | DropSettings | CaseSettings

_KINDS: Mapping[AdapterKind, type[AdapterSettings]] = {
    AdapterKind.SQL: SqlSettings,
    AdapterKind.REST: RestSettings,
    AdapterKind.CONNECTOR: ConnectorSettings,
    AdapterKind.FILE: DropSettings,
    AdapterKind.SANDBOX: CaseSettings,
}


def read_settings(kind: AdapterKind, given: Mapping[str, Any]) -> AdapterSettings:
    """Read loose settings; a name that the kind does not know, or a value of another type, is refused."""
    chosen = _KINDS[kind]
    if faults := shape_faults(kind, given, texts=chosen.TEXTS, tables=chosen.TABLES):
        raise RequestInvalid("The adapter's settings can't be read.", violations=faults)
    return chosen.read(given)


def check_settings(settings: AdapterSettings, fields: Iterable[str]) -> list[Violation]:
    """Name everything that would keep these settings from answering for these fields."""
    faults = [
        Violation(path(name), words) for name, (holds, words) in settings.checks(set(fields)).items() if not holds
    ]
    if masked(settings.plain()):
        faults.append(
            Violation("resource.adapter_settings", "A mask keeps a secret only where the address stays the same.")
        )
    return faults


def tell_settings(settings: AdapterSettings) -> dict[str, Any]:
    """Give settings as operators see them: secrets are masked."""
    return told(settings.plain())


def keep_secrets(kind: AdapterKind, settings: AdapterSettings, before: AdapterSettings) -> AdapterSettings:
    """Read masks as the secrets that are there already."""
    plain = settings.plain()
    return read_settings(kind, unmasked(plain, before.plain())) if masked(plain) else settings
