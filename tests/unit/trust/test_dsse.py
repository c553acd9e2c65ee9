"""Envelopes: one strict form, distinct keys, and the same verdicts as an implementation that no one here wrote."""

from __future__ import annotations

import base64
import contextlib
import json
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from securesystemslib import dsse as theirs
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import CryptoSigner, SSlibKey

from cosmos.errors import Refused
from cosmos.keyring.secret_key import SecretKey
from cosmos.model.names import KeyName
from cosmos.trust.dsse import BadEnvelope, Envelope, NotSigned, Signature, assemble, pae, verify_envelope
from cosmos.trust.keys import PublicKey
from cosmos.trust.roles import GALAXY_TYPE, STAR_TYPE

ALICE = SecretKey(name=KeyName("alice"), role="author", seed=b"a" * 32)
BOB = SecretKey(name=KeyName("bob"), role="author", seed=b"b" * 32)
PAYLOAD = b'name = "zlib"\n'
SIGNED = ALICE.sign(STAR_TYPE, PAYLOAD)


def judged(data: bytes, *keys: SecretKey, threshold: int = 1, payload_type: str = STAR_TYPE) -> tuple[str, ...]:
    public = [key.public for key in keys]
    verified = verify_envelope(data, payload_type=payload_type, keys=public, threshold=threshold, source="x.dsse")
    assert verified.payload == PAYLOAD
    return verified.signers


def changed(change: Callable[[dict], object]) -> bytes:
    document = json.loads(SIGNED)
    change(document)
    return json.dumps(document).encode()


def test_what_is_signed_is_the_specification_s_own_example() -> None:
    assert (
        pae("http://example.com/HelloWorld", b"hello world")
        == b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    )


def test_an_envelope_by_a_pinned_key_gives_its_payload_and_its_signer() -> None:
    assert judged(SIGNED, ALICE) == (ALICE.public.id,)


@pytest.mark.objective("SO-02")
def test_an_envelope_by_another_key_is_refused() -> None:
    with pytest.raises(NotSigned, match="want a signature by a pinned key, got none"):
        judged(SIGNED, BOB)


@pytest.mark.objective("SO-02")
def test_a_name_in_a_key_file_is_no_identity() -> None:
    impostor = SecretKey(name=KeyName("alice"), role="author", seed=b"c" * 32)
    with pytest.raises(NotSigned):
        judged(SIGNED, impostor)


@pytest.mark.objective("SO-02")
def test_two_keys_meet_a_threshold_of_two_in_whatever_order_they_signed() -> None:
    rows = [ALICE.signature(STAR_TYPE, PAYLOAD), BOB.signature(STAR_TYPE, PAYLOAD)]
    assert assemble(STAR_TYPE, PAYLOAD, rows) == assemble(STAR_TYPE, PAYLOAD, reversed(rows))
    assert judged(assemble(STAR_TYPE, PAYLOAD, rows), ALICE, BOB, threshold=2) == tuple(
        sorted([ALICE.public.id, BOB.public.id])
    )


@pytest.mark.objective("SO-02")
def test_one_key_does_not_count_twice_under_two_ids() -> None:
    row = ALICE.signature(STAR_TYPE, PAYLOAD)
    twice = assemble(STAR_TYPE, PAYLOAD, [row, Signature(keyid=BOB.public.id, raw=row.raw)])
    with pytest.raises(NotSigned, match="2 distinct pinned keys, got 1"):
        judged(twice, ALICE, BOB, threshold=2)


@pytest.mark.objective("SO-02")
def test_one_key_does_not_count_twice_when_it_is_pinned_under_two_names() -> None:
    row = ALICE.signature(STAR_TYPE, PAYLOAD)
    twice = assemble(STAR_TYPE, PAYLOAD, [row, row])
    again = PublicKey(name=KeyName("alias"), raw=ALICE.public.raw)
    with pytest.raises(NotSigned):
        verify_envelope(twice, payload_type=STAR_TYPE, keys=[ALICE.public, again], threshold=2, source="x")


@pytest.mark.objective("SO-02")
@pytest.mark.parametrize("threshold", [0, -1])
def test_a_threshold_below_one_is_an_error(threshold: int) -> None:
    with pytest.raises(Refused, match="would let anything pass"):
        judged(SIGNED, ALICE, threshold=threshold)


