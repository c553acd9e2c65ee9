"""Secret keys: sealed, bound to what their file states, private, and silent about themselves."""

from __future__ import annotations

import base64
import contextlib
import copy
import io
import os
import pickle
import re
import stat
import tomllib
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nacl.pwhash import argon2id

from cosmos.errors import CosmosError, Malformed, Refused, WorldFailed
from cosmos.keyring.key_file import opened, stated_head
from cosmos.keyring.secret_key import SecretKey
from cosmos.model.names import KeyName
from cosmos.trust.dsse import verify_envelope
from cosmos.trust.ed25519 import BadSignature
from cosmos.trust.roles import GALAXY_TYPE, IN_TOTO_TYPE, ROLES, SIGNED_BY, STAR_TYPE

SEED = bytes(range(100, 132))
PASSPHRASE = b"correct horse battery staple"
KEY = SecretKey(name=KeyName("alice"), role="author", seed=SEED)


def no_passphrase() -> bytes:
    raise AssertionError("a passphrase was asked for")


@pytest.fixture(scope="module")
def sealed(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """One sealed key file; each costs most of a second."""
    path = tmp_path_factory.mktemp("keys") / "alice.key"
    KEY.save(path, PASSPHRASE)
    return path.read_bytes()


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    """The same key with no passphrase."""
    KEY.save(tmp_path / "plain.key", None)
    return tmp_path / "plain.key"


def private(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    path.chmod(0o600)
    return path


def test_a_sealed_key_opens_with_its_passphrase_and_signs(sealed: bytes, tmp_path: Path) -> None:
    key = SecretKey.load(private(tmp_path / "a.key", sealed), lambda: PASSPHRASE)
    assert (key.public, key.role) == (KEY.public, "author")
    verify_envelope(key.sign(STAR_TYPE, b"x"), payload_type=STAR_TYPE, keys=[KEY.public], threshold=1, source="x")


def test_another_passphrase_is_refused(sealed: bytes, tmp_path: Path) -> None:
    with pytest.raises(Refused, match="the passphrase does not open it"):
        SecretKey.load(private(tmp_path / "a.key", sealed), lambda: PASSPHRASE + b"r")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'name = "alice"', b'name = "mallory"'),
        (b'role = "author"', b'role = "root"'),
        (b"operations = 3", b"operations = 4"),
        (b"memory-bytes = 268435456", b"memory-bytes = 268436480"),
        (b"public = ", None),
    ],
)
def test_what_the_file_states_is_bound_to_the_box(sealed: bytes, tmp_path: Path, old: bytes, new: bytes | None) -> None:
    if new is None:  # another good public key in the head
        other = SecretKey(name=KeyName("alice"), role="author", seed=bytes(32))
        old, new = (base64.b64encode(key.public.raw) for key in (KEY, other))
    assert old in sealed
    with pytest.raises(Refused, match="or the file was changed"):
        SecretKey.load(private(tmp_path / "a.key", sealed.replace(old, new)), lambda: PASSPHRASE)


def test_a_key_without_a_passphrase_says_so_in_its_file(plain: Path) -> None:
    text = plain.read_text()
    assert "NOT ENCRYPTED (--no-passphrase)" in text
    assert 'protection = "none"' in text
    assert SecretKey.load(plain, no_passphrase).public == KEY.public


@pytest.mark.objective("SO-26")
def test_a_sealed_file_holds_neither_the_seed_nor_the_passphrase(sealed: bytes) -> None:
    for form in (SEED, base64.b64encode(SEED), SEED.hex().encode(), PASSPHRASE):
        assert form not in sealed
    assert tomllib.loads(sealed.decode())["kdf"]["memory-bytes"] == argon2id.MEMLIMIT_MODERATE


@pytest.mark.slow
def test_two_saves_of_one_key_share_no_salt_and_no_nonce(sealed: bytes, tmp_path: Path) -> None:
    KEY.save(tmp_path / "b.key", PASSPHRASE)
    one, two = tomllib.loads(sealed.decode()), tomllib.loads((tmp_path / "b.key").read_text())
    assert one["kdf"]["salt"] != two["kdf"]["salt"]
    assert one["box"]["nonce"] != two["box"]["nonce"]


def test_the_file_is_made_with_mode_0600_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        KEY.save(tmp_path / "a.key", None)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a.key").stat().st_mode) == 0o600


@pytest.mark.objective("SO-26")
@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o620, 0o700, 0o400])
def test_a_file_of_another_mode_is_refused_before_it_is_read(plain: Path, mode: int) -> None:
    plain.chmod(mode)
    with pytest.raises(Refused, match=f"want mode 0600, got {mode:04o}") as caught:
        SecretKey.load(plain, no_passphrase)
    assert caught.value.hint == f"chmod 600 {plain}"


def test_a_folder_a_pipe_and_nothing_are_refused(tmp_path: Path) -> None:
    (tmp_path / "folder.key").mkdir()
    os.mkfifo(tmp_path / "pipe.key", 0o600)
    for name, family in (("folder", Malformed), ("pipe", Malformed), ("nothing", WorldFailed)):
        with pytest.raises(family):
            SecretKey.load(tmp_path / f"{name}.key", no_passphrase)


def test_a_file_of_someone_else_is_refused(plain: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: plain.stat().st_uid + 1)
    with pytest.raises(Refused, match="belongs to user"):
        SecretKey.load(plain, no_passphrase)


