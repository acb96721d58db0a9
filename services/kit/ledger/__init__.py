# SPDX-License-Identifier: Apache-2.0
"""The access ledger: every use of personal data is a leaf of a Merkle tree (RFC 9162), durable before its answer leaves.

Names are loaded on first use: the offline verifier shares this package and needs none of it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from services.kit.ledger.access import Access, Leaf, ProvenLeaf, Receipt, SignedHead
    from services.kit.ledger.ledger import Account, Ledger
    from services.kit.ledger.rpc import LedgerRpc

__all__ = ["Access", "Account", "Leaf", "Ledger", "LedgerRpc", "ProvenLeaf", "Receipt", "SignedHead"]

_HOMES = {"Account": "ledger", "Ledger": "ledger", "LedgerRpc": "rpc"}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(name)
    return getattr(import_module(f"{__name__}.{_HOMES.get(name, 'access')}"), name)