@pytest.mark.objective("SO-04")
def test_a_signature_for_one_kind_of_document_serves_no_other() -> None:
    with pytest.raises(BadEnvelope, match=r"want a signature for .*galaxy.*, got one for '.*star"):
        judged(SIGNED, ALICE, payload_type=GALAXY_TYPE)
    relabelled = changed(lambda document: document.update(payloadType=GALAXY_TYPE))
    with pytest.raises(NotSigned):
        judged(relabelled, ALICE, payload_type=GALAXY_TYPE)


def test_a_key_id_is_a_hint_and_may_be_absent_or_wrong() -> None:
    assert judged(changed(lambda document: document["signatures"][0].pop("keyid")), ALICE, BOB) == (ALICE.public.id,)
    lying = changed(lambda document: document["signatures"][0].update(keyid=BOB.public.id))
    assert judged(lying, ALICE, BOB) == (ALICE.public.id,)


@pytest.mark.objective("SO-02")
def test_a_signature_by_someone_unknown_is_passed_over() -> None:
    rows = [ALICE.signature(STAR_TYPE, PAYLOAD), BOB.signature(STAR_TYPE, PAYLOAD)]
    assert judged(assemble(STAR_TYPE, PAYLOAD, rows), ALICE) == (ALICE.public.id,)


