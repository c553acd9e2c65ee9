"""Merkle proofs, judged by foreign cases and by trees made here."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cosmos.trust.merkle import (
    EMPTY_ROOT,
    BadProof,
    Tree,
    leaf_hash,
    node_hash,
    root_of,
    verify_consistency,
    verify_inclusion,
)


def cases(vectors: Path, kind: str) -> list[tuple[str, dict[str, object]]]:
    folder = vectors / "merkle" / kind
    return [(str(file.relative_to(folder)), json.loads(file.read_text())) for file in sorted(folder.rglob("*.json"))]


def decoded(text: object) -> bytes:
    return base64.b64decode(str(text or ""))


def proof_of(case: dict[str, object]) -> list[bytes]:
    rows = case["proof"]
    return [decoded(row) for row in rows] if isinstance(rows, list) else []


def is_included(case: dict[str, object]) -> bool:
    index, size = int(str(case["leafIdx"])), int(str(case["treeSize"]))
    try:
        verify_inclusion(decoded(case["leafHash"]), index, size, proof_of(case), decoded(case["root"]), "case")
    except BadProof:
        return False
    return True


def is_consistent(case: dict[str, object]) -> bool:
    sizes = int(str(case["size1"])), int(str(case["size2"]))
    try:
        verify_consistency(*sizes, proof_of(case), decoded(case["root1"]), decoded(case["root2"]), "case")
    except BadProof:
        return False
    return True


def test_every_foreign_inclusion_case_is_judged_right(vectors: Path) -> None:
    found = cases(vectors, "inclusion")
    assert len(found) > 90
    assert [name for name, case in found if is_included(case) == case["wantErr"]] == []


def test_every_foreign_consistency_case_but_one_is_judged_right(vectors: Path) -> None:
    found = cases(vectors, "consistency")
    assert len(found) > 90
    # In the one, two roots are alike and of 12 bytes. A root has 32, or it is none.
    wrong = [(name, case) for name, case in found if is_consistent(case) == case["wantErr"]]
    assert [(len(decoded(case["root1"])), case["size1"], case["size2"]) for _, case in wrong] == [(12, 1, 1)]


LEAVES = [leaf_hash(b"%d" % number) for number in range(40)]


@pytest.mark.objective("SO-13")
def test_a_tree_is_as_rfc_6962_draws_it() -> None:
    a, b, c, d, e, f, g = LEAVES[:7]
    left, right = node_hash(node_hash(a, b), node_hash(c, d)), node_hash(node_hash(e, f), g)
    assert root_of(LEAVES[:7]) == node_hash(left, right)
    assert Tree(LEAVES[:7]).inclusion(6) == (node_hash(e, f), left)
    assert Tree(LEAVES[:7]).consistency(3) == (c, d, node_hash(a, b), right)
    assert root_of([]) == EMPTY_ROOT


@pytest.mark.objective("SO-13")
@given(st.integers(1, 40), st.data())
def test_every_proof_that_is_made_is_good_and_for_no_other_place(size: int, data: st.DataObject) -> None:
    leaves = LEAVES[:size]
    index = data.draw(st.integers(0, size - 1))
    proof, root = Tree(leaves).inclusion(index), root_of(leaves)
    verify_inclusion(leaves[index], index, size, proof, root, "x")
    other = data.draw(st.integers(0, 40))
    if other != index:
        with pytest.raises(BadProof):
            verify_inclusion(leaves[index], other, size, proof, root, "x")
    before = data.draw(st.integers(1, size))
    consistency = Tree(leaves).consistency(before)
    verify_consistency(before, size, consistency, root_of(leaves[:before]), root, "x")
    forked = [*leaves[: before - 1], leaf_hash(b"another")]
    with pytest.raises(BadProof):
        verify_consistency(before, size, consistency, root_of(forked), root, "x")


@pytest.mark.objective("SO-13")
@pytest.mark.parametrize("size", [1, 2, 7, 8, 33])
def test_a_proof_with_a_hash_more_or_less_or_changed_is_refused(size: int) -> None:
    leaves, root = LEAVES[:size], root_of(LEAVES[:size])
    proof = Tree(leaves).inclusion(size - 1)
    for bad in ((*proof, root), proof[:-1], (*proof[:-1], b"\0" * 32), (*proof[:-1], b"short")):
        if bad != proof:
            with pytest.raises(BadProof):
                verify_inclusion(leaves[-1], size - 1, size, bad, root, "x")


def test_a_tree_makes_proofs_of_its_own_leaves_alone() -> None:
    tree = Tree([leaf_hash(b"%d" % number) for number in range(3)])
    for index in (-1, 3):
        with pytest.raises(ValueError, match=f"leaf {index} of a tree of 3"):
            tree.inclusion(index)
    for size in (0, 4):
        with pytest.raises(ValueError, match=f"the first {size} leaves of a tree of 3"):
            tree.consistency(size)


@pytest.mark.objective("SO-13")
@pytest.mark.parametrize(
    "hashes, said", [([bytes(32)] * 67, "has 67 hashes"), ([bytes(31)], "want hashes of 32 bytes")]
)
def test_a_proof_of_too_many_or_of_short_hashes_is_refused_unread(hashes: list[bytes], said: str) -> None:
    leaf = leaf_hash(b"0")
    with pytest.raises(BadProof, match=said):
        verify_inclusion(leaf, 0, 1 << 62, hashes, leaf, "x")
    with pytest.raises(BadProof, match=said):
        verify_consistency(1, 1 << 62, hashes, leaf, leaf, "x")
