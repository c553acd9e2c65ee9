"""Every parser of a chain, a memory and a signing request: a value, or a clean refusal that names its place."""

from __future__ import annotations

import contextlib
import tomllib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import tomli_w
from hypothesis import given
from hypothesis import strategies as st

from cosmos.digest import Digest
from cosmos.errors import Malformed, Refused
from cosmos.model.names import GalaxyName, ImageName
from cosmos.trust.chain import verify_step
from cosmos.trust.memory import Memory, RolledBack, Seen, SeenHead
from cosmos.trust.roles import IN_TOTO_TYPE
from cosmos.trust.signing_request import OfferedSignature, SigningRequest
from fakes.chains import document, first, secret, signed

CORE, RESCUE, ONE = GalaxyName("core"), ImageName("rescue"), Digest.of(b"one")
MEMORY = Memory(
    trust=(4, ONE),
    galaxies={CORE: Seen(number=9, digest=ONE, trust_version=4)},
    releases={RESCUE: Seen(number=3, digest=ONE, trust_version=2)},
    logs={"core.example/log": SeenHead(size=812, root=ONE, trust_version=4)},
)
SHIP = secret("ship", "release")
REQUEST = SigningRequest(payload=b'{"a": 1}')
OFFER = OfferedSignature(
    digest=Digest.of(REQUEST.payload), key=SHIP.public, raw=SHIP.signature(IN_TOTO_TYPE, REQUEST.payload).raw
)
PARSERS: dict[str, tuple[Callable[[bytes], object], bytes]] = {
    "memory": (lambda data: Memory.parse(data, "m"), tomli_w.dumps(MEMORY.to_toml()).encode()),
    "request": (lambda data: SigningRequest.parse(data, "r"), REQUEST.to_bytes()),
    "signature": (lambda data: OfferedSignature.parse(data, "s"), OFFER.to_bytes()),
    "step": (
        lambda data: verify_step(first(), data, signed(data, ["alice"]), "2.toml"),
        document(replace(first(), version=2)),
    ),
}


@pytest.mark.parametrize("name", PARSERS)
def test_what_is_written_is_read(name: str) -> None:
    parse, data = PARSERS[name]
    assert parse(data) in (MEMORY, REQUEST, OFFER, replace(first(), version=2))


@given(st.sampled_from(sorted(PARSERS)), st.binary(max_size=200))
def test_any_bytes_are_read_or_cleanly_refused(name: str, data: bytes) -> None:
    with contextlib.suppress(Malformed, Refused):
        PARSERS[name][0](data)


@given(st.sampled_from(sorted(PARSERS)), st.data())
def test_any_changed_byte_is_read_or_cleanly_refused(name: str, data: st.DataObject) -> None:
    parse, good = PARSERS[name]
    place = data.draw(st.integers(0, len(good) - 1))
    changed = good[:place] + data.draw(st.binary(max_size=3)) + good[place + 1 :]
    with contextlib.suppress(Malformed, Refused):
        parse(changed)


VALUES = st.recursive(
    st.booleans() | st.integers(-2, 2**70) | st.text(max_size=6) | st.sampled_from([str(ONE), "core", "QQ=="]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner, max_size=2),
    max_leaves=4,
)


@given(st.sampled_from(sorted(PARSERS)), st.data(), VALUES)
def test_any_value_at_any_key_is_read_or_cleanly_refused(name: str, data: st.DataObject, value: Any) -> None:
    parse, good = PARSERS[name]
    document: Any = tomllib.loads(good.decode())
    place = document
    while True:
        key = data.draw(st.sampled_from(sorted(place)))
        if not isinstance(place[key], dict) or not place[key] or data.draw(st.booleans()):
            break
        place = place[key]
    place[key] = value
    with contextlib.suppress(Malformed, Refused):
        parse(tomli_w.dumps(document).encode())


MALFORMED = {
    "another format": ("state-version", 2, "state-version: want 1"),
    "an unknown key": ("more", 1, "more: unknown key"),
    "a galaxy without a digest": (
        "galaxies",
        {"core": {"number": 1, "trust-version": 1}},
        "galaxies.core.digest: missing",
    ),
    "a galaxy of no name": (
        "galaxies",
        {"a/b": {"number": 1, "digest": str(ONE), "trust-version": 1}},
        "galaxies.a/b: want letters",
    ),
    "a negative number": (
        "releases",
        {"x": {"number": -1, "digest": str(ONE), "trust-version": 1}},
        "releases.x.number: want 0",
    ),
    "half a trust": ("trust", {"version": 3}, "trust.digest: missing"),
}


@pytest.mark.parametrize(("key", "value", "problem"), MALFORMED.values(), ids=MALFORMED)
def test_a_memory_of_another_form_is_refused_with_its_place(key: str, value: object, problem: str) -> None:
    rows = {**MEMORY.to_toml(), key: value}
    with pytest.raises(Malformed) as caught:
        Memory.parse(tomli_w.dumps(rows).encode(), "state.toml")
    assert problem in str(caught.value)


def test_a_request_whose_digest_is_not_its_payload_s_is_refused() -> None:
    changed = REQUEST.to_bytes().replace(str(Digest.of(REQUEST.payload)).encode(), str(ONE).encode())
    with pytest.raises(Refused, match="but its payload is"):
        SigningRequest.parse(changed, "RELEASE.request")


def test_a_signature_is_for_its_key_and_its_bytes_alone() -> None:
    assert OFFER.verified(REQUEST.payload, "s").keyid == SHIP.public.id
    with pytest.raises(Refused, match="but the release is"):
        OFFER.verified(REQUEST.payload + b" ", "s")
    with pytest.raises(Refused, match="is not a signature by other"):
        replace(OFFER, key=secret("other", "release").public).verified(REQUEST.payload, "s")


@pytest.mark.objective("SO-10")
def test_what_was_seen_under_an_earlier_trust_is_forgotten_by_a_recovery_alone() -> None:
    roots = first()
    with pytest.raises(RolledBack, match="has counter 2, but counter 3 was seen before"):
        MEMORY.with_release(RESCUE, 2, ONE, roots, "r")
    recovered = replace(roots, recovered=replace(roots.recovered, releases={RESCUE: 3}))
    assert MEMORY.with_release(RESCUE, 2, ONE, recovered, "r").releases[RESCUE].number == 2
    since_then = replace(roots, recovered=replace(roots.recovered, releases={RESCUE: 2}))
    with pytest.raises(RolledBack):
        MEMORY.with_release(RESCUE, 2, ONE, since_then, "r")


@pytest.mark.objective("SO-07")
def test_a_release_without_a_counter_after_one_with_a_counter_is_refused() -> None:
    with pytest.raises(RolledBack, match="has counter 0"):
        MEMORY.with_release(RESCUE, 0, ONE, first(), "r")
    assert Memory().with_release(RESCUE, 0, ONE, first(), "r") == Memory()
