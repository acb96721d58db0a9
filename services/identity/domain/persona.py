# SPDX-License-Identifier: Apache-2.0
"""Made-up accounts of the sandbox city. They exist only where the sandbox is switched on."""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from enum import StrEnum

from services.identity.domain.credit_code import credit_code
from services.kit.errors import Code, Refusal

SAMPLES_CHARACTERS_MAX = 50_000
RIGHTS_MAX = 100
TITLE_CHARACTERS_MAX = 200
_KEY = re.compile(r"[a-z0-9][a-z0-9-]{0,99}")
_SUBJECT_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|")
_RIGHT = re.compile(r"[a-z_]{1,50}\.[a-z_.]{1,50}")


class SandboxOff(Refusal):
    """Personas exist only in the sandbox."""

    code = Code.FAILED_PRECONDITION


class PersonaInvalid(Refusal):
    """A persona that could not sign in as what it says."""

    code = Code.INVALID_ARGUMENT


class Role(StrEnum):
    """What a persona signs in as."""

    CITIZEN = "citizen"
    CLERK = "clerk"
    OPERATOR = "operator"


@dataclass(frozen=True, slots=True)
class Persona:
    """An account to sign in with by its key alone."""

    key: str
    role: Role
    subject_id: str
    agency: str
    rights: tuple[str, ...]
    title_zh: str
    title_en: str
    samples_json: str = field(repr=False)

    @property
    def subject(self) -> str:
        """What a token says in `sub`: the person, or the account where no person is behind it."""
        return self.subject_id or self.key


def persona_of(*, role: str, rights: Iterable[str], persona: Persona) -> Persona:
    """The persona with role and rights checked: a citizen is a person without rights, a clerk has an agency."""
    if not _KEY.fullmatch(persona.key):
        raise PersonaInvalid("A persona's key has 1 to 100 small letters, digits and hyphens.")
    if role not in set(Role):
        raise PersonaInvalid(f"Persona {persona.key} must be a citizen, a clerk or an operator.")
    held = tuple(sorted(set(rights)))
    if len(held) > RIGHTS_MAX or not all(_RIGHT.fullmatch(right) for right in held):
        raise PersonaInvalid(f"Persona {persona.key} has at most {RIGHTS_MAX} rights such as gateway.tasks.")
    if not _SUBJECT_ID.fullmatch(persona.subject_id):
        raise PersonaInvalid(f"Persona {persona.key} names its person by a subject id.")
    if any(
        len(title) > TITLE_CHARACTERS_MAX or not title.isprintable() for title in (persona.title_zh, persona.title_en)
    ):
        raise PersonaInvalid(f"Titles of persona {persona.key} have at most {TITLE_CHARACTERS_MAX} characters.")
    checked = replace(persona, role=Role(role), rights=held, samples_json=_samples(persona))
    match checked.role:
        case Role.CITIZEN if not persona.subject_id or persona.agency or held:
            raise PersonaInvalid(f"Persona {persona.key}, a citizen, has a subject id, and neither agency nor rights.")
        case Role.CLERK:
            return replace(checked, agency=credit_code(persona.agency))
        case Role.OPERATOR if persona.agency:
            raise PersonaInvalid(f"Persona {persona.key}, an operator, belongs to no agency.")
        case _:
            return checked


def _samples(persona: Persona) -> str:
    """The sample answers as compact JSON; an empty object where there are none."""
    if len(persona.samples_json) > SAMPLES_CHARACTERS_MAX:
        raise PersonaInvalid(f"Sample answers of {persona.key} are longer than {SAMPLES_CHARACTERS_MAX} characters.")
    try:
        samples = json.loads(persona.samples_json or "{}")
    except ValueError:
        samples = None
    if not isinstance(samples, dict):
        raise PersonaInvalid(f"Sample answers of persona {persona.key} must be a JSON object.")
    return json.dumps(samples, ensure_ascii=False, separators=(",", ":"))
