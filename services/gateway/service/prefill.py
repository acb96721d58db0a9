# SPDX-License-Identifier: Apache-2.0
"""Fills a draft from what departments already know. A source that is away leaves its fields empty, and says so."""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping

from services.gateway.domain.definition import ExchangePrefill, FormField, IdentityPrefill, Matter
from services.gateway.domain.form import fitting_value
from services.gateway.domain.history import Prefilled, PrefillState
from services.gateway.service.ports import ExchangeSource, IdentitySource, Question, SourceAnswer
from services.gateway.workflows import Workflows
from services.kit.caller import current_caller
from services.kit.errors import NotFound, Refusal, RemoteFailure, TooManyRequests, Unavailable

IDENTITY = "identity"
VALUE_NOT_FIT = "VALUE_NOT_FIT"

Asked = SourceAnswer | Exception


class Prefiller:
    """Asks each source once, all at the same time, on the resident's own token."""

    def __init__(self, identity: IdentitySource, exchange: ExchangeSource, workflows: Workflows) -> None:
        self._identity = identity
        self._exchange = exchange
        self._workflows = workflows

    async def fill(self, matter: Matter, case_id: str, fields: Iterable[FormField]) -> tuple[Prefilled, ...]:
        """Ask for these fields; never fails for a source's sake."""
        wanted = [one for one in fields if one.prefill is not None]
        by_source: defaultdict[str, list[FormField]] = defaultdict(list)
        for one in wanted:
            by_source[_source_of(one)].append(one)
        found = await asyncio.gather(*(self._asked(matter, case_id, group) for group in by_source.values()))
        answers: Mapping[str, Asked] = dict(zip(by_source, found, strict=True))
        return tuple(_filled(one, answers[_source_of(one)]) for one in wanted)

    async def _asked(self, matter: Matter, case_id: str, group: list[FormField]) -> Asked:
        first = group[0].prefill
        try:
            if isinstance(first, ExchangePrefill):
                names = tuple(dict.fromkeys(one.prefill.field for one in group if one.prefill is not None))
                return await self._exchange.ask(
                    Question(
                        resource=first.resource,
                        subject_id=current_caller().id,
                        fields=names,
                        purpose=matter.purpose,
                        case_id=case_id,
                        on_behalf_of=self._workflows.agency(first.agency).uscc,
                    )
                )
            person = await self._identity.own_person()
            return SourceAnswer("", dict(person.values))
        except (Refusal, Unavailable, RemoteFailure) as error:
            return error


def _source_of(field: FormField) -> str:
    prefill = field.prefill
    return f"{prefill.resource}@{prefill.agency}" if isinstance(prefill, ExchangePrefill) else IDENTITY


def _filled(field: FormField, asked: Asked) -> Prefilled:
    prefill = field.prefill
    assert isinstance(prefill, IdentityPrefill | ExchangePrefill)
    source = prefill.resource if isinstance(prefill, ExchangePrefill) else IDENTITY

    def made(
        state: PrefillState, *, value: str = "", provider: str = "", reason: str = "", disputed: bool = False
    ) -> Prefilled:
        return Prefilled(field.name, state, value, source, provider, prefill.basis, reason, disputed)

    if isinstance(asked, SourceAnswer):
        value = str(asked.values.get(prefill.field) or "")
        if value and not fitting_value(field, value):
            return made(PrefillState.EMPTY, provider=asked.provider, reason=VALUE_NOT_FIT)
        state = PrefillState.FILLED if value else PrefillState.EMPTY
        return made(state, value=value, provider=asked.provider, disputed=prefill.field in asked.disputed)
    if isinstance(asked, Refusal) and asked.code is TooManyRequests.code:  # e.g. the day's questions are used up
        return made(PrefillState.UNAVAILABLE, reason=asked.reason)
    if isinstance(asked, Refusal):
        return made(PrefillState.EMPTY if asked.code is NotFound.code else PrefillState.REFUSED, reason=asked.reason)
    return made(PrefillState.UNAVAILABLE, reason="UNAVAILABLE")
