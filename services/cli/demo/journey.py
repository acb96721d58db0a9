# SPDX-License-Identifier: Apache-2.0
"""The birth as a mother's app does it, told as it happens, and then everything that came of it, checked."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography import x509

from services.cli.demo import auditor
from services.cli.demo.credential import CredentialBroken, check
from services.cli.demo.proofs import ProofBroken, check_access
from services.cli.demo.resident import Document, DoorRefused, Resident

MATTER = "birth"
OPERATOR_PERSONA = "operator-1"
"""Who reads traces: residents may not."""

_SPANS_SECONDS = 10.0
_SPANS_EVERY_SECONDS = 0.3
_SPANS_STEADY = 3

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Place:
    """Where the system is, seen from outside."""

    url: str
    pki: Path
    addresses: Mapping[str, str]


@dataclass(slots=True)
class Outcome:
    """What came of it. `faults` is empty where everything held."""

    case: Document
    seconds: float
    licenses: list[Document] = field(default_factory=list)
    leaves: int = 0
    roots: dict[str, str] = field(default_factory=dict)
    ledger_verified: bool = False
    accesses: list[Document] = field(default_factory=list)
    spans_by_service: dict[str, int] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)

    @property
    def held(self) -> bool:
        """Whether the case is completed and everything verified."""
        return self.case["status"] == "completed" and not self.faults

    def document(self) -> Document:
        """The one line of JSON."""
        return {
            "case": self.case["receipt"],
            "status": self.case["status"],
            "steps": [
                {
                    "id": step["id"],
                    "agency": step["agency"]["role"] if step["agency"] else "",
                    "state": step["state"],
                    "started": step["started"],
                    "ended": step["ended"],
                }
                for step in self.case["steps"]
            ],
            "licenses": [
                {
                    "type": each["type_code"],
                    "identifier": each["identifier"],
                    "version": each["version"],
                    "credential": each["credential"],
                }
                for each in self.licenses
            ],
            "ledger": {"leaves": self.leaves, "root": self.roots, "verified": self.ledger_verified},
            "trace_id": self.case["trace_id"],
            "spans_by_service": self.spans_by_service,
            "seconds": self.seconds,
        }


async def birth(place: Place, persona: str, say: Say) -> Outcome:
    """Do it. Raises DoorRefused where the door says no."""
    async with Resident.signed_in(place.url, persona) as resident:
        say(f"Signed in as {persona}.")
        begun = time.monotonic()
        case = await _follow(resident, persona, say)
        outcome = Outcome(case, round(time.monotonic() - begun, 3))
        await _licenses(resident, place, outcome)
        await _ledgers(resident, place, outcome)
    async with Resident.signed_in(place.url, OPERATOR_PERSONA) as operator:
        await _trace(operator, outcome)
    return outcome


async def _follow(resident: Resident, persona: str, say: Say) -> Document:
    samples = await resident.samples(persona)
    draft = await resident.create(MATTER, samples[MATTER])
    filled = [each["name"] for each in draft["prefilled"] if each["state"] == "filled"]
    say(f"Draft opened; {len(filled)} of its answers came from the departments: {', '.join(filled)}.")
    await resident.submit(draft["id"])
    begun = time.monotonic()
    say(f"Submitted. Receipt {draft['receipt']}.\n")
    async for entry in resident.events(draft["id"]):
        if entry["kind"] not in {"opened", "changed"}:
            say(_line(entry, time.monotonic() - begun))
    return await resident.case(draft["id"])


def _line(entry: Document, seconds: float) -> str:
    agency = entry["agency"]["name"]["zh"] if entry["agency"] else ""
    reason = f"  {entry['reason']}" if entry["reason"] else ""
    what = f"{entry['step_id']:<26}" if entry["step_id"] else f"{'':<26}"
    return f"  {seconds:6.2f} s  {entry['kind']:<16} {what} {entry['text']['zh']}  {agency}{reason}".rstrip()


async def _licenses(resident: Resident, place: Place, outcome: Outcome) -> None:
    """Fetch each license that the case led to and check its credential against the root alone."""
    root = x509.load_pem_x509_certificate((place.pki / "ca.crt").read_bytes())
    for issued in outcome.case["licenses"]:
        license = await resident.license(issued["license_id"])
        outcome.licenses.append(license)
        try:
            checked = check(license["credential"], root, now=datetime.now(UTC))
        except CredentialBroken as broken:
            outcome.faults.append(f"License {license['identifier']}: {broken}")
            continue
        if checked.vct != f"urn:tongban:license:{license['type_code']}:1":
            outcome.faults.append(f"License {license['identifier']} is of another type than its credential.")
    if not outcome.licenses:
        outcome.faults.append("No license was issued.")


async def _ledgers(resident: Resident, place: Place, outcome: Outcome) -> None:
    """Prove what the mother sees, and then the three ledgers whole."""
    before = len(outcome.faults)
    outcome.accesses = await resident.accesses()
    books = await auditor.fetch(place.pki, place.addresses)
    keys = await resident.get("/.well-known/ledger-keys.json")
    proofs: list[Callable[[], Any]] = [book.prove for book in books]
    proofs += [_proof(access, keys) for access in outcome.accesses]
    for prove in proofs:
        try:
            prove()
        except ProofBroken as broken:
            outcome.faults.append(str(broken))
    outcome.leaves = sum(len(book.of_case(outcome.case["id"])) for book in books)
    outcome.roots = {book.log: book.head.root_hash.hex() for book in books}
    if not outcome.leaves:
        outcome.faults.append("No leaf of the case is in any ledger.")
    outcome.ledger_verified = len(outcome.faults) == before


def _proof(access: Document, keys: dict[str, dict[str, str]]) -> Callable[[], None]:
    return lambda: check_access(access, keys)


async def _trace(operator: Resident, outcome: Outcome) -> None:
    """Spans by service; they arrive in batches, so look until no more come."""
    ends, steady = time.monotonic() + _SPANS_SECONDS, 0
    while steady < _SPANS_STEADY and time.monotonic() < ends:
        counted = await _spans(operator, outcome.case["trace_id"])
        steady = steady + 1 if counted and counted == outcome.spans_by_service else 0
        outcome.spans_by_service = counted
        await asyncio.sleep(_SPANS_EVERY_SECONDS)
    missing = {"identity", "licenses", "exchange", "gateway"} - outcome.spans_by_service.keys()
    if missing or not any(name.startswith("department.") for name in outcome.spans_by_service):
        outcome.faults.append(f"The trace lacks spans of {', '.join(sorted(missing)) or 'a department'}.")


async def _spans(operator: Resident, trace_id: str) -> dict[str, int]:
    try:
        trace = await operator.get(f"/console/api/traces/{trace_id}")
    except DoorRefused:
        return {}
    return dict(sorted(Counter(span["service"] for span in trace["spans"]).items()))
