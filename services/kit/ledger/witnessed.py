# SPDX-License-Identifier: Apache-2.0
"""What witnesses say of heads, kept beside them: cosignatures, and evidence against this ledger or another."""

from typing import Final

from cryptography import x509
from google.protobuf.timestamp_pb2 import Timestamp
from sqlalchemy import func, select
from tongban.ledger.v1 import ledger_events_pb2, ledger_pb2

from services.kit.caller import current_caller
from services.kit.envelope import Outgoing
from services.kit.errors import Refusal, RequestInvalid, TooManyRequests
from services.kit.ledger.access import Cosignature, canonical
from services.kit.ledger.rows import Book, Rows
from services.kit.ledger.statements import (
    COSIGNATURE_TYPE,
    FORK_KINDS,
    FORK_TYPE,
    Statement,
    StatementInvalid,
    evidence_id,
    open_statement,
)
from services.kit.paging import LONG_MAX, Page, encode_token, number_after

PAGE_SIZE: Final = 20
EVIDENCE_MAX: Final = 200
"""Pieces of evidence that one witness may have kept here: it can't fill the store."""


_LOG_CHARACTERS_MAX: Final = 40


class CosignatureInvalid(Refusal):
    """The cosignature is not the caller's, or not of a head of this ledger."""


class EvidenceInvalid(RequestInvalid):
    """The evidence can't be read, or is not the caller's."""


class Witnessed:
    """Cosignatures and evidence in one service's store."""

    def __init__(self, book: Book, rows: Rows) -> None:
        self._book = book
        self._rows = rows

    async def cosign(self, token: str, certificate: x509.Certificate) -> None:
        """Keep a cosignature and tell it. `certificate`: what the caller came with.

        Raises:
            CosignatureInvalid: it is of no head here, or signed by somebody else.
        """
        try:
            statement = _own(token, COSIGNATURE_TYPE, certificate)
            size, root = int(statement.claims["size"]), bytes.fromhex(statement.claims["root"])
        except (StatementInvalid, ValueError, TypeError, KeyError) as error:
            raise CosignatureInvalid("The cosignature can't be read, or is not the caller's.") from error
        async with self._book.transaction() as tx:
            await self._rows.frontier(
                tx.connection, lock=True
            )  # Facts about a ledger leave in the order of its changes.
            head = await self._rows.head_of(tx.connection, size)
            if head is None or head.root_hash != root or statement.claims.get("log") != self._book.service:
                raise CosignatureInvalid("There is no such head in this ledger.")
            said = Cosignature(statement.witness, token)
            insert = tx.insert(self._book.tables.ledger_cosignature).values(
                tree_size=size, witness=said.witness, jws=said.jws
            )
            if (await tx.connection.execute(insert.on_conflict_do_nothing())).rowcount:
                fact = ledger_events_pb2.LedgerHeadCosigned(
                    log=self._book.service, tree_size=size, root_hash=root, cosignature=said.to_wire()
                )
                await tx.record(Outgoing(message=fact, key=self._book.service))

    async def report(self, token: str, certificate: x509.Certificate) -> str:
        """Keep evidence and tell it; give its id.

        Raises:
            EvidenceInvalid: it can't be read, or is signed by somebody else.
            TooManyRequests: this witness has shown more than anybody reads.
        """
        try:
            found = evidence_to_wire(token, _own(token, FORK_TYPE, certificate))
        except StatementInvalid as error:
            raise EvidenceInvalid("The evidence can't be read, or is not the caller's.") from error
        table = self._book.tables.ledger_fork
        async with self._book.transaction() as tx:
            await self._rows.frontier(tx.connection, lock=True)  # As above.
            count = select(func.count()).select_from(table).where(table.c.witness == found.witness)
            if (await tx.connection.execute(count)).scalar_one() >= EVIDENCE_MAX:
                raise TooManyRequests("This witness has shown enough.", retry_after_seconds=3600)
            insert = tx.insert(table).values(
                evidence_id=found.evidence_id, log=found.log, witness=found.witness, jws=token
            )
            if (await tx.connection.execute(insert.on_conflict_do_nothing())).rowcount:
                fact = ledger_events_pb2.LedgerForkFound(evidence=found)
                await tx.record(Outgoing(message=fact, key=found.log))
        return found.evidence_id

    async def evidence(self, page_size: int = 0, token: str = "") -> Page[ledger_pb2.ForkEvidence]:
        """What was found, newest first."""
        size = page_size or PAGE_SIZE
        table = self._book.tables.ledger_fork
        query = select(table.c.id, table.c.jws).order_by(table.c.id.desc()).limit(size + 1)
        if (before := number_after(token, "before", most=LONG_MAX)) is not None:
            query = query.where(table.c.id < before)
        async with self._book.reading() as connection:
            rows = (await connection.execute(query)).all()
        found = tuple(evidence_to_wire(row.jws, open_statement(row.jws, FORK_TYPE)) for row in rows[:size])
        return Page(found, encode_token(before=rows[size - 1].id) if len(rows) > size else "")


def evidence_to_wire(token: str, statement: Statement) -> ledger_pb2.ForkEvidence:
    """A piece of evidence as it is shown. Raises StatementInvalid."""
    claims = statement.claims
    try:
        wire = ledger_pb2.ForkEvidence(
            evidence_id=evidence_id(claims),
            log=claims["log"],
            kind=FORK_KINDS.index(claims["kind"]) + 1,  # type: ignore[arg-type] # numbered as in the contract
            first=claims["first"],
            second=claims["second"],
            path=claims["path"],
            public_key_jwk=_text(claims["key"]),
            witness=statement.witness,
            jws=token,
        )
        found = Timestamp()
        found.FromJsonString(str(claims["time"]))
    except (ValueError, TypeError, KeyError) as error:
        raise StatementInvalid("The evidence can't be read.") from error
    wire.find_time.CopyFrom(found)
    if not 0 < len(wire.log) <= _LOG_CHARACTERS_MAX:
        raise StatementInvalid("The evidence names no ledger.")
    return wire


def _own(token: str, kind: str, certificate: x509.Certificate) -> Statement:
    """A statement by whoever brings it, with the certificate that they come with."""
    statement = open_statement(token, kind)
    if statement.certificate != certificate or statement.witness != current_caller().actor:
        raise StatementInvalid("The statement is somebody else's.")
    return statement


def _text(key: object) -> str:
    return canonical(key).decode() if isinstance(key, dict) else ""
