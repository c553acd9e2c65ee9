"""Public key files: one form, and nothing held that is no good key."""

from __future__ import annotations

import base64
import contextlib
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nacl.signing import SigningKey

from cosmos.errors import Malformed
from cosmos.model.names import KeyName
from cosmos.trust.keys import PublicKey, key_id

RAW = bytes(SigningKey(bytes(32)).verify_key)
BASE64 = base64.b64encode(RAW).decode()
LINE = f"cosmos-key-v1 ed25519 alice {BASE64}"


def test_a_key_reads_back_as_it_was_written() -> None:
    key = PublicKey(name=KeyName("alice"), raw=RAW)
    assert PublicKey.parse(key.to_text("a comment", "another"), "alice.pub") == key
    assert PublicKey.from_line(key.line) == key


def test_a_key_id_is_the_full_digest_over_format_algorithm_and_bytes() -> None:
    key = PublicKey(name=KeyName("alice"), raw=RAW)
    assert key.id == "ed25519:" + hashlib.sha256(b"cosmos-key-v1\n\x01" + RAW).hexdigest()
    assert key_id(key.id) == key.id


def test_comments_and_empty_lines_may_stand_above() -> None:
    assert PublicKey.parse(f"# who\n\n# why\n{LINE}", "alice.pub").name == "alice"


MALFORMED = {
    "nothing": "",
    "comments alone": "# nothing\n",
    "two keys": f"{LINE}\n{LINE}\n",
    "another format": LINE.replace("cosmos-key-v1", "cosmos-key-v2"),
    "another algorithm": LINE.replace("ed25519", "rsa"),
    "no name": f"cosmos-key-v1 ed25519 {BASE64}",
    "a name with capitals": LINE.replace("alice", "Alice"),
    "a name that climbs": LINE.replace("alice", "a..b"),
    "a long name": LINE.replace("alice", "a" * 65),
    "a fifth field": LINE + " more",
    "two spaces": LINE.replace(" alice", "  alice"),
    "a carriage return": LINE + "\r\n",
    "url-safe base64": f"cosmos-key-v1 ed25519 alice {base64.urlsafe_b64encode(bytes([255] * 32)).decode()}",
    "base64 without padding": LINE.rstrip("="),
    "base64 with bits to spare": LINE[:-2] + chr(ord(LINE[-2]) + 1) + "=",
    "31 bytes": f"cosmos-key-v1 ed25519 alice {base64.b64encode(RAW[:31]).decode()}",
    "33 bytes": f"cosmos-key-v1 ed25519 alice {base64.b64encode(RAW + b'x').decode()}",
    "a point of small order": f"cosmos-key-v1 ed25519 alice {base64.b64encode(bytes(32)).decode()}",
    "too much": "# " + "x" * 70_000 + "\n" + LINE,
}


@pytest.mark.parametrize("text", MALFORMED.values(), ids=MALFORMED)
def test_another_form_is_refused_cleanly(text: str) -> None:
    with pytest.raises(Malformed, match=r"^alice\.pub: "):
        PublicKey.parse(text, "alice.pub")


@given(st.binary(max_size=200))
def test_any_bytes_are_a_key_or_a_clean_refusal(data: bytes) -> None:
    with contextlib.suppress(Malformed):
        PublicKey.parse(data, "x.pub")


@given(st.integers(0, len(LINE) - 1), st.characters(max_codepoint=0x2FF))
def test_a_key_with_one_character_changed_never_reads_as_the_same_key(place: int, char: str) -> None:
    changed = LINE[:place] + char + LINE[place + 1 :]
    try:
        key = PublicKey.parse(changed, "x.pub")
    except Malformed:
        return
    assert changed == LINE or key != PublicKey.from_line(LINE)
