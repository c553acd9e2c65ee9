"""Secrets are found wherever they stand in a file, and what only looks like one is not."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cosmos.keyring.secret_key import SecretKey
from cosmos.limits import READ_CHUNK_BYTES
from cosmos.model.names import KeyName
from cosmos.release.lint.secret_text import KEYS_AND_TOKENS, first_matches, patterns, sieved
from cosmos.spool import Spool

BODY = b"MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7\n"
SECRETS = {
    "pkcs8": (b"-----BEGIN PRIVATE KEY-----\n" + BODY, "a private key in PEM"),
    "rsa-crlf": (b"-----BEGIN RSA PRIVATE KEY-----\r\n" + BODY, "a private key in PEM"),
    "sealed": (
        b"-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,AB\n\n" + BODY,
        "a private key in PEM",
    ),
    "openssh": (b"-----BEGIN OPENSSH PRIVATE KEY-----\n" + BODY, "a private key in PEM"),
    "in-json": (rb'"key": "-----BEGIN PRIVATE KEY-----\n' + BODY, "a private key in PEM"),
    "pgp": (b"-----BEGIN PGP PRIVATE KEY BLOCK-----\nVersion: GnuPG v2\n\n" + BODY, "a secret PGP key"),
    "putty": (b"PuTTY-User-Key-File-3: ssh-ed25519\r\nEncryption: none\r\n", "a private key of PuTTY"),
    "age": (b"AGE-SECRET-KEY-1" + b"QZ" * 29, "a secret key of age"),
    "minisign": (b"untrusted comment: minisign encrypted secret key\n" + b"R" * 212, "a secret key of minisign"),
    "github": (b"ghs_" + b"aB3" * 12, "a token of GitHub"),
    "github-new": (b"github_pat_" + b"a" * 22 + b"_" + b"b" * 59, "a token of GitHub"),
    "gitlab": (b"glpat-" + b"a-" * 10, "a token of GitLab"),
    "aws": (b"AKIA" + b"ABCD2345" * 2, "an access key of AWS"),
    "slack": (b"xoxb-1234567890-1234567890-" + b"a" * 24, "a token of Slack"),
    "stripe": (b"sk_live_" + b"a" * 24, "a live key of Stripe"),
    "google": (b"AIza" + b"Sy" * 17 + b"x", "a key of Google"),
    "npm": (b"npm_" + b"a" * 36, "a token of npm"),
    "pypi": (b"pypi-AgEIcHlwaS5vcmc" + b"a" * 60, "a token of PyPI"),
    "temporary": (b"/tmp/cosmos-rebuild-a1b2c3_d/x", "the name of a temporary folder of Cosmos"),
    "half-written": (b"/.cosmos-12-3.tmp", "the name of a temporary file of Cosmos"),
    "builder": (b"/home/alice/src/x.c", "a folder of the builder"),
}
INNOCENT = {
    "a library's header": b"-----BEGIN PRIVATE KEY-----\0-----END PRIVATE KEY-----\0",
    "a public key": b"-----BEGIN PUBLIC KEY-----\n" + BODY,
    "a certificate": b"-----BEGIN CERTIFICATE-----\n" + BODY,
    "a format": b"PuTTY-User-Key-File-%d: %s\n",
    "documentation of AWS": b"AKIAIOSFODNN7EXAMPLE",
    "a token in base64": b"xghp_" + b"a" * 36,
    "a longer word": b"ghp_" + b"a" * 37,
    "a shorter word": b"npm_" + b"a" * 35,
    "a test key": b"sk_test_" + b"a" * 24,
    "another user": b"/home/alicea/x /home/alice-b",
    "the temporary folder": b"/tmp/cosmos-rebuild-",
}
WANTED = sieved(patterns([b"/home/alice/", b"/root", b"/"]))


@pytest.mark.parametrize("name", SECRETS)
def test_each_kind_of_secret_is_found_at_its_place(name: str) -> None:
    text, what = SECRETS[name]
    (found,) = first_matches(b"..\n" + text + b"\n", WANTED)
    assert (found.pattern.what, found.offset) == (what, text.index(b"-----") + 3 if b"-----" in text else 3)


@pytest.mark.parametrize("name", INNOCENT)
def test_what_only_looks_like_a_secret_is_none(name: str) -> None:
    assert [match.pattern.what for match in first_matches(INNOCENT[name], WANTED)] == []


@pytest.mark.parametrize("passphrase", [None, b"correct horse battery"])
def test_our_own_secret_keys_are_found_and_public_ones_are_not(tmp_path: Path, passphrase: bytes | None) -> None:
    key = SecretKey.generate(KeyName("alice"), "author")
    key.save(tmp_path / "key", passphrase)
    (found,) = first_matches((tmp_path / "key").read_bytes(), WANTED)
    assert found.pattern.what == "a secret key of Cosmos"
    assert list(first_matches(key.public.to_text().encode(), WANTED)) == []


@settings(deadline=None, max_examples=30)
@given(
    place=st.one_of(st.integers(0, 100), st.integers(READ_CHUNK_BYTES - 5000, READ_CHUNK_BYTES + 5000)),
    name=st.sampled_from(sorted(SECRETS)),
)
def test_a_secret_in_a_large_file_is_found_at_every_place(place: int, name: str) -> None:
    text, what = SECRETS[name]
    content = Spool(in_memory=0).add([b"." * (place - 1), b"\n" * (place > 0), text, b"\n" * (3 * READ_CHUNK_BYTES)])
    (found,) = first_matches(content, WANTED)
    assert found.pattern.what == what
    assert found.offset <= place + 8


@pytest.mark.parametrize("before", [0, 1, 4096, 8192])
def test_where_a_window_begins_no_word_begins(before: int) -> None:
    """A token counts with no letter before it. That letter may stand in the window before."""
    start = READ_CHUNK_BYTES - before
    text = b"." * (start - 1) + b"x" + b"ghp_" + b"a" * 36 + b"." * 10_000
    inside, alone = (Spool(in_memory=0).add([one]) for one in (text, text.replace(b"x", b".")))
    assert list(first_matches(inside, WANTED)) == []
    assert [match.offset for match in first_matches(alone, WANTED)] == [start]


def test_a_file_on_the_disk_is_searched_without_a_copy_in_memory(tmp_path: Path) -> None:
    content = Spool(tmp_path, in_memory=0).add([b"." * READ_CHUNK_BYTES] * 8 + [SECRETS["npm"][0]])
    tracemalloc.start()
    try:
        (found,) = first_matches(content, WANTED)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert found.offset == 8 * READ_CHUNK_BYTES
    assert most < READ_CHUNK_BYTES // 4


@pytest.mark.parametrize(
    "part", [b"ghp_", b"-----BEGIN A PRIVATE KEY-----\nA: \n", b"secret-key-version = 1\n", b"xoxp-1111111111-"]
)
def test_no_form_goes_back_for_ever_over_hostile_bytes(part: bytes) -> None:
    """A form that went back over what it has read would take hours here."""
    assert list(first_matches(part * (2_000_000 // len(part)), WANTED)) == []


def test_every_literal_is_found_in_one_of_few_passes() -> None:
    assert len(WANTED) <= 5
    assert {pattern for sieve in WANTED for pattern in sieve.patterns} >= set(KEYS_AND_TOKENS)
    for sieve in WANTED:
        for pattern in sieve.patterns:
            for text in (pattern.literal, b"_-Ik/" + pattern.literal + b"_-Ik/", pattern.literal * 3):
                assert sieve.form.search(text), (pattern.literal, text)
            assert not any(sieve.form.search(pattern.literal[1:] + b"\n" + pattern.literal[:-1]) for _ in "a")
