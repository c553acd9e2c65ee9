"""RFC 6962 section 2.1 word by word: recursive, over the entries, without a cache. Tests compare Cosmos with it.

It verifies recursively as well, by the definition of a proof, and not with the loop of RFC 9162 as Cosmos does.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256


def split(size: int) -> int:
    """Return k: the largest power of two smaller than `size`."""
    k = 1
    while 2 * k < size:
        k *= 2
    return k


def tree_hash(entries: Sequence[bytes]) -> bytes:
    """MTH(D[n])."""
    if not entries:
        return sha256(b"").digest()
    if len(entries) == 1:
        return sha256(b"\x00" + entries[0]).digest()
    k = split(len(entries))
    return above(tree_hash(entries[:k]), tree_hash(entries[k:]))


def above(left: bytes, right: bytes) -> bytes:
    """Return the hash of the node over these two."""
    return sha256(b"\x01" + left + right).digest()


def path(index: int, entries: Sequence[bytes]) -> list[bytes]:
    """PATH(m, D[n])."""
    if len(entries) == 1:
        return []
    k = split(len(entries))
    if index < k:
        return [*path(index, entries[:k]), tree_hash(entries[k:])]
    return [*path(index - k, entries[k:]), tree_hash(entries[:k])]


def proof(size: int, entries: Sequence[bytes], is_whole: bool = True) -> list[bytes]:
    """PROOF(m, D[n]), or SUBPROOF(m, D[n], b)."""
    if size == len(entries):
        return [] if is_whole else [tree_hash(entries)]
    k = split(len(entries))
    if size <= k:
        return [*proof(size, entries[:k], is_whole), tree_hash(entries[k:])]
    return [*proof(size - k, entries[k:], False), tree_hash(entries[:k])]


def root_by_path(leaf: bytes, index: int, size: int, hashes: Sequence[bytes]) -> bytes | None:
    """Return the root that an inclusion proof leads to; None if it has the wrong number of hashes."""
    if size == 1:
        return None if hashes else leaf
    if not hashes:
        return None
    k, sibling = split(size), hashes[-1]
    if index < k:
        left = root_by_path(leaf, index, k, hashes[:-1])
        return left and above(left, sibling)
    right = root_by_path(leaf, index - k, size - k, hashes[:-1])
    return right and above(sibling, right)


def roots_by_proof(size1: int, size2: int, hashes: Sequence[bytes], known: bytes | None) -> tuple[bytes, bytes] | None:
    """Return the old and the new root that a consistency proof leads to; `known` is the old one while it is whole."""
    if size1 == size2:
        if known is not None:
            return None if hashes else (known, known)
        return (hashes[0], hashes[0]) if len(hashes) == 1 else None
    if not hashes:
        return None
    k, sibling = split(size2), hashes[-1]
    if size1 <= k:
        both = roots_by_proof(size1, k, hashes[:-1], known)
        return both and (both[0], above(both[1], sibling))
    both = roots_by_proof(size1 - k, size2 - k, hashes[:-1], None)
    return both and (above(sibling, both[0]), above(sibling, both[1]))
