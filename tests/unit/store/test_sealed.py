"""`SealedStore`: what another seal wrote, or under another key, is refused."""

from __future__ import annotations

import copy
import hmac
import pickle

import pytest

from cosmos.digest import Digest
from cosmos.store.sealed import NotSealed, Seal, SealedStore
from fakes.stores import MemoryStore

KEY, OTHER_KEY = Digest.of(b"key"), Digest.of(b"another key")


def place(store: SealedStore, key: Digest) -> Digest:
    """Where a record lies in the store below."""
    before = set(store.inner.results)
    store.put_result(key, b"to find its place")
    (found,) = set(store.inner.results) - before
    return found


@pytest.mark.objective("SO-27")
@pytest.mark.parametrize(
    "forged",
    [
        Seal(b"thief").code(KEY, b"data") + b"data",
        Seal(b"home").code(OTHER_KEY, b"data") + b"data",
        Seal(b"home").code(KEY, b"data") + b"date",
        Seal(b"home").code(KEY, b"data")[:-1] + b"data",
        b"data",
        b"",
        b"\n",
        b"cosmos-seal 1 \ndata",
    ],
)
def test_what_was_written_under_another_key_or_by_another_seal_is_refused(forged: bytes) -> None:
    store = SealedStore(MemoryStore(), Seal(b"home"))
    where = place(store, KEY)
    store.inner.put_result(where, forged)
    with pytest.raises(NotSealed, match="was not written by this home") as refused:
        store.get_result(KEY)
    assert refused.value.exit_code == 4
    with pytest.raises(NotSealed):
        store.get_made(KEY)
    store.inner.put_result(where, Seal(b"home").code(KEY, b"data") + b"data")
    assert store.get_result(KEY) == b"data"


def test_two_homes_do_not_meet_in_one_store() -> None:
    inner = MemoryStore()
    one, other = SealedStore(inner, Seal(b"one")), SealedStore(inner, Seal(b"other"))
    one.put_result(KEY, b"of one")
    assert other.get_result(KEY) is None
    other.put_made(KEY, b"of the other")
    assert (one.get_result(KEY), other.get_made(KEY)) == (b"of one", b"of the other")


def test_a_seal_says_nothing_of_its_key_and_does_not_leave_the_process() -> None:
    seal = Seal(b"a secret of 32 bytes, or so it is")
    assert "secret" not in repr(seal) + seal.id
    for leave in (pickle.dumps, copy.copy):
        with pytest.raises(TypeError, match="not pickled or copied"):
            leave(seal)


def test_each_code_is_the_mac_that_the_format_names_whatever_was_sealed_before() -> None:
    seal = Seal(b"home")
    for data in (b"", b"data", b"more data"):
        message = b"\0".join((b"cosmos-seal-v1", KEY.hex.encode(), data))
        assert seal.code(KEY, data) == b"cosmos-seal 1 %b\n" % hmac.digest(b"home", message, "sha256").hex().encode()
