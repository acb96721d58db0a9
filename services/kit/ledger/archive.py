# SPDX-License-Identifier: Apache-2.0
"""Writes a running ledger as a file that proves itself (`verify.py`), over its own door, with the right to audit."""

import json
from collections.abc import Iterable
from pathlib import Path

from tongban.ledger.v1.ledger_service_pb2 import GetHeadRequest, ListLeavesRequest
from tongban.ledger.v1.ledger_service_pb2_grpc import LedgerServiceStub

from services.kit.rpc.peer import Peer

PAGE = 1000
TIMEOUT_SECONDS = 30.0


async def export(peer: Peer, path: Path, *, other_heads: Iterable[str] = ()) -> int:
    """Write every leaf that the newest head covers, the key and the heads; give the number of leaves.

    `other_heads` are heads (compact JWS) that somebody kept from before: they hold the ledger to what it once promised.
    """
    ledger = peer.stub(LedgerServiceStub)
    told = await peer.call(ledger.GetHead, GetHeadRequest(), timeout_seconds=TIMEOUT_SECONDS)
    draft = path.with_suffix(".partial")
    with draft.open("w", encoding="utf-8") as file:

        def write(**record: object) -> None:
            file.write(json.dumps(record, ensure_ascii=False) + "\n")

        write(key=json.loads(told.public_key_jwk), log=told.head.log)
        for jws in (*other_heads, told.head.jws):
            write(head=jws)
        index = 0
        while index < told.head.tree_size:
            wanted = min(PAGE, told.head.tree_size - index)
            page = await peer.call(
                ledger.ListLeaves,
                ListLeavesRequest(from_index=index, page_size=wanted),
                timeout_seconds=TIMEOUT_SECONDS,
            )
            if not page.leaves:
                break  # The verifier will say what is missing.
            for leaf in page.leaves:
                write(leaf=leaf.body.decode(), index=leaf.index)
            index = page.leaves[-1].index + 1
    draft.replace(path)
    return index
