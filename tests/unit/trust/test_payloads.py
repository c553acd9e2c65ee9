"""A document and the envelope beside it: what is said where nobody who is pinned has signed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cosmos.keyring.secret_key import SecretKey
from cosmos.model.names import KeyName
from cosmos.trust.dsse import NotSigned
from cosmos.trust.payloads import Demand, verify_beside
from cosmos.trust.roles import STAR_TYPE

ALICE = SecretKey(name=KeyName("alice"), role="author", seed=b"a" * 32)
BOB = SecretKey(name=KeyName("bob"), role="author", seed=b"b" * 32)
PAYLOAD = b'name = "zlib"\n'
SIGNED = ALICE.sign(STAR_TYPE, PAYLOAD)


def test_signatures_by_keys_that_are_not_pinned_are_named() -> None:
    demand = Demand(payload_type=STAR_TYPE, keys=(BOB.public,), threshold=1, hint="")
    with pytest.raises(NotSigned, match=f"x.dsse .signed by {ALICE.public.id}.: want a signature by a pinned key"):
        verify_beside(PAYLOAD, SIGNED, demand, "x")
    assert verify_beside(PAYLOAD, SIGNED, replace(demand, keys=(ALICE.public,)), "x") == (ALICE.public.id,)
