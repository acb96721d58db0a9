# SPDX-License-Identifier: Apache-2.0
"""Places in lists of cases: after which one the next page begins."""

from datetime import datetime

from services.gateway.service.ports import CaseRow
from services.kit.paging import encode_token, moment_after


def place_after(last: CaseRow) -> str:
    """The token of the page after this one."""
    return encode_token(created=last.created.isoformat(), case_id=last.case_id)


def read_place(page_token: str) -> tuple[datetime, str] | None:
    """When the last case was opened, and which one it was; None for the first page. Raises PageTokenInvalid."""
    return moment_after(page_token, time="created", key="case_id") if page_token else None
