# SPDX-License-Identifier: Apache-2.0
"""Everything by which residents are told, and speak, beside their cases."""

from dataclasses import dataclass

from services.gateway.service.contacts import ContactDesk
from services.gateway.service.notices import NoticeDesk


@dataclass(frozen=True, slots=True)
class Voices:
    """One desk for each."""

    notices: NoticeDesk
    contacts: ContactDesk
