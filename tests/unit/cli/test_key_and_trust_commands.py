"""`cosmos key`, `cosmos trust` and `stellar trust new`, as a person types them."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import click
import pytest

from cosmos.cli.cosmos.key.group import key
from cosmos.cli.cosmos.trust import places
from cosmos.cli.cosmos.trust.group import trust
from cosmos.cli.endings import run
from cosmos.cli.stellar.trust.new import trust_new
from cosmos.cli.stellar.trust.sign import sign
from cosmos.digest import Digest
from cosmos.trust.roots import TrustRoots

PASSPHRASE = "correct horse battery staple"


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What a command did: its exit code, stdout and stderr."""

    code: int
    out: str
    err: str


Typed = Callable[..., Outcome]


@pytest.fixture
def typed(capfd: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Typed:
    """Run a command in an empty folder and give its outcome."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COSMOS_HOME", str(tmp_path / "home"))
    program = click.Group("cosmos", commands={"key": key, "trust": trust})
    program.add_command(trust_new, "stellar-trust-new")
    program.add_command(sign, "stellar-trust-sign")

    def type_(*words: str) -> Outcome:
        with pytest.raises(SystemExit) as caught:
            run(program, "cosmos", words)
        out, err = capfd.readouterr()
        return Outcome(code=int(caught.value.code or 0), out=out, err=err)

    return type_


def made(typed: Typed, *roles: str) -> None:
    for role in roles:
        assert typed("key", "new", f"my-{role}", "--role", role, "--out", "keys", "--no-passphrase").code == 0


def descriptor(text: str) -> int:
    reading, writing = os.pipe()
    os.write(writing, text.encode())
    os.close(writing)
    return reading


def test_a_new_key_is_a_private_file_and_a_public_one(typed: Typed, tmp_path: Path) -> None:
    outcome = typed("key", "new", "alice", "--role", "author", "--no-passphrase")
    assert (outcome.code, outcome.err) == (0, "")
    folder = tmp_path / "home/keys"
    assert sorted(path.name for path in folder.iterdir()) == ["alice.key", "alice.pub"]
    assert stat.S_IMODE((folder / "alice.key").stat().st_mode) == 0o600
    assert "NOT SEALED" in outcome.out


@pytest.mark.objective("SO-26")
def test_a_passphrase_comes_through_a_descriptor_and_shows_nowhere(typed: Typed, tmp_path: Path) -> None:
    number = descriptor(PASSPHRASE + "\nmore")
    outcome = typed("key", "new", "alice", "--role", "root", "--out", "keys", "--passphrase-fd", str(number), "--json")
    assert outcome.code == 0
    assert json.loads(outcome.out)["role"] == "root"
    signed = typed(
        *("stellar-trust-new", "--root", "keys/alice.pub", "--sign", "keys/alice.key"),
        *("--passphrase-fd", str(descriptor(PASSPHRASE))),
    )
    assert signed.code == 0
    wrong = typed(
        *("stellar-trust-new", "--root", "keys/alice.pub", "--sign", "keys/alice.key", "--out", "second.toml"),
        *("--passphrase-fd", str(descriptor("wrong " + PASSPHRASE))),
    )
    assert wrong.code == 4
    assert not (tmp_path / "second.toml").exists()
    written = "".join(path.read_text() for path in tmp_path.rglob("*") if path.is_file())
    assert PASSPHRASE not in written + "".join(f"{one.out}{one.err}" for one in (outcome, signed, wrong))


@pytest.mark.parametrize(
    ("words", "code", "problem"),
    [
        (["alice", "--role", "author"], 2, "needs a passphrase, and there is no terminal"),
        (["alice", "--role", "emperor", "--no-passphrase"], 2, "is not one of"),
        (["alice", "--no-passphrase"], 2, "missing option '--role'"),
        (["Alice!", "--role", "author", "--no-passphrase"], 2, "the key's name: want"),
        (["alice", "--role", "author", "--passphrase-fd", "973"], 2, "descriptor 973 cannot be read"),
        (["alice", "--role", "author", "--passphrase-fd", "9", "--no-passphrase"], 2, "exclude each other"),
    ],
)
def test_a_key_that_cannot_be_made_leaves_nothing(
    typed: Typed, tmp_path: Path, words: list[str], code: int, problem: str
) -> None:
    outcome = typed("key", "new", *words)
    assert (outcome.code, problem in outcome.err) == (code, True), outcome.err
    assert list(tmp_path.iterdir()) == []


def test_a_second_key_of_that_name_is_refused(typed: Typed, tmp_path: Path) -> None:
    made(typed, "author")
    before = (tmp_path / "keys/my-author.key").read_bytes()
    assert typed("key", "new", "my-author", "--role", "author", "--out", "keys", "--no-passphrase").code == 2
    assert (tmp_path / "keys/my-author.key").read_bytes() == before


@pytest.mark.objective("SO-26")
def test_showing_a_key_never_shows_its_seed(typed: Typed, tmp_path: Path) -> None:
    made(typed, "author")
    seed = (tmp_path / "keys/my-author.key").read_text().partition('seed = "')[2].partition('"')[0]
    public = typed("key", "show", "keys/my-author.pub", "--json")
    secret = typed("key", "show", "keys/my-author.key", "--json")
    assert json.loads(secret.out) == {**json.loads(public.out), "role": "author", "protection": "none"}
    assert seed
    assert seed not in typed("key", "show", "keys/my-author.key").out + secret.out


def test_a_first_document_is_written_accepted_and_shown(typed: Typed, tmp_path: Path) -> None:
    made(typed, "root", "galaxy", "release", "author")
    new = typed(
        *("stellar-trust-new", "--root", "keys/my-root.pub", "--galaxy", "keys/my-galaxy.pub"),
        *("--release", "keys/my-release.pub", "--author", "keys/my-author.pub:core:lib*,zlib"),
        *("--sign", "keys/my-root.key"),
    )
    assert new.code == 0, new.err
    data = (tmp_path / "trust.toml").read_bytes()
    digest = Digest.of(data)
    assert f"cosmos trust init trust.toml --sha256 {digest.hex}" in new.err
    author = TrustRoots.parse(data, "trust.toml").authors[0]
    assert (author.galaxies, author.stars) == (("core",), ("lib*", "zlib"))
    accepted = typed("trust", "init", "trust.toml", "--sha256", digest.hex.upper(), "--json")
    assert json.loads(accepted.out) | {"file": ""} == {
        "file": "", "digest": str(digest), "version": 1, "signed": True, "new": True
    }  # fmt: skip
    shown = json.loads(typed("trust", "show", "--json").out)
    assert [row["role"] for row in shown["keys"]] == ["root", "galaxy", "release", "author"]
    assert shown["keys"][3]["stars"] == ["lib*", "zlib"]
    assert "stars lib*, zlib in core" in typed("trust", "show").out


def test_a_first_document_of_two_holders_is_signed_by_one_after_the_other(typed: Typed, tmp_path: Path) -> None:
    for name in ("alice", "bob", "eve"):
        typed("key", "new", name, "--role", "root", "--no-passphrase", "--out", "keys")
    roots = ("--root", "keys/alice.pub", "--root", "keys/bob.pub", "--threshold", "root=2")
    stranger = typed("stellar-trust-new", *roots, "--sign", "keys/eve.key")
    assert (stranger.code, "key eve: is not a root key of this document" in stranger.err) == (4, True)
    assert not list(tmp_path.glob("trust.toml*"))
    first = typed("stellar-trust-new", *roots, "--sign", "keys/alice.key")
    assert first.code == 0
    assert "trust.toml: version 1, signed by 1 of 2" in first.out
    assert "next: stellar trust sign trust.toml --key KEY" in first.err
    digest = Digest.of((tmp_path / "trust.toml").read_bytes()).hex
    assert typed("trust", "init", "trust.toml", "--sha256", digest).code == 4, "one signature is too few"
    assert typed("stellar-trust-sign", "trust.toml", "--key", "keys/bob.key").code == 0
    assert typed("trust", "init", "trust.toml", "--sha256", digest).code == 0


def test_without_a_digest_nothing_is_trusted_and_the_way_is_shown(typed: Typed, tmp_path: Path) -> None:
    made(typed, "root")
    typed("stellar-trust-new", "--root", "keys/my-root.pub")
    outcome = typed("trust", "init", "trust.toml")
    assert outcome.code == 2
    assert outcome.out == f"{Digest.of((tmp_path / 'trust.toml').read_bytes()).hex}  trust.toml\n"
    assert "by another way" in outcome.err
    assert not (tmp_path / "home/trust").exists()


def test_a_wrong_digest_is_refused_and_nothing_is_written(typed: Typed, tmp_path: Path) -> None:
    made(typed, "root")
    typed("stellar-trust-new", "--root", "keys/my-root.pub")
    assert typed("trust", "init", "trust.toml", "--sha256", "0" * 64).code == 4
    assert typed("trust", "init", "trust.toml", "--sha256", "0" * 63).code == 2
    assert not (tmp_path / "home/trust").exists()
    assert typed("trust", "show").code == 4


def test_a_running_system_keeps_its_own_anchors(typed: Typed, tmp_path: Path) -> None:
    made(typed, "root")
    typed("stellar-trust-new", "--root", "keys/my-root.pub")
    digest = Digest.of((tmp_path / "trust.toml").read_bytes())
    assert typed("trust", "init", "trust.toml", "--sha256", str(digest), "--root", "system").code == 0
    assert (tmp_path / "system/etc/cosmos/trust.toml").is_file()
    assert typed("trust", "show", "--root", "system").code == 0
    assert typed("trust", "show").code == 4


@pytest.mark.parametrize(
    ("words", "code", "problem"),
    [
        (["--galaxy", "keys/my-root.pub"], 2, "is a key of the role root, not galaxy"),
        (["--threshold", "root=2"], 2, "roles.root.threshold: want 1 to 1"),
        (["--threshold", "emperor=2"], 2, "want one of root, author, galaxy, release"),
        (["--author", "keys/my-author.pub:co/re"], 2, "want a name, in which"),
        (["--author", "keys/nothing.pub"], 2, "is not there"),
        (["--author", "keys/my-root.key"], 2, "found a secret key"),
        (["--sign", "keys/my-author.key"], 4, "key my-author: is not a root key of this document"),
        (["--sign", "keys/other.key"], 4, "key other: is not a root key of this document"),
    ],
)
def test_a_document_that_would_not_hold_is_not_written(
    typed: Typed, tmp_path: Path, words: list[str], code: int, problem: str
) -> None:
    made(typed, "root", "author")
    typed("key", "new", "other", "--role", "root", "--out", "keys", "--no-passphrase")
    outcome = typed("stellar-trust-new", "--root", "keys/my-root.pub", *words)
    assert (outcome.code, problem in outcome.err) == (code, True), outcome.err
    assert not (tmp_path / "trust.toml").exists()


def test_a_document_is_never_overwritten(typed: Typed, tmp_path: Path) -> None:
    made(typed, "root")
    assert typed("stellar-trust-new", "--root", "keys/my-root.pub").code == 0
    assert typed("stellar-trust-new", "--root", "keys/my-root.pub").code == 2


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["--root", "keys/my-author.pub"], "keys/my-author.pub: is a key of the role author, not root"),
        (["--author", "keys/my-root.pub:core"], "keys/my-root.pub: is a key of the role root, not author"),
        (["--threshold", "author=3", "--author", "keys/my-author.pub"], "want at most 1, the number of author keys"),
        (["--threshold", "galaxy=2"], "want keys of the role galaxy, got none"),
    ],
)
def test_a_slip_in_roles_or_thresholds_is_refused(typed: Typed, tmp_path: Path, words: list[str], problem: str) -> None:
    made(typed, "root", "author")
    outcome = typed("stellar-trust-new", "--root", "keys/my-root.pub", *words)
    assert (outcome.code, problem in outcome.err) == (2, True), outcome.err
    assert not (tmp_path / "trust.toml").exists()


def test_on_a_running_system_trust_is_the_system_s(
    typed: Typed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made(typed, "root")
    typed("stellar-trust-new", "--root", "keys/my-root.pub")
    digest = Digest.of((tmp_path / "trust.toml").read_bytes())
    monkeypatch.delenv("COSMOS_HOME")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setattr(places, "RUNNING", tmp_path / "running")
    (tmp_path / "running/var/lib/cosmos").mkdir(parents=True)
    assert typed("trust", "show").code == 4
    (tmp_path / "running/var/lib/cosmos/universe.toml").touch()
    accepted = typed("trust", "init", "trust.toml", "--sha256", str(digest))
    assert f"accepted: {tmp_path}/running/etc/cosmos/trust.toml, version 1" in accepted.out
    assert typed("trust", "show").out.startswith(f"{tmp_path}/running/etc/cosmos/trust.toml")
    assert typed("trust", "show", "--home", "home").code == 4
    (tmp_path / ".cosmos").mkdir()
    assert typed("trust", "show").code == 4


def test_on_a_running_system_whose_user_has_no_folder_trust_is_the_system_s(
    typed: Typed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On many a device, root has no HOME and no line in /etc/passwd."""

    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    for name in ("COSMOS_HOME", "XDG_DATA_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", no_home)
    monkeypatch.setattr(places, "RUNNING", tmp_path / "running")
    (tmp_path / "running/var/lib/cosmos").mkdir(parents=True)
    assert "has no folder in /etc/passwd" in typed("trust", "show").err
    (tmp_path / "running/var/lib/cosmos/universe.toml").touch()
    outcome = typed("trust", "show")
    assert outcome.code == 4
    assert f"{tmp_path}/running/etc/cosmos/trust.toml" in outcome.err
