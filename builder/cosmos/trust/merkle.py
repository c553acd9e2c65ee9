"""Merkle trees over an append-only log (RFC 6962 section 2.1), with SHA-256: root hashes and proofs.

    leaf  = SHA-256(0x00 || entry)
    node  = SHA-256(0x01 || left || right)

A tree of n leaves splits at the largest power of two below n. An **inclusion proof** shows that a leaf is the one at an
index; a **consistency proof** shows that a tree begins with all leaves of a smaller one. RFC 9162 sections 2.1.3.2 and
2.1.4.2 say how to verify them. Every hash must have 32 bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Final

from cosmos.errors import Refused

HASH_BYTES: Final = 32
EMPTY_ROOT: Final = hashlib.sha256(b"").digest()
MAX_PROOF_HASHES: Final = 64  # of a log of 2^64 entries


class BadProof(Refused):
    """A proof does not prove its claim."""


def leaf_hash(entry: bytes) -> bytes:
    """Return the hash of an entry's leaf."""
    return hashlib.sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of the node above `left` and `right`."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def root_of(leaves: Sequence[bytes]) -> bytes:
    """Return the root hash over `leaves` (leaf hashes)."""
    if not leaves:
        return EMPTY_ROOT
    level = list(leaves)
    while len(level) > 1:
        paired = [node_hash(level[place], level[place + 1]) for place in range(0, len(level) - 1, 2)]
        level = paired + level[len(paired) * 2 :]
    return level[0]


class Tree:
    """A tree over leaf hashes, which makes proofs. A node's hash is computed once, so that many proofs cost little."""

    def __init__(self, leaves: Sequence[bytes]) -> None:
        self._leaves = leaves
        self._nodes: dict[tuple[int, int], bytes] = {}

    def inclusion(self, index: int) -> tuple[bytes, ...]:
        """Return the hashes from the leaf's sibling up to the root's child (RFC 6962 section 2.1.1).

        Raises `ValueError` if the tree has no such leaf.
        """
        start, end = 0, len(self._leaves)
        if not start <= index < end:
            raise ValueError(f"leaf {index} of a tree of {end}")
        proof: list[bytes] = []
        while end - start > 1:
            middle = start + _split(end - start)
            if index < middle:
                proof.append(self._node(middle, end))
                end = middle
            else:
                proof.append(self._node(start, middle))
                start = middle
        return tuple(reversed(proof))

    def consistency(self, size: int) -> tuple[bytes, ...]:
        """Return the proof that the tree begins with its first `size` leaves (RFC 6962 section 2.1.2).

        Raises `ValueError` if the tree has fewer leaves, or `size` is 0.
        """
        start, end, is_whole = 0, len(self._leaves), True
        if not 0 < size <= end:
            raise ValueError(f"the first {size} leaves of a tree of {end}")
        proof: list[bytes] = []
        while size != end:
            middle = start + _split(end - start)
            if size <= middle:
                proof.append(self._node(middle, end))
                end = middle
            else:
                proof.append(self._node(start, middle))
                start, is_whole = middle, False
        if not is_whole:
            proof.append(self._node(start, end))
        return tuple(reversed(proof))

    def _node(self, start: int, end: int) -> bytes:
        if end - start == 1:
            return self._leaves[start]
        if (start, end) not in self._nodes:
            middle = start + _split(end - start)
            self._nodes[start, end] = node_hash(self._node(start, middle), self._node(middle, end))
        return self._nodes[start, end]


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes, source: str) -> None:
    """Return if `leaf` (a leaf hash) is the one at `index` in the tree of `size` leaves with this `root`, or raise.

    RFC 9162 section 2.1.3.2. Raises `BadProof`.
    """
    _demand_hashes((leaf, root, *proof), source)
    if not 0 <= index < size:
        raise BadProof(source, f"speaks of entry {index} of a log of {size}")
    at, last, found = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            raise BadProof(source, "has more hashes than its tree is high")
        if at & 1 or at == last:
            found = node_hash(sibling, found)
            while not at & 1 and at != 0:
                at, last = at >> 1, last >> 1
        else:
            found = node_hash(found, sibling)
        at, last = at >> 1, last >> 1
    if last != 0 or found != root:
        raise BadProof(source, f"does not show that the entry is number {index} of the log of {size}")


def verify_consistency(size1: int, size2: int, proof: Sequence[bytes], root1: bytes, root2: bytes, source: str) -> None:
    """Return if the tree (`size2`, `root2`) begins with all leaves of (`size1`, `root1`), or raise `BadProof`.

    RFC 9162 section 2.1.4.2. Every tree begins with the empty tree, without a proof.
    """
    _demand_hashes((root1, root2, *proof), source)
    if not 0 <= size1 <= size2:
        raise BadProof(source, f"a log of {size1} entries cannot have become one of {size2}")
    if size1 in (0, size2):
        if proof or (size1 == size2 and root1 != root2) or (size1 == 0 and root1 != EMPTY_ROOT):
            raise BadProof(source, f"does not show that the log of {size1} is the beginning of the one of {size2}")
        return
    rest = list(proof) if size1 & (size1 - 1) else [root1, *proof]
    if not rest:
        raise BadProof(source, "holds no hash")
    at, last = size1 - 1, size2 - 1
    while at & 1:
        at, last = at >> 1, last >> 1
    old = new = rest[0]
    for sibling in rest[1:]:
        if last == 0:
            raise BadProof(source, "has more hashes than its tree is high")
        if at & 1 or at == last:
            old, new = node_hash(sibling, old), node_hash(sibling, new)
            while not at & 1 and at != 0:
                at, last = at >> 1, last >> 1
        else:
            new = node_hash(new, sibling)
        at, last = at >> 1, last >> 1
    if last != 0 or old != root1 or new != root2:
        raise BadProof(source, f"does not show that the log of {size1} is the beginning of the one of {size2}")


def _split(size: int) -> int:
    """Return the largest power of two below `size`."""
    return 1 << ((size - 1).bit_length() - 1)


def _demand_hashes(hashes: Sequence[bytes], source: str) -> None:
    count = len(hashes) - 2  # without a leaf and a root, or two roots
    if count > MAX_PROOF_HASHES:
        raise BadProof(source, f"has {count} hashes, no log is that large")
    for one in hashes:
        if len(one) != HASH_BYTES:
            raise BadProof(source, f"want hashes of {HASH_BYTES} bytes, got one of {len(one)}")
