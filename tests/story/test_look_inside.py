"""A person looks into a star before they trust it: its script, its files, its archive."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from cosmos.device.system import TRUST_PATH
from cosmos.tree.entry import Entry
from cosmos.treepath import TreePath
from fakes.galaxies import StarSpec, make_galaxy, make_signers
from fakes.programs import Cosmos

SCRIPT = 'function install()\n  copy("usr/bin/tool", "/usr/bin/tool")\n  write("/etc/tool.conf", "a", "0600")\nend\n'
STARS = (
    StarSpec("zlib", "1.3.1", {"usr/lib/libz.so.1": b"z" * 5000}),
    StarSpec("tool", "2.0.0", {"usr/bin/tool": b"tool"}, {"zlib": "^1.3"}, script=SCRIPT),
    StarSpec("raise", files={"1": Entry(path=TreePath(b"usr/bin/raise"), kind="file", mode=0o4755)}),
)


@pytest.fixture
def galaxy(tmp_path: Path) -> Path:
    """A galaxy of STARS; trust.toml beside it pins its keys."""
    signers = make_signers()
    make_galaxy(tmp_path / "galaxy", "core", STARS, signers)
    signers.write_trust(tmp_path / "trust.toml")
    return tmp_path / "galaxy"


@pytest.fixture
def system(galaxy: Path, cosmos: Cosmos) -> Path:
    """An empty system that trusts the galaxy."""
    root = galaxy.with_name("system")
    root.mkdir()
    cosmos("init", "--root", root).ok()
    (root / TRUST_PATH.text).write_bytes(galaxy.with_name("trust.toml").read_bytes())
    cosmos("add-galaxy", "core", galaxy, "--root", root).ok()
    return root


def archive_of(galaxy: Path, star: str) -> Path:
    (found,) = (galaxy / "packages").glob(f"{star}-*")
    return found


def test_the_script_of_a_star_is_printed_as_it_was_signed(system: Path, cosmos: Cosmos) -> None:
    assert cosmos("show", "tool", "--script", "--root", system).ok().out == SCRIPT
    assert cosmos("show", "tool", "--script", "--json", "--root", system).json()["script"] == SCRIPT
    cosmos("install", "tool", "--root", system).ok()
    assert cosmos("show", "tool", "--script", "--root", system).ok().out == SCRIPT
    none = cosmos("show", "zlib", "--script", "--root", system).ok()
    assert none.out == ""
    assert "zlib 1.3.1 has no install script" in none.err


def test_the_script_of_an_exchanged_archive_is_never_printed(galaxy: Path, system: Path, cosmos: Cosmos) -> None:
    file = archive_of(galaxy, "tool")
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    told = cosmos("show", "tool", "--script", "--root", system).fails(4)
    assert told.out == ""
    cosmos("show", "quux", "--script", "--root", system).fails(3)


def test_the_script_of_another_version_is_not_taken_for_the_installed_one(
    galaxy: Path, system: Path, cosmos: Cosmos
) -> None:
    cosmos("install", "tool", "--root", system).ok()
    newer = replace(STARS[1], version="2.1.0", script=SCRIPT.replace('"a"', '"b"'))
    make_galaxy(galaxy, "core", (STARS[0], STARS[1], newer), make_signers(), seq=2)
    assert cosmos("show", "tool", "--script", "--root", system).ok().out == SCRIPT
    make_galaxy(galaxy, "core", (STARS[0], newer), make_signers(), seq=3)
    told = cosmos("show", "tool", "--script", "--root", system).fails(3)
    assert "no galaxy here has the installed 2.0.0" in told.err


def test_another_archive_of_the_same_version_is_not_taken_for_the_installed_one(
    galaxy: Path, system: Path, cosmos: Cosmos
) -> None:
    """The author signed both, and the galaxy lists the other one now."""
    cosmos("install", "tool", "--root", system).ok()
    again = replace(STARS[1], script=SCRIPT.replace('"a"', '"b"'))
    make_galaxy(galaxy, "core", (STARS[0], again), make_signers(), seq=2)
    told = cosmos("show", "tool", "--script", "--root", system).fails(4)
    assert "tool: 2.0.0 was installed from sha256:" in told.err
    assert ", but galaxy core has sha256:" in told.err
    assert told.out == ""


def test_the_files_are_shown_as_they_would_be_laid_and_as_they_were(system: Path, cosmos: Cosmos) -> None:
    before = cosmos("show", "tool", "--files", "--json", "--root", system).json()
    assert (before["installed"], (system / "usr").exists()) == (False, False)
    cosmos("install", "tool", "--root", system).ok()
    after = cosmos("show", "tool", "--files", "--json", "--root", system).json()
    assert after["installed"]
    files = [(row["path"], row["mode"], row["size-bytes"]) for row in before["files"] if row["kind"] == "file"]
    assert files == [("/etc/tool.conf", "0600", 1), ("/usr/bin/tool", "0755", 4)]
    assert [row for row in after["files"] if row["kind"] == "file"] == [
        row for row in before["files"] if row["kind"] == "file"
    ]
    assert (
        "file     0600 0:0              1 /etc/tool.conf"
        in cosmos("show", "tool", "--files", "--root", system).ok().out
    )


def test_files_that_the_policy_refuses_can_be_looked_at(system: Path, cosmos: Cosmos) -> None:
    told = cosmos("show", "raise", "--files", "--root", system).ok().out
    assert "file     4755 0:0              0 /usr/bin/raise" in told
    assert not (system / "usr").exists()


def test_an_archive_says_what_it_is(galaxy: Path, stellar: Cosmos) -> None:
    trust = galaxy.with_name("trust.toml")
    told = stellar("show", archive_of(galaxy, "tool"), "--trust", trust).ok().out
    assert told.startswith("tool 2.0.0 (any, normal)\narchive       sha256:")
    assert "statement     verified: signed by test-author (ed25519:" in told
    assert "depends on    zlib ^1.3" in told
    assert "script        4 lines" in told
    assert "file     0755 0:0              4 /usr/bin/tool" in told
    assert stellar("show", archive_of(galaxy, "tool"), "--trust", trust, "--script").ok().out == SCRIPT
    row = stellar("show", archive_of(galaxy, "tool"), "--json").json()
    assert row["statement"]["standing"] == "not judged"
    assert row["script"] == SCRIPT


def test_an_archive_without_a_statement_or_trusted_keys_says_so(galaxy: Path, tmp_path: Path, stellar: Cosmos) -> None:
    file = archive_of(galaxy, "zlib")
    assert "its signatures were NOT judged: name the keys that you trust" in stellar("show", file).ok().out
    alone = tmp_path / "alone" / file.name
    alone.parent.mkdir()
    shutil.copy(file, alone)
    assert "statement     none, so nobody says what it is" in stellar("show", alone).ok().out
    trust = galaxy.with_name("trust.toml")
    assert "is not verified" in stellar("show", alone, "--trust", trust).fails(4).err
    others = make_signers("others").write_trust(tmp_path / "others.toml")
    assert "REFUSED" in stellar("show", file, "--trust", others).fails(4).out


def test_a_statement_about_another_archive_is_refused(galaxy: Path, stellar: Cosmos) -> None:
    file, other = archive_of(galaxy, "zlib"), archive_of(galaxy, "raise")
    shutil.copy(other, file)
    told = stellar("show", file, "--trust", galaxy.with_name("trust.toml")).fails(4)
    assert "REFUSED: it is about another archive" in told.out
    stellar("show", file).fails(4)


@pytest.mark.parametrize("name", ["a.tar.zst", "a.tar.gz", "a.zip"])
def test_what_is_no_archive_is_refused(tmp_path: Path, stellar: Cosmos, name: str) -> None:
    file = tmp_path / name
    file.write_bytes(b"\x1b[2Jno archive")
    told = stellar("show", file)
    assert told.code in (2, 4)
    assert "\x1b" not in told.out + told.err
