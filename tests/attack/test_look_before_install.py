"""Before a star is installed, a person sees what it is. What the star says of itself cannot deceive the terminal."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import tomli_w

from cosmos.device.settings import SETTINGS_PATH
from cosmos.device.system import TRUST_PATH
from cosmos.keyring.secret_key import SecretKey
from cosmos.model.names import KeyName
from cosmos.model.star import Star
from cosmos.model.statement import Statement
from cosmos.tree.entry import CAPABILITY, Entry
from cosmos.treepath import TreePath
from cosmos.trust.badges import BADGES_SUFFIX, Claim
from cosmos.trust.roles import IN_TOTO_TYPE
from cosmos.trust.roots import RoleKeys
from fakes.galaxies import StarSpec, make_galaxy, make_signers
from fakes.programs import REPO, Cosmos
from fakes.waiting import LONG_SECONDS

EVIL = "\x1b[2J\x1b]0;evil\x07\r\u202e\x9b31m"
CHILD = "from cosmos.cli.cosmos.main import main; main()"


def entry(path: bytes, **facts: Any) -> Entry:
    return replace(Entry(path=TreePath(path), kind="file", mode=0o644), **facts)


STARS = (
    StarSpec("zlib", "1.3.1", {"usr/lib/libz.so.1": b"z" * 5000}, packages=("zlib1g",)),
    StarSpec(
        "tool",
        "2.0.0",
        {"usr/bin/tool": b"tool"},
        {"zlib": "^1.3"},
        script='function install()\n  copy("usr/bin/tool", "/usr/bin/tool")\n  mkdir("/etc/tool", "0755")\n'
        '  write("/etc/tool/a", "a", "0644")\n  write("/etc/tool/b", "b", "0644")\nend\n',
    ),
    StarSpec(
        "raise",
        files={
            "1": entry(b"usr/bin/raise", mode=0o4755),
            "2": entry(b"usr/bin/mail", mode=0o2755),
            "3": entry(b"usr/share/open", mode=0o666),
            "4": entry(b"usr/bin/ping", xattrs=((CAPABILITY, b"\1\0\0\2" + bytes(16)),)),
            "5": entry(b"opt/raise"),
        },
    ),
    StarSpec("disk", script='function install()\n  mknod("/dev/sda", "b", 8, 0, "0660")\nend\n'),
)


@pytest.fixture
def system(tmp_path: Path, cosmos: Cosmos) -> Path:
    """A system that trusts the galaxy of STARS."""
    signers = make_signers()
    make_galaxy(tmp_path / "galaxy", "core", STARS, signers)
    return with_galaxy(tmp_path, cosmos, signers.write_trust(tmp_path / "trust.toml"))


def with_galaxy(tmp_path: Path, cosmos: Cosmos, trust: Path) -> Path:
    root = tmp_path / "system"
    root.mkdir()
    cosmos("init", "--root", root).ok()
    (root / TRUST_PATH.text).write_bytes(trust.read_bytes())
    cosmos("add-galaxy", "core", tmp_path / "galaxy", "--root", root).ok()
    return root


def placed(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if not path.is_relative_to(root / "var"))


def test_each_star_is_shown_with_its_signer_licence_origin_and_sizes(system: Path, cosmos: Cosmos) -> None:
    told = cosmos("install", "tool", "--dry-run", "--root", system).ok().out.splitlines()
    assert told[0] == "would install zlib 1.3.1 from core: 1 file, for tool"
    assert told[1].endswith("5,000 bytes installed; MIT; made from deb zlib1g 1; signed by test-author (for all stars)")
    assert told[2] == "would install tool 2.0.0 from core: 3 files, for user"
    assert told[4] == "  script: copy 1, mkdir 1, write 2"
    assert told[5].startswith("2 stars: ")
    assert told[5].endswith("5,006 bytes installed")
    assert len(told) == 6


def test_the_same_is_said_in_json(system: Path, cosmos: Cosmos) -> None:
    row = cosmos("install", "tool", "--dry-run", "--json", "--root", system).json()
    zlib, tool = row["look"]
    assert zlib["signers"][0]["name"] == "test-author"
    assert (zlib["signers"][0]["galaxies"], zlib["signers"][0]["stars"]) == (["*"], ["*"])
    assert zlib["origins"] == [{"ecosystem": "deb", "name": "zlib1g", "version": "1"}]
    assert (zlib["installed-bytes"], zlib["license"], zlib["badges"], zlib["script"]) == (5000, "MIT", [], None)
    assert tool["script"] == {"programs": [], "did": {"copy": 1, "mkdir": 1, "write": 2}}
    assert row["total"]["installed-bytes"] == 5006
    assert row["refused-powers"] == []


def test_all_refused_powers_are_in_one_list_and_nothing_is_placed(system: Path, cosmos: Cosmos) -> None:
    before = placed(system)
    for words in (["--dry-run"], []):
        told = cosmos("install", "raise", "disk", *words, "--root", system).fails(6)
        said = told.out if words else told.err
        assert "not allowed: " in said
        refused = next(line for line in said.splitlines() if line.startswith("not allowed: "))
        names = set(refused.removeprefix("not allowed: ").split(", "))
        assert names == {
            "raise setuid",
            "raise chown",
            "raise setcap",
            "raise outside",
            "disk mknod",
            "disk outside",
        }
        for what in ("/usr/bin/raise 4755 setuid", "/usr/bin/mail 2755 setgid", "/usr/share/open 0666 world-writable"):
            assert what in said or "more" in said
    row = json.loads(cosmos("install", "raise", "disk", "--json", "--root", system).fails(6).out)
    assert row["installed"] == []
    strange = {one["path"]: one["what"] for star in row["look"] for one in star["unusual"]}
    assert strange == {
        "/usr/bin/raise": ["setuid"],
        "/usr/bin/mail": ["setgid"],
        "/usr/share/open": ["world-writable"],
        "/usr/bin/ping": ["capabilities"],
        "/dev/sda": ["device"],
    }
    assert len(row["refused-powers"]) == 6
    assert placed(system) == before


def test_a_power_that_is_given_is_shown_as_allowed(system: Path, cosmos: Cosmos) -> None:
    with (system / SETTINGS_PATH.text).open("a") as settings:
        settings.write('[policy]\nmknod = ["disk"]\noutside = ["disk"]\n')
    told = cosmos("install", "disk", "--dry-run", "--root", system).ok().out
    assert "1 path outside /usr and /etc; unusual: /dev/sda 0660 device; powers: " in told
    assert "mknod allowed" in told
    assert "REFUSED" not in told


def answered(system: Path, typed: bytes, *words: str) -> tuple[int, str]:
    """Return the exit code and the output of a command, or of an installation, on a terminal where `typed` is typed."""
    command = words if words[:1] and not words[0].startswith("-") else ("install", "tool", *words)
    ours, theirs = pty.openpty()
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, *command, "--root", str(system)],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**os.environ, "PYTHONPATH": str(REPO / "builder"), "TERM": "dumb"},
    )
    os.close(theirs)
    os.write(ours, typed)
    told = b""
    with contextlib.suppress(OSError):  # EIO: nobody has the terminal open any more
        while piece := os.read(ours, 65536):
            told += piece
    os.close(ours)
    return child.wait(LONG_SECONDS), told.decode()


def test_a_person_who_says_no_gets_the_system_as_it_was(system: Path, cosmos: Cosmos) -> None:
    before = placed(system)
    for typed in (b"n\n", b"\n", b"\x04"):
        code, told = answered(system, typed)
        assert code == 130, told
        assert "install 2 stars? [y/N] " in told
        assert "nothing was changed" in told
        assert told.index("5,006 bytes installed") < told.index("[y/N]")
        assert placed(system) == before
    assert "stars         0 with" in cosmos("status", "--root", system).ok().out
    assert len(cosmos("history", "--json", "--root", system).json()["changes"]) == 1


@pytest.mark.parametrize(("typed", "words"), [(b"y\n", ()), (b"", ("--yes",)), (b"", ("--json",))])
def test_a_person_who_agrees_gets_the_stars(system: Path, typed: bytes, words: tuple[str, ...]) -> None:
    code, told = answered(system, typed, *words)
    assert code == 0, told
    assert ("[y/N]" in told) == bool(typed)
    assert (system / "usr/bin/tool").read_bytes() == b"tool"


@pytest.mark.parametrize("command", [("uninstall", "tool"), ("autoremove",)])
def test_a_removal_asks_as_an_installation_does(system: Path, cosmos: Cosmos, command: tuple[str, ...]) -> None:
    cosmos("install", "tool", "--root", system).ok()
    if command == ("autoremove",):
        cosmos("uninstall", "tool", "--root", system).ok()
    before, changes = placed(system), len(cosmos("history", "--json", "--root", system).json()["changes"])
    going = "zlib 1.3.1" if command == ("autoremove",) else "tool 2.0.0"
    for typed in (b"n\n", b"\n", b"\x04"):
        code, told = answered(system, typed, *command)
        assert code == 130, told
        assert (
            told.index(f"to remove {going}") < told.index("remove 1 star? [y/N] ") < told.index("nothing was changed")
        )
        assert placed(system) == before
    assert len(cosmos("history", "--json", "--root", system).json()["changes"]) == changes
    code, told = answered(system, b"", *command, "--dry-run")
    assert (code, "[y/N]" in told) == (0, False)
    code, told = answered(system, b"y\n", *command)
    assert (code, "[y/N]" in told) == (0, True)
    assert placed(system) != before


@pytest.mark.parametrize("word", ["--yes", "--json"])
def test_a_removal_that_was_agreed_to_does_not_ask(system: Path, cosmos: Cosmos, word: str) -> None:
    cosmos("install", "tool", "--root", system).ok()
    code, told = answered(system, b"", "uninstall", "tool", word)
    assert (code, "[y/N]" in told) == (0, False)
    assert not (system / "usr/bin/tool").exists()


def test_without_a_terminal_nobody_is_asked(system: Path, cosmos: Cosmos) -> None:
    told = cosmos("install", "tool", "--root", system).ok()
    assert "[y/N]" not in told.err
    assert "to install zlib 1.3.1 from core: 1 file, for tool" in told.err
    assert told.out.startswith("installed zlib 1.3.1 from core")


def test_the_scope_of_a_signer_is_the_operator_s(tmp_path: Path, cosmos: Cosmos, system: Path) -> None:
    trust = (system / TRUST_PATH.text).read_text()
    narrowed = trust.replace('stars = [\n    "*",\n]', 'stars = ["zl*", "tool"]')
    assert narrowed != trust
    (system / TRUST_PATH.text).write_text(narrowed)
    assert (
        "signed by test-author (for stars zl* tool)"
        in cosmos("install", "tool", "--dry-run", "--root", system).ok().out
    )


class Deceiver(StarSpec):
    """A star that says of itself what would control a terminal, or look like a line of cosmos."""

    def star(self) -> Star:
        lie = f"MIT\n  signed by everybody{EVIL}"
        return replace(super().star(), description=lie, license=lie)


def test_nothing_that_a_star_says_reaches_the_terminal_raw(tmp_path: Path, cosmos: Cosmos) -> None:
    signers = make_signers()
    path = b"usr/share/\x1b[2J\x1b]0;evil\x07"
    evil = Deceiver("evil", files={"1": entry(path, mode=0o4755)})
    make_galaxy(tmp_path / "galaxy", "core", [evil], signers)
    system = with_galaxy(tmp_path, cosmos, signers.write_trust(tmp_path / "trust.toml"))
    outputs = [
        cosmos("install", "evil", "--dry-run", "--root", system).fails(6),
        cosmos("install", "evil", "--root", system).fails(6),
        cosmos("show", "evil", "--root", system).ok(),
    ]
    with (system / SETTINGS_PATH.text).open("a") as settings:
        settings.write('[policy]\nsetuid = ["evil"]\n')
    outputs += [
        cosmos("install", "evil", "--dry-run", "--root", system).ok(),
        cosmos("install", "evil", "--root", system).ok(),
        cosmos("history", "--root", system).ok(),
        cosmos("why", "evil", "--root", system).ok(),
        cosmos("owns", "/" + path.decode(), "--root", system).ok(),
    ]
    for told in outputs:
        said = told.out + told.err
        assert not {"\x1b", "\x07", "\r", "\u202e", "\x9b"} & set(said)
        assert not any(line.startswith("  signed by everybody") for line in said.splitlines())
    assert "\\x1b[2J" in outputs[0].out


@pytest.mark.objective("SO-14")
def test_badges_are_shown_with_their_standing(tmp_path: Path, cosmos: Cosmos) -> None:
    signers = make_signers()
    make_galaxy(tmp_path / "galaxy", "core", STARS[:1], signers)
    statement = Statement.parse((tmp_path / "galaxy/stars/zlib-1.3.1.toml").read_bytes(), "zlib")
    pinned, stranger = (SecretKey.generate(KeyName(name), "attester") for name in ("lab", "stranger"))
    claims = [
        (pinned, Claim(kind="test", name="zlib", digest=statement.archive, result="PASSED")),
        (stranger, Claim(kind="scan", name="zlib", digest=statement.archive, result="PASSED")),
    ]
    rows = [key.sign(IN_TOTO_TYPE, claim.to_bytes()).replace(b"\n", b" ") + b"\n" for key, claim in claims]
    (tmp_path / "galaxy/stars" / f"zlib-1.3.1{BADGES_SUFFIX}").write_bytes(b"".join(rows))
    roots = signers.roots()
    roles = {**roots.roles, "attester": RoleKeys(threshold=1, keys=(pinned.public,))}
    trust = tmp_path / "trust.toml"
    trust.write_text(tomli_w.dumps(replace(roots, roles=roles).to_toml()))
    system = with_galaxy(tmp_path, cosmos, trust)
    told = cosmos("install", "zlib", "--dry-run", "--root", system).ok().out
    assert "; badges: test PASSED verified, scan PASSED unpinned" in told
    row = cosmos("install", "zlib", "--json", "--root", system).json()
    assert [badge["standing"] for badge in row["look"][0]["badges"]] == ["verified", "unpinned"]
