# SPDX-License-Identifier: Apache-2.0
"""The three ledgers: leaves about the resident, each with its proof."""

import json
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from tongban.ledger.v1 import ledger_pb2
from tongban.ledger.v1 import ledger_service_pb2 as pb
from tongban.ledger.v1.ledger_service_pb2_grpc import LedgerServiceStub

from services.gateway.service.present import agency_view
from services.gateway.service.views import AccessView, HeadView
from services.gateway.workflows import Workflows
from services.kit.ledger.merkle import leaf_hash
from services.kit.paging import Page
from services.kit.rpc.peer import Peer

_KEY_SECONDS = 60.0


class LedgerClient:
    """The ledgers of identity, licenses and exchange."""

    def __init__(self, peers: Mapping[str, Peer], workflows: Workflows) -> None:
        self._peers = dict(peers)
        self._stubs = {log: peer.stub(LedgerServiceStub) for log, peer in peers.items()}
        self._workflows = workflows
        self._keys: dict[str, tuple[Mapping[str, str], float]] = {}

    async def own_leaves(self, log: str, page_size: int, page_token: str) -> Page[AccessView]:
        """Leaves about the caller in one ledger, newest first."""
        request = pb.ListOwnLeavesRequest(page_size=page_size, page_token=page_token)
        response = await self._peers[log].call(self._stubs[log].ListOwnLeaves, request)
        return Page(tuple(self._view(one) for one in response.leaves), response.next_page_token)

    async def public_key(self, log: str) -> Mapping[str, str]:
        """The JWK that verifies the heads of one ledger; asked for at most once a minute, since asking signs a head."""
        known = self._keys.get(log)
        if known is not None and known[1] > time.monotonic():
            return known[0]
        response = await self._peers[log].call(self._stubs[log].GetHead, pb.GetHeadRequest())
        key: Mapping[str, str] = json.loads(response.public_key_jwk)
        self._keys[log] = (key, time.monotonic() + _KEY_SECONDS)
        return key

    def _view(self, proven: ledger_pb2.ProvenLeaf) -> AccessView:
        body: Mapping[str, Any] = json.loads(proven.leaf.body)
        behalf = str(body.get("on_behalf_of") or "")
        return AccessView(
            log=proven.leaf.log,
            index=proven.leaf.index,
            time=datetime.fromisoformat(str(body["time"])),
            operation=str(body.get("operation", "")),
            actor=str(body.get("actor", "")),
            caller=str(body.get("caller", "")),
            on_behalf_of=agency_view(self._workflows.agency_of(behalf)) if behalf else None,
            purpose=str(body.get("purpose", "")),
            basis=str(body.get("basis", "")),
            resource=str(body.get("resource", "")),
            fields=tuple(str(name) for name in body.get("fields") or ()),
            case_id=str(body.get("case", "")),
            outcome=str(body.get("outcome", "")),
            body=proven.leaf.body,
            leaf_hash=leaf_hash(proven.leaf.body),
            path=tuple(proven.path),
            head=HeadView(
                log=proven.head.log,
                tree_size=proven.head.tree_size,
                root_hash=proven.head.root_hash,
                signed=proven.head.sign_time.ToDatetime(UTC),
                jws=proven.head.jws,
            ),
        )
