# SPDX-License-Identifier: Apache-2.0
"""A provider of the sandbox: answers from cases, one YAML file each, so that whoever builds against a resource needs no register.

A case is `params` (whom it is about, by the name that the settings give), `status` (as of HTTP: 200, 404, anything else is
no answer), `payload` (an object, or the same as JSON text) and, if wanted, `description` and `delay_ms`.
"""

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from services.exchange.adapters.rest import at
from services.exchange.domain.answer import ANSWER_BYTES_MAX
from services.exchange.domain.inquiry import Inquiry
from services.exchange.domain.refusals import ProviderAnswerInvalid, ProviderBusy, ProviderUnavailable
from services.exchange.domain.resource import SUBJECT_KEY
from services.exchange.domain.settings import CaseSettings
from services.kit.yaml import YAMLError, load_yaml

CASES_MAX = 10_000


class Case(BaseModel):
    """One case, as its file has it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    description: str = Field(default="", max_length=1_000)
    params: dict[str, JsonValue]
    status: int = Field(ge=200, le=599)
    payload: JsonValue = None
    delay_ms: int = Field(default=0, ge=0, le=30_000)


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a file is no case."""

    file: str
    words: str


def read_cases(folder: Path) -> tuple[Sequence[Case], Sequence[Fault]]:
    """Read every case of a folder, and name every file that is none."""
    cases: list[Case] = []
    faults: list[Fault] = []
    paths = sorted(path for path in folder.glob("*") if path.suffix in {".yaml", ".yml"}) if folder.is_dir() else []
    for path in paths[:CASES_MAX]:
        try:
            cases.append(_read(path))
        except (OSError, ValueError, YAMLError) as fault:
            faults.append(Fault(path.name, _words(fault)))
    return cases, faults


class CaseAdapter:
    """One resource of the sandbox. A case about whom nothing is said stands for everybody else."""

    def __init__(self, settings: CaseSettings, folder: Path) -> None:
        self._settings = settings
        self._folder = folder
        self._cases: dict[str, Case] | None = None

    async def ask(self, inquiry: Inquiry) -> Mapping[str, Any] | None:
        """Answer as the subject's case says. Raises ProviderUnavailable, ProviderBusy, ProviderAnswerInvalid."""
        if self._cases is None:
            cases, _ = await asyncio.to_thread(read_cases, self._folder)
            self._cases = {str(each.params.get(self._settings.key, "")).upper(): each for each in cases}
        case = self._cases.get(inquiry.subject_key.upper()) or self._cases.get("")
        if case is None:
            return None
        await asyncio.sleep(case.delay_ms / 1000)
        return self._answer(case, inquiry)

    async def close(self) -> None:
        """Nothing to close."""

    def _answer(self, case: Case, inquiry: Inquiry) -> Mapping[str, Any] | None:
        if case.status == HTTPStatus.NOT_FOUND:
            return None
        if case.status == HTTPStatus.TOO_MANY_REQUESTS:
            raise ProviderBusy("The case says that the provider is busy.", retry_after_seconds=1)
        if case.status != HTTPStatus.OK:
            raise ProviderUnavailable(f"The case says that the provider answers with HTTP status {case.status}.")
        if self._settings.mapping:
            return {field: at(case.payload, path) for field, path in self._settings.mapping.items()}
        if not isinstance(case.payload, dict):
            raise ProviderAnswerInvalid("The case's payload is no record.")
        return {SUBJECT_KEY: inquiry.subject_key, **case.payload}


def _read(path: Path) -> Case:
    text = path.read_text(encoding="utf-8")
    if len(text) > ANSWER_BYTES_MAX:
        raise ValueError(f"Larger than {ANSWER_BYTES_MAX} characters.")
    given = load_yaml(text)
    if isinstance(given, dict) and isinstance(given.get("payload"), str):
        given = {**given, "payload": json.loads(given["payload"])}
    return Case.model_validate(given)


def _words(fault: Exception) -> str:
    if isinstance(fault, ValidationError):
        first = fault.errors(include_url=False, include_input=False)[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    return f"{type(fault).__name__}: {fault}".splitlines()[0][:200]