def odd_base64(text: str) -> str:
    """Return another spelling of the same bytes: a bit that no one reads is set."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    stem = text.rstrip("=")
    spelt = stem[:-1] + alphabet[alphabet.index(stem[-1]) + 1] + "=" * (len(text) - len(stem))
    assert base64.b64decode(spelt) == base64.b64decode(text)
    return spelt


def on_signature(**fields: object) -> bytes:
    return changed(lambda document: document["signatures"][0].update(fields))


TEXT = SIGNED.decode()
PAYLOAD_BASE64 = base64.b64encode(PAYLOAD + b"xx").decode()
MALFORMED: dict[str, bytes] = {
    "nothing": b"",
    "no JSON": b"payload = 1",
    "an array": b"[]",
    "null": b"null",
    "a second document": SIGNED + SIGNED,
    "a byte order mark": b"\xef\xbb\xbf" + SIGNED,
    "UTF-16": TEXT.encode("utf-16"),
    "no UTF-8": SIGNED.replace(b"ed25519", b"ed\xff5519"),
    "deep nesting": b"[" * 100_000,
    "deep nesting in a field": changed(lambda document: None).replace(
        b'"signatures": [', b'"signatures": [' + b"[" * 5000
    ),
    "a huge number": b'{"payload": ' + b"9" * 10_000 + b"}",
    "no payload": changed(lambda document: document.pop("payload")),
    "no type": changed(lambda document: document.pop("payloadType")),
    "no signatures": changed(lambda document: document.pop("signatures")),
    "an empty list of signatures": changed(lambda document: document.update(signatures=[])),
    "signatures that are no list": changed(lambda document: document.update(signatures={})),
    "a signature that is no object": changed(lambda document: document.update(signatures=["x"])),
    "a signature without sig": changed(lambda document: document["signatures"][0].pop("sig")),
    "an unknown field": changed(lambda document: document.update(comment="x")),
    "an unknown field in a signature": on_signature(cert="x"),
    "a doubled field": TEXT.replace('"payloadType"', '"payload": "QQ==", "payloadType"').encode(),
    "a doubled field, one in escapes": TEXT.replace('"payloadType"', '"p\\u0061yload": "QQ==", "payloadType"').encode(),
    "a doubled field in a signature": TEXT.replace('"sig"', '"sig": "QQ==", "sig"').encode(),
    "NaN": TEXT.replace('"payloadType"', '"x": NaN, "payloadType"').encode(),
    "Infinity": TEXT.replace('"payloadType"', '"x": -Infinity, "payloadType"').encode(),
    "a payload that is no text": changed(lambda document: document.update(payload=1)),
    "a payload in url-safe base64": changed(lambda document: document.update(payload="_-8=")),
    "a payload with bits to spare": changed(lambda document: document.update(payload=odd_base64(PAYLOAD_BASE64))),
    "a payload without padding": changed(lambda document: document.update(payload=PAYLOAD_BASE64.rstrip("="))),
    "a payload with a newline": changed(lambda document: document.update(payload=document["payload"] + "\n")),
    "a payload beyond ASCII": changed(lambda document: document.update(payload="ÀÀ==")),
    "a signature with bits to spare": changed(
        lambda document: document["signatures"][0].update(sig=odd_base64(document["signatures"][0]["sig"]))
    ),
    "a short signature": on_signature(sig=base64.b64encode(bytes(63)).decode()),
    "a long signature": on_signature(sig=base64.b64encode(bytes(65)).decode()),
    "a key id that is no text": on_signature(keyid=7),
    "a key id that drives a terminal": on_signature(keyid="\x1b[2J"),
    "half a surrogate pair": on_signature(keyid="\ud800"),
    "a key id without end": on_signature(keyid="x" * 257),
    "17 signatures": changed(lambda document: document.update(signatures=document["signatures"] * 17)),
    "more than a mebibyte": SIGNED + b" " * (1 << 20),
}


@pytest.mark.parametrize("data", MALFORMED.values(), ids=MALFORMED)
def test_another_form_is_refused_cleanly(data: bytes) -> None:
    with pytest.raises(BadEnvelope, match=r"^x\.dsse: "):
        judged(data, ALICE)


@pytest.mark.parametrize("constant", ["NaN", "Infinity", "-Infinity"])
def test_what_is_not_json_is_named_wherever_it_stands(constant: str) -> None:
    with pytest.raises(BadEnvelope, match=f"holds {constant}, which is not JSON"):
        judged(TEXT.replace('"signatures": [', f'"signatures": [{constant}, ').encode(), ALICE)


def test_16_signatures_are_taken_and_one_signer_is_named_once() -> None:
    sixteen = changed(lambda document: document.update(signatures=document["signatures"] * 16))
    assert judged(sixteen, ALICE) == (ALICE.public.id,)


@given(st.binary(max_size=300))
def test_any_bytes_are_an_envelope_or_a_clean_refusal(data: bytes) -> None:
    with contextlib.suppress(BadEnvelope):
        Envelope.parse(data, "x.dsse")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["payload", "payloadType", "signatures", "keyid", "sig", "x"]), inner, max_size=4
        )
    ),
    max_leaves=12,
)


@given(JSON)
def test_any_json_is_an_envelope_or_a_clean_refusal(value: object) -> None:
    with contextlib.suppress(BadEnvelope):
        Envelope.parse(json.dumps(value).encode(), "x.dsse")


@pytest.mark.objective("SO-03")
@given(st.integers(0, len(SIGNED) - 1), st.integers(1, 255))
def test_a_changed_byte_never_yields_another_payload(place: int, change: int) -> None:
    data = bytearray(SIGNED)
    data[place] ^= change
    with contextlib.suppress(Refused):
        judged(bytes(data), ALICE)  # asserts that the payload is the one that was signed


@given(st.binary(max_size=100), st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=30))
def test_what_is_assembled_reads_back(payload: bytes, payload_type: str) -> None:
    row = Signature(keyid="", raw=bytes(64))
    envelope = Envelope.parse(assemble(payload_type, payload, [row]), "x")
    assert (envelope.payload, envelope.payload_type, envelope.signatures) == (payload, payload_type, (row,))


LONG = bytes(range(256)) * 4096  # 1 MiB: its base64 is cut out before the rest is read
ONE_SIGNATURE = [{"sig": base64.b64encode(bytes(64)).decode()}]


def enveloped(payload: str, **more: object) -> bytes:
    fields = {"payload": payload, "payloadType": STAR_TYPE, "signatures": ONE_SIGNATURE, **more}
    return json.dumps(fields).encode()


@pytest.mark.parametrize(
    "written",
    [
        lambda text: text,
        lambda text: text.replace("/", "\\/"),
        lambda text: text.replace("+", "\\u002b"),
        lambda text: text.replace("+", "\\u002B").replace("=", "\\u003d"),
    ],
    ids=["plain", "slashes", "plus", "all"],
)
@pytest.mark.parametrize("size", [10, 3000, 3072, 5000, len(LONG)])
def test_a_payload_of_any_length_is_read_however_json_writes_it(written: Callable[[str], str], size: int) -> None:
    text = base64.b64encode(LONG[:size]).decode()
    data = enveloped("HERE").replace(b"HERE", written(text).encode())
    assert json.loads(data)["payload"] == text
    assert Envelope.parse(data, "x.dsse", max_bytes=4 << 20).payload == LONG[:size]


@pytest.mark.parametrize(
    "data",
    [
        enveloped("[" + "{}," * 1_000_000),
        enveloped("QQ==", signatures=[{}] * 100_000),
        enveloped(base64.b64encode(LONG).decode(), signatures=[{}] * 100_000),
        b'{"payload": [' + b"{}," * 100_000 + b"{}]}",
        b'"' * 1_000_000,
        b'"aa",' * 200_000,
        b"[" * 1_000_000,
    ],
    ids=range(7),
)
def test_an_envelope_that_is_large_beside_its_payload_is_refused_unread(data: bytes) -> None:
    with pytest.raises(BadEnvelope, match=r"^x\.dsse: has \d+ bytes beside its payload in base64, the limit is 65536$"):
        Envelope.parse(data, "x.dsse", max_bytes=8 << 20)


def test_an_envelope_has_as_many_bytes_as_its_kind_may_have_and_no_more() -> None:
    data = enveloped(base64.b64encode(LONG).decode())
    assert Envelope.parse(data, "x.dsse", max_bytes=len(data)).payload == LONG
    said = rf"^x\.dsse: has {len(data)} bytes, the limit of an envelope is {len(data) - 1}$"
    with pytest.raises(BadEnvelope, match=said):
        Envelope.parse(data, "x.dsse", max_bytes=len(data) - 1)


HOLES = ['"\\u0000 the payload"', '"\\u0000\\u0020the payload"']


@pytest.mark.parametrize("hole", HOLES)
def test_no_payload_is_written_as_the_reader_s_own_mark_of_a_long_one(hole: str) -> None:
    with pytest.raises(BadEnvelope, match="payload: want canonical base64"):
        Envelope.parse(enveloped("HERE").replace(b'"HERE"', hole.encode()), "x.dsse", max_bytes=4 << 20)


@pytest.mark.parametrize("hole", [*HOLES, '"QQ=="'])
@pytest.mark.parametrize("field", ["keyid", "sig", "payloadType", "comment"])
def test_a_long_text_elsewhere_is_never_taken_for_the_payload(hole: str, field: str) -> None:
    signature = f'{{"sig": "{ONE_SIGNATURE[0]["sig"]}"}}'
    long, extra = f'"{base64.b64encode(LONG).decode()}"', ""
    kind = f'"{STAR_TYPE}"'
    if field in ("keyid", "sig"):
        signature = signature.replace("}", f', "{field}": {long}}}') if field == "keyid" else f'{{"sig": {long}}}'
    elif field == "comment":
        extra = f', "comment": {long}'
    else:
        kind = long
    text = f'{{"signatures": [{signature}], "payloadType": {kind}, "payload": {hole}{extra}}}'
    with pytest.raises(BadEnvelope):
        Envelope.parse(text.encode(), "x.dsse", max_bytes=4 << 20)


def their_key(key: SecretKey) -> SSlibKey:
    return SSlibKey(key.public.id, "ed25519", "ed25519", {"public": key.public.raw.hex()})


def test_securesystemslib_verifies_our_envelopes() -> None:
    ours = theirs.Envelope.from_dict(json.loads(SIGNED))
    assert ours.verify([their_key(ALICE)], 1)
    assert ours.payload == PAYLOAD
    with pytest.raises(VerificationError):
        ours.verify([their_key(BOB)], 1)


def test_we_verify_securesystemslib_s_envelopes() -> None:
    signer = CryptoSigner.generate_ed25519()
    envelope = theirs.Envelope(PAYLOAD, STAR_TYPE, {})
    envelope.sign(signer)
    public = PublicKey(name=KeyName("theirs"), raw=bytes.fromhex(signer.public_key.keyval["public"]))
    data = json.dumps(envelope.to_dict()).encode()
    assert verify_envelope(data, payload_type=STAR_TYPE, keys=[public], threshold=1, source="x").payload == PAYLOAD
    with pytest.raises(NotSigned):
        judged(data, ALICE)


def test_their_encoding_of_what_is_signed_is_ours() -> None:
    envelope = theirs.Envelope("zürich".encode(), "text/plain; x=é", {})
    assert envelope.pae() == pae("text/plain; x=é", "zürich".encode())
