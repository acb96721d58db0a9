# SPDX-License-Identifier: Apache-2.0
"""The ledgers: leaves about the resident, each with its proof; what witnesses found."""

import json
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp
from tongban.ledger.v1 import ledger_pb2
from tongban.ledger.v1 import ledger_service_pb2 as pb
from tongban.ledger.v1.ledger_service_pb2_grpc import LedgerServiceStub

from services.gateway.clients.names import NamesClient
from services.gateway.service.present import agency_view
from services.gateway.service.views import (
    AccessView,
    AgencyView,
    AskerView,
    CosignatureView,
    ForkView,
    HeadView,
    NarrowAccesses,
    OwnLeaves,
    WithheldView,
)
from services.gateway.service.wording import KINDS, OPERATIONS, OUTCOMES, SELF, words
from services.gateway.workflows import Workflows
from services.kit.caller import Caller, CallerKind
from services.kit.rpc.peer import Peer
from services.kit.text import Text

_KEY_SECONDS = 60.0
_FORKS_MAX = 100
_ITSELF = Caller(CallerKind.SERVICE, "gateway")
_FORK_KINDS = {
    ledger_pb2.FORK_KIND_FORKED: "forked",
    ledger_pb2.FORK_KIND_CUT: "cut",
    ledger_pb2.FORK_KIND_INCONSISTENT: "inconsistent",
    ledger_pb2.FORK_KIND_KEY: "key",
}


