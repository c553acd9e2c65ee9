"""`cosmos repair`: what was spoilt or forged comes back as it was signed, and nothing else is believed."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import tomli_w

from cosmos.digest import Digest
from cosmos.keyring.secret_key import SecretKey
from cosmos.model.names import KeyName
from cosmos.tree.entry import Entry
from cosmos.treepath import TreePath
from cosmos.trust.revocation import Revoked
from cosmos.trust.roles import STAR_TYPE, TRUST_TYPE
from fakes.forgeries import EVIL
from fakes.galaxies import StarSpec, make_galaxy, make_signers
from fakes.http_servers import serving
from fakes.installed_systems import STARS, System
from fakes.programs import Cosmos

TOOL = "usr/bin/tool"


def own(path: str, kind: str = "file", mode: int = 0o644, **other: object) -> Entry:
    return Entry(**{"path": TreePath.parse(path), "kind": kind, "mode": mode, **other})


RICH = StarSpec(
    "rich",
    files={
        "usr/lib/rich/a": own("usr/lib/rich/a", mode=0o755, content=b"a" * 3000, xattrs=((b"user.note", b"1"),)),
        "usr/lib/rich/b": own("usr/lib/rich/b", "hardlink", 0o755, target=b"usr/lib/rich/a"),
        "usr/lib/rich/l": own("usr/lib/rich/l", "symlink", 0o777, target=b"a"),
        "usr/lib/rich/p": own("usr/lib/rich/p", content=b"p"),
        "usr/lib/rich/d": own("usr/lib/rich/d", "dir", 0o750),
        "usr/lib/rich/d/x": b"x",
    },
)


@pytest.fixture
def system(tmp_path: Path, cosmos: Cosmos) -> System:
    return System(tmp_path, cosmos, (*STARS, RICH))


def state(root: Path) -> dict[str, tuple[object, ...]]:
    """Everything below /usr and /etc: kind, mode, owner, bytes, and which names are one file."""
    found: dict[str, tuple[object, ...]] = {}
    for top in ("usr", "etc"):
        for path in sorted((root / top).rglob("*")):
            held = path.lstat()
            body = str(path.readlink()) if path.is_symlink() else path.read_bytes() if path.is_file() else b""
            names = os.listxattr(path, follow_symlinks=False)
            notes = tuple((name, os.getxattr(path, name, follow_symlinks=False)) for name in names)
            found[str(path.relative_to(root))] = (held.st_mode, held.st_uid, held.st_gid, held.st_nlink, body, notes)
    return {path: row for path, row in found.items() if not path.startswith("etc/cosmos")}


def swapped(root: Path) -> None:
    (root / "usr/lib/rich/l").unlink()
    (root / "usr/lib/rich/l").symlink_to("evil")


def split(root: Path) -> None:
    (root / "usr/lib/rich/b").unlink()
    shutil.copy(root / "usr/lib/rich/a", root / "usr/lib/rich/b")


def other_kind(root: Path) -> None:
    (root / "usr/lib/rich/p").unlink()
    os.mkfifo(root / "usr/lib/rich/p")


def emptied(root: Path) -> None:
    shutil.rmtree(root / "usr/lib/rich")


def everything(root: Path) -> None:
    shutil.rmtree(root / "usr")


def link_to_itself(root: Path) -> None:
    (root / TOOL).unlink()
    (root / TOOL).symlink_to("tool")


SPOILT: dict[str, Callable[[Path], object]] = {
    "bytes": lambda root: (root / TOOL).write_bytes(EVIL),
    "the bytes of a file with two names": lambda root: (root / "usr/lib/rich/a").write_bytes(EVIL),
    "a file gone": lambda root: (root / TOOL).unlink(),
    "a mode": lambda root: (root / TOOL).chmod(0o4777),
    "the mode of a folder": lambda root: (root / "usr/lib/rich/d").chmod(0o777),
    "an attribute": lambda root: os.setxattr(root / "usr/lib/rich/a", "user.note", b"2"),
    "an attribute gone": lambda root: os.removexattr(root / "usr/lib/rich/b", "user.note"),
    "a target": swapped,
    "a link to itself": link_to_itself,
    "a hard link that became a copy": split,
    "a kind": other_kind,
    "a folder with all in it": emptied,
    "all of /usr": everything,
    "configuration gone": lambda root: (root / "etc/zlib.conf").unlink(),
}


@pytest.mark.parametrize("what", SPOILT)
def test_what_was_spoilt_comes_back_as_it_was_signed(system: System, what: str) -> None:
    before = state(system.root)
    SPOILT[what](system.root)
    assert state(system.root) != before
    told = system.run("repair", "--dry-run").ok().out
    assert "would have" in told
    assert state(system.root) != before, "a rehearsal changes nothing"
    system.run("repair").ok()
    assert state(system.root) == before
    system.run("verify").ok()
    assert "nothing to repair" in system.run("repair").ok().out


@pytest.mark.objective("SO-03")
def test_a_file_and_its_row_forged_together_come_back_as_signed(system: System) -> None:
    before = state(system.root)
    universe = (system.root / "var/lib/cosmos/universe.toml").read_text()
    system.forge(TOOL)
    said = system.run("repair").ok().out
    assert "replaced /usr/bin/tool (tool)" in said
    assert "corrected the record of tool" in said
    assert state(system.root) == before
    assert (system.root / "var/lib/cosmos/universe.toml").read_text() == universe


def test_one_star_is_repaired_and_the_others_stay(system: System) -> None:
    (system.root / TOOL).write_bytes(EVIL)
    (system.root / "usr/lib/libz.so").write_bytes(EVIL)
    system.run("repair", "tool").ok()
    assert (system.root / TOOL).read_bytes() == b"tool"
    assert (system.root / "usr/lib/libz.so").read_bytes() == EVIL
    assert "is not installed" in system.run("repair", "nothing").fails(3).err


def test_changed_configuration_stays_unless_it_is_asked_for(system: System) -> None:
    conf = system.root / "etc/zlib.conf"
    conf.write_bytes(b"mine")
    conf.chmod(0o777)
    told = system.run("repair").ok().out
    assert "kept /etc/zlib.conf (zlib): was modified" in told
    assert (conf.read_bytes(), stat.S_IMODE(conf.stat().st_mode)) == (b"mine", 0o755)
    system.run("repair", "--configuration").ok()
    assert conf.read_bytes() == b"level=6"


def revoke(system: System) -> None:
    gone = Revoked(key=system.signers["author"].public.id, reason="stolen")
    file = system.where / "2.toml"
    file.write_text(tomli_w.dumps(replace(system.signers.roots(), version=2, revoked=(gone,)).to_toml()))
    Path(f"{file}.dsse").write_bytes(system.signers["root"].sign(TRUST_TYPE, file.read_bytes()))
    system.run("trust", "update", file).ok()


@pytest.mark.objective("SO-12")
def test_nothing_is_restored_from_a_star_whose_key_was_revoked(system: System) -> None:
    (system.root / TOOL).write_bytes(b"x")
    revoke(system)
    refused = system.run("repair").fails(4).err
    assert "whose key was revoked (stolen)" in refused
    assert "/usr/bin/tool (tool): has other bytes" in refused
    assert (system.root / TOOL).read_bytes() == b"x"


@pytest.mark.objective("SO-01")
def test_a_statement_by_a_strange_key_restores_nothing(system: System) -> None:
    thief = SecretKey.generate(KeyName("thief"), "author")
    shutil.rmtree(system.root / "var/cache")
    (system.root / TOOL).unlink()
    file = system.galaxy.statement("tool-1.0.0")
    Path(f"{file}.dsse").write_bytes(thief.sign(STAR_TYPE, file.read_bytes()))
    refused = system.run("repair").fails(5).err
    assert "no signed statement of it is at hand" in refused
    assert not (system.root / TOOL).exists()


@pytest.mark.objective("SO-01")
def test_a_thief_s_stick_restores_nothing(system: System) -> None:
    shutil.rmtree(system.root / "var/cache")
    shutil.rmtree(system.galaxy.path)
    evil = (StarSpec("tool", "1.0.0", {TOOL: EVIL}),)
    stick = make_galaxy(system.where / "stick/core", "core", evil, make_signers("thief")).path
    (system.root / TOOL).unlink()
    for folder in (stick, stick.parent):
        system.run("repair", "--from", folder).fails(5)
    assert not (system.root / TOOL).exists()


@pytest.mark.objective("SO-03")
def test_an_altered_archive_restores_nothing_and_the_right_one_is_taken_where_it_is(system: System) -> None:
    archive = system.galaxy.archive("tool-1.0.0")
    (kept,) = system.root.glob(f"var/cache/cosmos/blobs/*/{Digest.of(archive.read_bytes()).hex}")
    kept.chmod(0o644)
    kept.write_bytes(archive.read_bytes()[:-1] + b"!")
    (system.root / TOOL).write_bytes(EVIL)
    archive.rename(system.where / "aside")
    assert "but the archive is sha256:" in system.run("repair").fails(4).err
    assert (system.root / TOOL).read_bytes() == EVIL
    (system.where / "aside").rename(archive)
    system.run("repair").ok()
    assert (system.root / TOOL).read_bytes() == b"tool"


def test_a_stick_restores_where_the_cache_and_the_galaxy_are_gone(system: System) -> None:
    shutil.rmtree(system.root / "var/cache")
    system.galaxy.path.rename(system.where / "stick")
    (system.root / TOOL).unlink()
    assert "no signed statement" in system.run("repair").fails(5).err
    system.run("repair", "--from", system.where / "stick").ok()
    assert (system.root / TOOL).read_bytes() == b"tool"
    assert "holds no galaxy" in system.run("repair", "--from", system.root / "usr").fails(2).err


def test_a_galaxy_on_a_server_is_asked_unless_offline(system: System) -> None:
    shutil.rmtree(system.root / "var/cache")
    (system.root / TOOL).unlink()
    with serving(system.galaxy.path) as address:
        system.run("add-galaxy", "core", address).ok()
        system.run("repair", "--offline").fails(5)
        system.run("repair").ok()
    assert (system.root / TOOL).read_bytes() == b"tool"
    (system.root / TOOL).unlink()
    system.run("repair", "--offline").ok()


# --- hostile trees


@pytest.mark.objective("SO-18")
def test_a_folder_that_became_a_link_leads_no_repair_anywhere(system: System, tmp_path: Path) -> None:
    outside, inside = tmp_path / "outside", system.root / "etc/inside"
    for folder in (outside, inside):
        folder.mkdir()
    for target in (str(outside), "../../../outside", "/etc/inside"):
        shutil.rmtree(system.root / "usr/bin", ignore_errors=True)
        (system.root / "usr/bin").symlink_to(target)
        refused = system.run("repair").fails(7).err
        assert "its folder /usr/bin is a symlink: move it away" in refused
        assert list(outside.iterdir()) == list(inside.iterdir()) == []
        (system.root / "usr/bin").unlink()
    system.run("repair").ok()
    assert (system.root / TOOL).read_bytes() == b"tool"


@pytest.mark.objective("SO-18")
@pytest.mark.parametrize("target", ["/etc/passwd", "../../../victim", "/proc/self/mem"])
def test_a_link_in_the_place_of_a_file_is_replaced_and_not_followed(system: System, target: str) -> None:
    victim = system.where / "victim"
    victim.write_bytes(b"untouched")
    (system.root / TOOL).unlink()
    (system.root / TOOL).symlink_to(target)
    system.run("repair").ok()
    assert not (system.root / TOOL).is_symlink()
    assert (system.root / TOOL).read_bytes() == b"tool"
    assert victim.read_bytes() == b"untouched"


@pytest.mark.objective("SO-18")
def test_another_name_of_a_file_does_not_get_its_mode(system: System) -> None:
    """A copy of the right bytes under two names: the other name gains nothing."""
    other = system.root / "other"
    shutil.copy(system.root / TOOL, other)
    other.chmod(0o600)
    (system.root / TOOL).unlink()
    os.link(other, system.root / TOOL)
    system.run("repair").ok()
    assert stat.S_IMODE((system.root / TOOL).stat().st_mode) == 0o755
    assert stat.S_IMODE(other.stat().st_mode) == 0o600


def test_what_lies_in_the_way_is_named_and_left_and_the_rest_is_repaired(system: System) -> None:
    (system.root / TOOL).unlink()
    (system.root / TOOL).mkdir()
    (system.root / TOOL / "mine").write_bytes(b"precious")
    (system.root / "usr/lib/libz.so").write_bytes(EVIL)
    refused = system.run("repair").fails(7).err
    assert "a folder is in its place: move it away, then repair again" in refused
    assert (system.root / TOOL / "mine").read_bytes() == b"precious"
    assert (system.root / "usr/lib/libz.so").read_bytes() == b"z"


def test_a_star_may_not_get_back_what_the_policy_forbids_now(tmp_path: Path, cosmos: Cosmos) -> None:
    raised = StarSpec("raise", files={"usr/bin/raise": own("usr/bin/raise", mode=0o4755, content=b"r")})
    system = System(tmp_path, cosmos)
    make_galaxy(system.galaxy.path, "core", (*STARS, raised), system.signers, seq=2)
    config = system.root / "etc/cosmos/config.toml"
    with config.open("a") as stream:
        stream.write('\n[policy]\nsetuid = ["raise"]\n')
    system.run("install", "raise").ok()
    config.write_text(config.read_text().split("[policy]")[0])
    (system.root / "usr/bin/raise").chmod(0o755)
    refused = system.run("repair").fails(7).err
    assert "the operator's policy does not allow that" in refused
    assert stat.S_IMODE((system.root / "usr/bin/raise").stat().st_mode) == 0o755


@pytest.mark.parametrize("words", [("repair",), ("repair", "inner")], ids=["both stars", "the star in the folder"])
def test_no_folder_comes_back_with_rights_that_the_policy_forbids_now(
    tmp_path: Path, cosmos: Cosmos, words: tuple[str, ...]
) -> None:
    """Also not for the sake of another star, which has a file in it."""
    folder = "usr/lib/open"
    outer = StarSpec("outer", files={folder: own(folder, "dir", 0o777)})
    inner = StarSpec("inner", files={f"{folder}/file": b"i"}, dependencies={"outer": "*"})
    system = System(tmp_path, cosmos)
    make_galaxy(system.galaxy.path, "core", (*STARS, outer, inner), system.signers, seq=2)
    config = system.root / "etc/cosmos/config.toml"
    before = config.read_text()
    config.write_text(f'{before}\n[policy]\nchown = ["outer"]\n')
    system.run("install", "inner").ok()
    shutil.rmtree(system.root / folder)
    config.write_text(before)
    assert system.run(*words).code == (0 if "inner" in words else 7)
    assert (system.root / folder / "file").read_bytes() == b"i"
    assert stat.S_IMODE((system.root / folder).stat().st_mode) == 0o755


def test_another_name_of_a_file_does_not_come_back_where_the_policy_forbids_the_file(
    tmp_path: Path, cosmos: Cosmos
) -> None:
    raised = StarSpec(
        "raise",
        files={
            "usr/bin/raise": own("usr/bin/raise", mode=0o4755, content=b"r"),
            "usr/bin/rise": own("usr/bin/rise", "hardlink", 0o4755, target=b"usr/bin/raise"),
        },
    )
    system = System(tmp_path, cosmos)
    make_galaxy(system.galaxy.path, "core", (*STARS, raised), system.signers, seq=2)
    config = system.root / "etc/cosmos/config.toml"
    before = config.read_text()
    config.write_text(f'{before}\n[policy]\nsetuid = ["raise"]\n')
    system.run("install", "raise").ok()
    config.write_text(before)
    for name in ("usr/bin/raise", "usr/bin/rise", TOOL):
        (system.root / name).unlink()
    refused = system.run("repair").fails(7).err
    assert "the operator's policy does not allow that" in refused
    assert [(system.root / name).exists() for name in ("usr/bin/raise", "usr/bin/rise", TOOL)] == [False, False, True]


def test_another_cosmos_at_work_is_waited_for(system: System) -> None:
    from cosmos.device.journal import at_work
    from cosmos.device.root import LiveRoot

    with LiveRoot.open(system.root) as live, at_work(live):
        assert "another cosmos is at work" in system.run("repair", "--wait", "0.1").fails(5).err


def test_the_answer_in_json_has_all(system: System) -> None:
    (system.root / TOOL).unlink()
    (system.root / "etc/zlib.conf").write_bytes(b"mine")
    row = system.run("repair", "--json").json()
    assert row["restored"] == [{"path": "/usr/bin/tool", "star": "tool", "how": "placed"}]
    assert [one["path"] for one in row["kept-configuration"]] == ["/etc/zlib.conf"]
    assert row["left"] == row["corrected-records"] == []
