# SPDX-License-Identifier: Apache-2.0
"""Other services in the gateway's words. A resident's token goes along; rights and leaves are theirs."""

from services.gateway.clients.consents import ConsentsClient
from services.gateway.clients.corrections import CorrectionsClient
from services.gateway.clients.exchange import ExchangeClient
from services.gateway.clients.identity import IdentityClient
from services.gateway.clients.ledgers import LedgerClient
from services.gateway.clients.licenses import LicensesClient
from services.gateway.clients.mail import MailSender, MailServer
from services.gateway.clients.names import NamesClient
from services.gateway.clients.opendata import OpenDataClient
from services.gateway.clients.scanners import ClamScanner, EicarScanner

__all__ = [
    "ClamScanner",
    "ConsentsClient",
    "CorrectionsClient",
    "EicarScanner",
    "ExchangeClient",
    "IdentityClient",
    "LedgerClient",
    "LicensesClient",
    "MailSender",
    "MailServer",
    "NamesClient",
    "OpenDataClient",
]