class LedgerClient:
    """The ledgers of every service, this one among them."""

    def __init__(self, peers: Mapping[str, Peer], workflows: Workflows, names: NamesClient) -> None:
        self._peers = dict(peers)
        self._stubs = {log: peer.stub(LedgerServiceStub) for log, peer in peers.items()}
        self._workflows = workflows
        self._names = names
        self._heads: dict[str, tuple[pb.GetHeadResponse, float]] = {}

    async def own_leaves(self, log: str, narrow: NarrowAccesses, page_size: int, page_token: str) -> OwnLeaves:
        """Leaves about the caller in one ledger, newest first."""
        request = pb.ListOwnLeavesRequest(
            page_size=page_size,
            page_token=page_token,
            from_time=_stamp(narrow.from_time),
            to_time=_stamp(narrow.to_time),
            agency=narrow.agency,
            resource=narrow.resource,
            purpose=narrow.purpose,
            outcome=narrow.outcome,
        )
        response = await self._peers[log].call(self._stubs[log].ListOwnLeaves, request)
        rows = await self._views(response.leaves)
        return OwnLeaves(rows, response.next_page_token, response.total, response.hidden)

    async def own_leaf(self, log: str, index: int) -> AccessView:
        """One leaf about the caller."""
        request = pb.GetOwnLeafRequest(index=index)
        response = await self._peers[log].call(self._stubs[log].GetOwnLeaf, request)
        [view] = await self._views([response.leaf])
        return view

    async def public_key(self, log: str) -> Mapping[str, str]:
        """The JWK that verifies the heads of one ledger."""
        key: Mapping[str, str] = json.loads((await self._head(log)).public_key_jwk)
        return key

    async def since(self, log: str) -> datetime | None:
        """When the oldest entry of one ledger was made that can still be read."""
        head = await self._head(log)
        return head.since_time.ToDatetime(UTC) if head.HasField("since_time") else None

    async def forks(self, log: str) -> tuple[ForkView, ...]:
        """What witnesses told one ledger about it or another; the newest of it."""
        request = pb.ListForkEvidenceRequest(page_size=_FORKS_MAX)
        response = await self._peers[log].call(self._stubs[log].ListForkEvidence, request, caller=_ITSELF)
        return tuple(
            ForkView(
                evidence_id=one.evidence_id,
                log=one.log,
                kind=_FORK_KINDS.get(one.kind, "unknown"),
                witness=one.witness,
                found=one.find_time.ToDatetime(UTC),
                jws=one.jws,
            )
            for one in response.evidence
        )

    async def _head(self, log: str) -> pb.GetHeadResponse:
        """The newest head; asked for at most once a minute, since asking signs one."""
        known = self._heads.get(log)
        if known is not None and known[1] > time.monotonic():
            return known[0]
        response = await self._peers[log].call(self._stubs[log].GetHead, pb.GetHeadRequest())
        self._heads[log] = (response, time.monotonic() + _KEY_SECONDS)
        return response

    async def _views(self, leaves: Sequence[ledger_pb2.ProvenLeaf]) -> tuple[AccessView, ...]:
        bodies: list[Mapping[str, Any]] = [json.loads(one.leaf.body) if one.leaf.body else {} for one in leaves]
        agencies = {code for body in bodies for code in (_agency_of(body), str(body.get("on_behalf_of", ""))) if code}
        unknown = {code for code in agencies if not self._workflows.agency_of(code).role}
        resources = {str(body["resource"]) for body in bodies if "/" in body.get("resource", "")}
        await self._names.learn(unknown, resources)
        return tuple(self._view(one, body) for one, body in zip(leaves, bodies, strict=True))

    def _view(self, proven: ledger_pb2.ProvenLeaf, body: Mapping[str, Any]) -> AccessView:
        said = {name: str(value) for name, value in body.items() if isinstance(value, str)}
        behalf, resource = said.get("on_behalf_of", ""), said.get("resource", "")
        names = self._names.resource(resource)
        fields = tuple(str(name) for name in body.get("fields") or ())
        labels = names.fields if names else {}
        return AccessView(
            log=proven.leaf.log,
            index=proven.leaf.index,
            time=datetime.fromisoformat(said["time"]) if body else None,
            operation=said.get("operation", ""),
            operation_name=words(OPERATIONS, said.get("operation", "")),
            actor=said.get("actor", ""),
            caller=said.get("caller", ""),
            asked_by=self._asker(body) if body else None,
            on_behalf_of=self._agency(behalf) if behalf else None,
            purpose=said.get("purpose", ""),
            purpose_name=self._purpose(said.get("purpose", "")),
            basis=said.get("basis", ""),
            resource=resource,
            resource_name=names.name if names else None,
            fields=fields,
            field_names=tuple(labels.get(name) or Text(name, name) for name in fields),
            case_id=said.get("case", ""),
            outcome=said.get("outcome", ""),
            outcome_name=words(OUTCOMES, said.get("outcome", "")),
            body=proven.leaf.body,
            leaf_hash=proven.leaf.leaf_hash,
            path=tuple(proven.path),
            head=_head_view(proven.head),
            withheld=_withheld(proven.withheld) if proven.HasField("withheld") else None,
        )

    def _asker(self, body: Mapping[str, Any]) -> AskerView:
        """Who asked: the resident, a department by its name, or what kind of caller it was."""
        caller = str(body.get("caller", ""))
        kind = caller.partition(":")[0]
        if caller == f"citizen:{body.get('subject')}":
            return AskerView("self", SELF, None)
        code = _agency_of(body)
        agency = self._agency(code) if code else None
        return AskerView(kind, agency.name if agency else words(KINDS, kind), agency)

    def _agency(self, uscc: str) -> AgencyView:
        known = agency_view(self._workflows.agency_of(uscc))
        name = self._names.agency(uscc)
        return AgencyView("", uscc, name) if not known.role and name is not None else known

    def _purpose(self, code: str) -> Text:
        """The title of the matter that the purpose names, where it names one."""
        titles = (plan.matter.title for plan in self._workflows.offered if plan.matter.code == code)
        return next(titles, Text(code or "-", code or "-"))


def _agency_of(body: Mapping[str, Any]) -> str:
    kind, _, code = str(body.get("caller", "")).partition(":")
    return code if kind == "agency" else ""


def _head_view(head: ledger_pb2.SignedHead) -> HeadView:
    return HeadView(
        log=head.log,
        tree_size=head.tree_size,
        root_hash=head.root_hash,
        signed=head.sign_time.ToDatetime(UTC),
        jws=head.jws,
        cosignatures=tuple(CosignatureView(said.witness, said.jws) for said in head.cosignatures),
    )


def _withheld(withheld: ledger_pb2.Withheld) -> WithheldView:
    hidden = withheld.reason == ledger_pb2.Withheld.REASON_HIDDEN
    ends = withheld.end_time.ToDatetime(UTC) if withheld.HasField("end_time") else None
    return WithheldView("hidden" if hidden else "archived", withheld.order_id, ends)


def _stamp(moment: datetime | None) -> Timestamp | None:
    if moment is None:
        return None
    stamp = Timestamp()
    stamp.FromDatetime(moment)
    return stamp
