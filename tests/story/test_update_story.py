"""A system that grows old, as its operator types it: updated from a folder and over HTTP, cleaned up, checked."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cosmos.digest import Digest
from fakes.galaxies import GalaxyFixture, StarSpec, make_galaxy, make_signers
from fakes.http_servers import serving
from fakes.programs import Cosmos

FIRST = (
    StarSpec("zlib", "1.3.1", {"usr/lib/libz.so.1": b"z" * 5000}),
    StarSpec("tool", "2.0.0", {"usr/bin/tool": b"tool", "etc/tool.conf": b"a = 1\n"}, {"zlib": "^1.3"}),
    StarSpec("editor", "6.2.0", {"usr/bin/ed": b"ed"}),
)
LATER = (
    *FIRST,
    StarSpec("zlib", "2.0.0", {"usr/lib/libz.so.2": b"z" * 6000}),
    StarSpec("tool", "2.1.0", {"usr/bin/tool": b"tool 2.1", "etc/tool.conf": b"a = 2\n"}, {"zlib": "^1.3"}),
    StarSpec("editor", "7.0.0", {"usr/bin/ed": b"ed 7"}, {"spell": "*"}),
    StarSpec("spell", "1.0.0", {"usr/share/spell/words": b"words"}),
)


@pytest.fixture
def galaxy(tmp_path: Path) -> GalaxyFixture:
    return make_galaxy(tmp_path / "galaxy", "core", FIRST, make_signers())


def system(tmp_path: Path, galaxy: GalaxyFixture, cosmos: Cosmos, address: str) -> Path:
    root = tmp_path / "root"
    root.mkdir()
    cosmos("init", "--root", root, "--arch", "x86_64").ok()
    trust = galaxy.signers.write_trust(tmp_path / "trust.toml")
    cosmos("trust", "init", trust, "--sha256", Digest.of(trust.read_bytes()), "--root", root).ok()
    cosmos("add-galaxy", "core", address, "--root", root).ok()
    cosmos("install", "tool", "editor", "--root", root).ok()
    return root


def test_a_system_is_updated_configured_and_cleaned_up(tmp_path: Path, galaxy: GalaxyFixture, cosmos: Cosmos) -> None:
    root = system(tmp_path, galaxy, cosmos, str(galaxy.path))
    assert "nothing to update" in cosmos("update", "--root", root).ok().out
    (root / "etc/tool.conf").write_text("a = 3\n")
    make_galaxy(galaxy.path, "core", LATER, galaxy.signers, seq=2)
    would = cosmos("update", "--dry-run", "--root", root).ok().out
    assert "tool 2.0.0 -> 2.1.0 from core" in would
    assert "would update 2 stars, and install 1 new one" in would
    assert (root / "usr/bin/ed").read_bytes() == b"ed"
    done = cosmos("update", "--all", "--root", root).ok().out
    assert "held zlib 1.3.1: 2.0.0 is there, but tool 2.1.0 wants zlib ^1.3" in done
    assert (
        "keep /etc/tool.conf (tool): configuration that you changed: the new one is /etc/tool.conf.cosmos-new" in done
    )
    assert "updated 2 stars, and installed 1 new one" in done
    assert (root / "etc/tool.conf").read_text() == "a = 3\n"
    assert "/etc/tool.conf.cosmos-new" in cosmos("status", "--root", root).ok().out
    assert cosmos("status", "--root", root, "--json").json()["new-configuration"] == ["/etc/tool.conf.cosmos-new"]
    failed = cosmos("verify", "--root", root).fails(7)
    assert "/etc/tool.conf (tool): was modified" in failed.err
    (root / "etc/tool.conf.cosmos-new").replace(root / "etc/tool.conf")
    assert cosmos("verify", "--root", root, "--json").json()["good"] is True
    cosmos("update", "editor", "--all", "--root", root).fails(2)
    cosmos("update", "nothing", "--root", root).fails(3)
    assert "add --allow-downgrade" in cosmos("update", "editor@=6.2.0", "--root", root).fails(3).err
    back = cosmos("update", "editor@=6.2.0", "--allow-downgrade", "editor", "--root", root, "--json").json()
    assert [(one["from"], one["to"]) for one in back["updated"]] == [("7.0.0", "6.2.0")]
    assert back["needed-no-more"] == ["spell"]
    gone = json.loads(cosmos("autoremove", "--root", root, "--json").ok().out)
    assert [one["name"] for one in gone["removed"]] == ["spell"]
    assert not (root / "usr/share").exists()
    assert "zlib is needed by tool" in cosmos("uninstall", "zlib", "--root", root).fails(3).err
    said = cosmos("uninstall", "tool", "--root", root).ok().out
    assert "1 star is not needed any more: zlib; cosmos autoremove --root" in said
    assert "nothing to remove" not in cosmos("autoremove", "--root", root).ok().out
    assert "nothing to remove" in cosmos("autoremove", "--root", root).ok().out
    assert cosmos("status", "--root", root, "--json").json()["stars"] == {"editor": "6.2.0"}
    assert cosmos("verify", "--root", root, "--json").json()["good"] is True
    cosmos("freeze", "--root", root).ok()


def test_a_system_is_updated_over_http_and_offline_after_a_sync(
    tmp_path: Path, galaxy: GalaxyFixture, cosmos: Cosmos
) -> None:
    with serving(galaxy.path) as address:
        root = system(tmp_path, galaxy, cosmos, address)
        make_galaxy(galaxy.path, "core", LATER, galaxy.signers, seq=2)
        assert "nothing to update" in cosmos("update", "--offline", "--root", root).ok().out
        cosmos("sync", "--full", "--wait", "1", "--root", root).ok()
    assert "updated 2 stars" in cosmos("update", "--offline", "--root", root).ok().out
    assert cosmos("verify", "--root", root, "--json").json()["good"] is True


def test_a_newer_version_by_an_unknown_key_is_refused_and_changes_nothing(
    tmp_path: Path, galaxy: GalaxyFixture, cosmos: Cosmos
) -> None:
    root = system(tmp_path, galaxy, cosmos, str(galaxy.path))
    stranger = make_signers("stranger")["author"]
    evil = StarSpec("editor", "9.0.0", {"usr/bin/ed": b"evil"}, signer=stranger)
    make_galaxy(galaxy.path, "core", (*LATER, evil), galaxy.signers, seq=2)
    cosmos("update", "editor", "--root", root).fails(4)
    assert (root / "usr/bin/ed").read_bytes() == b"ed"
    cosmos("sync", "--index", "--root", root).ok()
    make_galaxy(galaxy.path, "core", FIRST, galaxy.signers, seq=1)
    cosmos("update", "--root", root).fails(4)
