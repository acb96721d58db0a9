# SPDX-License-Identifier: Apache-2.0
"""The access ledger: every use of personal data is a leaf of a Merkle tree (RFC 9162), durable before its answer leaves."""

from services.kit.ledger.access import Access, Leaf, ProvenLeaf, Receipt, SignedHead
from services.kit.ledger.ledger import Ledger
from services.kit.ledger.rpc import LedgerRpc

__all__ = ["Access", "Leaf", "Ledger", "LedgerRpc", "ProvenLeaf", "Receipt", "SignedHead"]
