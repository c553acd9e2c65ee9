"""Merkle proofs against trees that are hashed naively, and against every way to bend a proof that foreign cases know.

What foreign cases prove (test_merkle.py), without them: each is judged a second time by the definition itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest

from cosmos.trust.merkle import EMPTY_ROOT, BadProof, Tree, leaf_hash, root_of, verify_consistency, verify_inclusion
from fakes.naive_merkle import path, proof, root_by_path, roots_by_proof, tree_hash

MOST = 34
SIZES = (*range(1, 18), 31, 32, 33)
ENTRIES = [b"entry %d" % number for number in range(MOST)]
LEAVES = [leaf_hash(entry) for entry in ENTRIES]
ROOTS = [tree_hash(ENTRIES[:size]) for size in range(MOST + 1)]
OTHER = b"\x5a" * 32


def is_included(leaf: bytes, index: int, size: int, hashes: Sequence[bytes], root: bytes) -> bool:
    try:
        verify_inclusion(leaf, index, size, hashes, root, "case")
    except BadProof:
        return False
    return True


def is_consistent(size1: int, size2: int, hashes: Sequence[bytes], root1: bytes, root2: bytes) -> bool:
    try:
        verify_consistency(size1, size2, hashes, root1, root2, "case")
    except BadProof:
        return False
    return True


def bent(hashes: Sequence[bytes], *roots: bytes) -> Iterator[list[bytes]]:
    """Yield the proof and what a liar makes of it: longer, shorter, reordered, changed, with roots in it."""
    good = list(hashes)
    yield good
    yield []
    for more in (OTHER, b"", *roots):
        yield [*good, more]
        yield [more, *good]
    for place in range(len(good)):
        yield good[:place] + good[place + 1 :]
        yield [*good[:place], OTHER, *good[place + 1 :]]
        yield [*good[:place], good[place][:-1], *good[place + 1 :]]
        yield [*good[:place], good[place][:-1] + bytes([good[place][-1] ^ 1]), *good[place + 1 :]]
    yield good[::-1]
    yield good * 2


@pytest.mark.objective("SO-13")
@pytest.mark.parametrize("size", range(MOST + 1))
def test_a_root_and_every_proof_are_those_of_the_definition(size: int) -> None:
    assert root_of(LEAVES[:size]) == ROOTS[size]
    tree = Tree(LEAVES[:size])
    for index in range(size):
        assert list(tree.inclusion(index)) == path(index, ENTRIES[:size])
    for before in range(1, size + 1):
        assert list(tree.consistency(before)) == proof(before, ENTRIES[:size])


@pytest.mark.objective("SO-13")
@pytest.mark.parametrize("size", SIZES)
def test_every_bent_inclusion_proof_is_judged_as_by_the_definition(size: int) -> None:
    accepted = 0
    for index in {0, 1, size // 2, size - 2, size - 1} & {*range(size)}:
        for hashes in bent(path(index, ENTRIES[:size]), ROOTS[size], LEAVES[index]):
            for at in (index, index + 1, index - 1, index ^ 2, size, -1):
                for among in (size, size + 1, size - 1, 2 * size, size // 2, 0):
                    for root in (ROOTS[size], OTHER, EMPTY_ROOT):
                        wanted = (
                            0 <= at < among
                            and all(len(one) == 32 for one in hashes)
                            and root_by_path(LEAVES[index], at, among, hashes) == root
                        )
                        assert is_included(LEAVES[index], at, among, hashes, root) is wanted
                        accepted += wanted
            assert not is_included(OTHER, index, size, hashes, ROOTS[size])
    assert accepted > 0


@pytest.mark.objective("SO-13")
@pytest.mark.parametrize("size2", SIZES)
def test_every_bent_consistency_proof_is_judged_as_by_the_definition(size2: int) -> None:
    accepted = 0
    for size1 in {1, 2, size2 // 2, size2 - 1, size2} & {*range(1, size2 + 1)}:
        for hashes in bent(proof(size1, ENTRIES[:size2]), ROOTS[size1], ROOTS[size2]):
            for one, two in (
                (size1, size2),
                (size1 + 1, size2),
                (size1 - 1, size2),
                (size1, size2 + 1),
                (size2, size1),
            ):
                for root1, root2 in ((ROOTS[size1], ROOTS[size2]), (ROOTS[size2], ROOTS[size1]), (OTHER, ROOTS[size2])):
                    found = roots_by_proof(one, two, hashes, root1) if 0 < one <= two else None
                    wanted = all(len(each) == 32 for each in hashes) and found == (root1, root2)
                    if one == 0:
                        wanted = not hashes and root1 == EMPTY_ROOT
                    assert is_consistent(one, two, hashes, root1, root2) is wanted
                    accepted += wanted
    assert accepted > 0


@pytest.mark.objective("SO-13")
def test_a_log_of_nothing_is_the_beginning_of_every_log_and_of_no_other_root() -> None:
    assert is_consistent(0, 5, [], EMPTY_ROOT, ROOTS[5])
    assert not is_consistent(0, 5, [], ROOTS[1], ROOTS[5])
    assert not is_consistent(0, 5, [OTHER], EMPTY_ROOT, ROOTS[5])
    assert not is_consistent(1, 0, [], ROOTS[1], EMPTY_ROOT)


@pytest.mark.parametrize("length", [0, 12, 31, 33])
def test_a_root_or_a_leaf_of_another_length_proves_nothing(length: int) -> None:
    short = bytes(length)
    assert not is_consistent(1, 1, [], short, short)
    assert not is_consistent(3, 3, [], short, short)
    assert not is_included(short, 0, 1, [], short)