def test_a_key_is_never_overwritten(plain: Path, tmp_path: Path) -> None:
    before = plain.read_bytes()
    (tmp_path / "dangling.key").symlink_to(tmp_path / "nowhere")
    for path in (plain, tmp_path / "dangling.key"):
        with pytest.raises(Refused, match="never overwritten"):
            SecretKey.generate(KeyName("bob"), "author").save(path, None)
    assert plain.read_bytes() == before


@pytest.mark.parametrize(
    "passphrase", [b"", b"short", b"elevenbytes", b"aaaaaaaaaaaaaaaa", b"abcdabcdabcdabcd", b"x1234567" * 200]
)
def test_a_passphrase_has_a_floor(tmp_path: Path, passphrase: bytes) -> None:
    with pytest.raises(Malformed, match=r"^the passphrase: want "):
        KEY.save(tmp_path / "a.key", passphrase)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("operations = 3", "operations = 1"),
        ("operations = 3", "operations = 99999"),
        ("memory-bytes = 268435456", "memory-bytes = 8192"),
        ("memory-bytes = 268435456", "memory-bytes = 1099511627776"),
        ("argon2id13", "scrypt"),
        ('protection = "passphrase"', 'protection = "rot13"'),
        ("secret-key-version = 1", "secret-key-version = 2"),
        ('role = "author"', 'role = "emperor"'),
    ],
)
def test_parameters_out_of_bounds_are_refused_before_any_work(
    sealed: bytes, monkeypatch: pytest.MonkeyPatch, old: str, new: str
) -> None:
    def fail(*_: object) -> bytes:
        raise AssertionError("the passphrase was stretched")

    monkeypatch.setattr(argon2id, "kdf", fail)
    assert old.encode() in sealed
    with pytest.raises(Malformed):
        opened(sealed.replace(old.encode(), new.encode()), no_passphrase, "a.key")


def test_a_public_key_that_is_not_the_seed_s_is_refused(plain: Path) -> None:
    other = SecretKey(name=KeyName("bob"), role="author", seed=bytes(32))
    stated, wrong = (base64.b64encode(key.public.raw).decode() for key in (KEY, other))
    with pytest.raises(Refused, match="not that of its seed"):
        SecretKey.load(private(plain, plain.read_bytes().replace(stated.encode(), wrong.encode())), no_passphrase)


def test_a_key_signs_only_what_its_role_signs() -> None:
    for role in ROLES:
        key = SecretKey(name=KeyName("key"), role=role, seed=SEED)
        for kind in (STAR_TYPE, GALAXY_TYPE, IN_TOTO_TYPE, "text/plain"):
            if kind in SIGNED_BY[role]:
                assert key.sign(kind, b"x")
            else:
                with pytest.raises(
                    Refused, match=f"^key key: has the role {role}, which does not sign {re.escape(kind)}"
                ):
                    key.sign(kind, b"x")


def test_a_signature_that_does_not_verify_is_not_handed_out() -> None:
    key = SecretKey(name=KeyName("alice"), role="author", seed=SEED)
    key._signing = SecretKey(name=KeyName("bob"), role="author", seed=bytes(32))._signing  # a fault while signing
    with pytest.raises(BadSignature):
        key.sign(STAR_TYPE, b"x")


def test_what_is_stated_is_shown_without_a_passphrase(sealed: bytes) -> None:
    head, protection = stated_head(sealed, "a.key")
    assert (head.public, head.role, protection) == (KEY.public, "author", "passphrase")


@pytest.mark.objective("SO-26")
def test_a_key_says_nothing_of_its_seed_and_does_not_leave_the_process() -> None:
    shown = f"{KEY!r} {KEY} {vars(KEY.public) if hasattr(KEY.public, '__dict__') else KEY.public}"
    for form in (SEED.hex(), base64.b64encode(SEED).decode(), repr(SEED)):
        assert form not in shown
    for leave in (lambda: pickle.dumps(KEY), lambda: copy.copy(KEY), lambda: copy.deepcopy(KEY)):
        with pytest.raises(TypeError, match="not pickled or copied"):
            leave()


BROKEN: list[Callable[[str], str]] = [
    lambda text: text.replace('"\n', '!"\n'),
    lambda text: text.replace("seed = ", "sead = "),
    lambda text: text.replace('="\n', '"\n'),
    lambda text: text.replace("seed = ", "seed == "),
    lambda text: text + "\x00",
    lambda text: text.replace("[plain]", "[plain"),
    lambda text: text.replace("secret-key-version = 1\n", ""),
    lambda text: text.replace('protection = "none"', 'protection = "passphrase"'),
    lambda text: text.replace('seed = "', 'seed = ["') + '"]',
    lambda text: text.replace('name = "alice"', 'name = "ALICE"'),
]


@pytest.mark.objective("SO-26")
@pytest.mark.parametrize("change", BROKEN)
def test_an_error_about_a_broken_file_repeats_nothing_secret(plain: Path, change: Callable[[str], str]) -> None:
    broken = private(plain, change(plain.read_text()).encode())
    with pytest.raises(CosmosError) as caught:
        SecretKey.load(broken, lambda: PASSPHRASE)
    told = io.StringIO()
    traceback.print_exception(caught.value, file=told)
    for form in (base64.b64encode(SEED).decode().rstrip("="), SEED.hex(), repr(SEED), PASSPHRASE.decode()):
        assert form not in told.getvalue() + repr(caught.value) + str(caught.value.hint)


@given(st.binary(max_size=300))
def test_any_bytes_are_a_key_file_or_a_clean_refusal(data: bytes) -> None:
    with contextlib.suppress(CosmosError):
        opened(data, no_passphrase, "a.key")
