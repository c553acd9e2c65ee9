"""`cosmos verify` of a system: every kind of change is found and named, and nothing passes that was not judged."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from cosmos.device.journal import at_work
from cosmos.device.root import LiveRoot
from cosmos.device.system import JOURNAL_PATH, rendered
from cosmos.device.verify import verify_system
from cosmos.digest import Digest
from cosmos.errors import Differs, Malformed
from cosmos.model.names import Arch, StarName
from cosmos.model.universe import UNIVERSE_PATH, Installed, Universe
from cosmos.model.version import SemVer
from cosmos.tree.entry import Entry
from cosmos.tree.installed import installed_entry
from cosmos.tree.manifest import ManifestLine
from cosmos.treepath import TreePath
from fakes.huge_files import HUGE_BYTES, grow, hash_no_huge_file

IS_ROOT = os.geteuid() == 0
needs_root = pytest.mark.skipif(not IS_ROOT, reason="only root can set this up")


def entry(path: str, kind: str = "file", mode: int = 0o644, **other: object) -> Entry:
    owner = {"uid": os.geteuid(), "gid": os.getegid()}
    return Entry(**{"path": TreePath.parse(path), "kind": kind, "mode": mode, **owner, **other})


ENTRIES = (
    entry("usr/bin/tool", mode=0o4755, content=b"program"),
    entry("usr/bin/also", "hardlink", mode=0o4755, target=b"usr/bin/tool"),
    entry("etc/tool.conf", content=b"setting"),
    entry("usr/lib/libt.so", "symlink", mode=0o777, target=b"libt.so.1"),
    entry("usr/lib/libt.so.1", content=b"library", xattrs=((b"user.note", b"\x01"),)),
    entry("var/spool/tool", "fifo", mode=0o600),
    entry("var/lib/tool", "dir", mode=0o750),
)


def universe(entries: tuple[Entry, ...] = ENTRIES, **stars: Installed) -> Universe:
    tool = Installed(
        version=SemVer(1, 0, 0),
        files=tuple(one.path for one in entries if one.kind != "dir"),
        galaxy="core",
        archive=Digest.of(b"archive"),
        entries=tuple(installed_entry(ManifestLine.of(one)) for one in entries),
    )
    named = {StarName(name): star for name, star in stars.items()}
    return Universe(arch=Arch("x86_64"), version="1", installed={StarName("tool"): tool, **named})


def write_universe(root: Path, written: Universe) -> None:
    with LiveRoot.open(root) as live:
        live.replace_document(UNIVERSE_PATH, rendered(written))


@pytest.fixture
def system(tmp_path: Path) -> Path:
    for one in ENTRIES:
        place = tmp_path / str(one.path)
        place.parent.mkdir(parents=True, exist_ok=True)
        if one.kind == "file":
            place.write_bytes(one.content)
        elif one.kind == "symlink":
            place.symlink_to(os.fsdecode(one.target))
        elif one.kind == "fifo":
            os.mkfifo(place)
        elif one.kind == "dir":
            place.mkdir()
        if one.kind in ("file", "fifo", "dir"):
            place.chmod(one.mode)
        for name, value in one.xattrs:
            os.setxattr(place, name, value)
    os.link(tmp_path / "usr/bin/tool", tmp_path / "usr/bin/also")
    write_universe(tmp_path, universe())
    return tmp_path


def named(root: Path) -> list[str]:
    verdict = verify_system(root)
    return [str(difference) for difference in (*verdict.differences, *verdict.configuration)]


def test_a_system_as_it_was_installed_is_good(system: Path) -> None:
    verdict = verify_system(system)
    assert verdict.is_good
    assert verdict.error() is None
    assert (verdict.stars, verdict.judged) == (1, len(ENTRIES))
    assert verdict.bytes_read == sum(len(one.content) for one in ENTRIES)


def swap_byte(root: Path) -> None:
    (root / "usr/lib/libt.so.1").write_bytes(b"library!")


def swap_target(root: Path) -> None:
    (root / "usr/lib/libt.so").unlink()
    (root / "usr/lib/libt.so").symlink_to("evil.so")


def split_link(root: Path) -> None:
    (root / "usr/bin/also").unlink()
    shutil.copy(root / "usr/bin/tool", root / "usr/bin/also")


def swap_kind(root: Path) -> None:
    (root / "var/spool/tool").unlink()
    (root / "var/spool/tool").write_bytes(b"")


CHANGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "a byte": (swap_byte, "/usr/lib/libt.so.1 (tool): has other bytes"),
    "a configuration file": (
        lambda root: (root / "etc/tool.conf").write_text("mine"),
        "/etc/tool.conf (tool): was modified",
    ),
    "a link": (swap_target, "/usr/lib/libt.so (tool): points to evil.so"),
    "a mode": (
        lambda root: (root / "etc/tool.conf").chmod(0o666),
        "/etc/tool.conf (tool): has the mode 0666, but was installed with 0644",
    ),
    "setuid lost": (lambda root: (root / "usr/bin/tool").chmod(0o755), "/usr/bin/tool (tool): has the mode 0755"),
    "a folder's mode": (lambda root: (root / "var/lib/tool").chmod(0o777), "/var/lib/tool (tool): has the mode 0777"),
    "a file gone": (lambda root: (root / "etc/tool.conf").unlink(), "/etc/tool.conf (tool): is missing"),
    "a folder gone": (lambda root: shutil.rmtree(root / "usr/lib"), "/usr/lib/libt.so (tool): is missing"),
    "a folder that became a file": (
        lambda root: (shutil.rmtree(root / "usr/lib"), (root / "usr/lib").write_text("")),
        "/usr/lib/libt.so.1 (tool): is missing",
    ),
    "a hard link made a copy": (split_link, "/usr/bin/also (tool): is no longer one file with /usr/bin/tool"),
    "a kind": (swap_kind, "/var/spool/tool (tool): is a file, but was installed as a fifo"),
    "an attribute": (
        lambda root: os.setxattr(root / "usr/lib/libt.so.1", "user.note", b"\x02"),
        "/usr/lib/libt.so.1 (tool): has the attribute user.note 02, but was installed with 01",
    ),
    "an attribute gone": (
        lambda root: os.removexattr(root / "usr/lib/libt.so.1", "user.note"),
        "/usr/lib/libt.so.1 (tool): has the attribute user.note none",
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_each_change_is_found_and_named_with_its_star(system: Path, change: str) -> None:
    apply, sentence = CHANGES[change]
    apply(system)
    assert any(line.startswith(sentence) for line in named(system)), named(system)
    error = verify_system(system).error()
    assert isinstance(error, Differs)
    assert error.exit_code == 7
    assert any(sentence in line for line in error.differences)


@needs_root
def test_a_changed_owner_is_found(system: Path) -> None:
    os.chown(system / "etc/tool.conf", 12, 34)
    assert named(system) == [
        f"/etc/tool.conf (tool): belongs to 12:34, but was installed for {os.geteuid()}:{os.getegid()}"
    ]


@needs_root
def test_a_capability_that_a_file_gained_is_found(system: Path) -> None:
    capability = bytes.fromhex("0100000280000000000000000000000000000000")  # v2: cap_setuid, effective
    try:
        os.setxattr(system / "etc/tool.conf", "security.capability", capability)
    except OSError as error:
        pytest.skip(f"capabilities cannot be set here: {error}")
    assert named(system) == [
        f"/etc/tool.conf (tool): has the attribute security.capability {capability.hex()}, but was installed with none"
    ]


@needs_root
def test_another_device_is_found(tmp_path: Path) -> None:
    os.mknod(tmp_path / "null", 0o020666, os.makedev(1, 5))
    (tmp_path / "null").chmod(0o666)
    write_universe(tmp_path, universe((entry("null", "char", 0o666, rdev=(1, 3)),)))
    assert named(tmp_path) == ["/null (tool): is device 1:5, but was installed as 1:3"]


def test_a_star_without_digests_is_not_passed_in_silence(system: Path) -> None:
    old = Installed(version=SemVer(2, 0, 0), files=(TreePath(b"bin/old"),))
    write_universe(system, universe(old=old))
    verdict = verify_system(system)
    assert verdict.unjudged == ("old",)
    assert not verdict.is_good
    error = verdict.error()
    assert isinstance(error, Differs)
    assert "1 star cannot be judged" in str(error)


def test_a_star_that_holds_nothing_is_good(system: Path) -> None:
    write_universe(system, universe(nebula=Installed(version=SemVer(2, 0, 0), files=(), type="nebula")))
    assert verify_system(system).is_good


def test_what_an_ordinary_user_cannot_read_is_an_error(
    open_folder: Path, as_nobody: Callable[[Callable[[], str]], str]
) -> None:
    secret = entry("etc/secret", mode=0o600, content=b"secret")
    (open_folder / "etc").mkdir()
    (open_folder / "etc/secret").write_bytes(b"secret")
    (open_folder / "etc/secret").chmod(0o600)
    write_universe(open_folder, universe((secret,)))
    assert verify_system(open_folder).is_good

    def work() -> str:
        verdict = verify_system(open_folder)
        return f"{verdict.is_good} {type(verdict.error()).__name__} {verdict.error()}"

    assert as_nobody(work) == (
        f"False WorldFailed {open_folder}: 1 path cannot be read: /etc/secret (tool): cannot be read: permission denied"
    )


def test_a_system_without_a_universe_is_no_success(tmp_path: Path) -> None:
    with pytest.raises(Malformed, match=r"is no cosmos system: it has no /var/lib/cosmos/universe.toml"):
        verify_system(tmp_path)


def test_an_interrupted_installation_is_named(system: Path) -> None:
    journal = system / str(JOURNAL_PATH)
    journal.parent.mkdir(parents=True)
    journal.write_text("")
    assert "was cut off" in named(system)[0]
    with LiveRoot.open(system) as root, at_work(root):
        assert "is going on" in named(system)[0]


def test_a_universe_that_contradicts_itself_is_named(system: Path) -> None:
    other = Installed(
        version=SemVer(1, 0, 0),
        files=(TreePath(b"etc/tool.conf"), TreePath(b"etc/unlisted")),
        dependencies=(StarName("gone"),),
        entries=(installed_entry(ManifestLine.of(ENTRIES[2])),),
    )
    write_universe(system, universe(zother=other))
    assert named(system) == [
        "/var/lib/cosmos/universe.toml: installed.zother: its files and its entries name different paths",
        "/var/lib/cosmos/universe.toml: installed.zother: depends on gone, which is not installed",
        "/var/lib/cosmos/universe.toml: /etc/tool.conf belongs to both tool and zother",
    ]


def test_a_path_through_a_link_to_the_host_is_not_judged_by_the_host(
    system: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    host = tmp_path_factory.mktemp("host")
    shutil.copy(system / "etc/tool.conf", host / "tool.conf")
    shutil.rmtree(system / "etc")
    (system / "etc").symlink_to(host)
    assert named(system) == ["/etc/tool.conf (tool): is missing"]


def test_an_endless_file_in_the_place_of_a_path_is_not_read(system: Path) -> None:
    (system / "usr/lib/libt.so.1").unlink()
    (system / "usr/lib/libt.so.1").symlink_to("/dev/zero")
    assert any("is a symlink, but was installed as a file" in line for line in named(system))


def with_layers(root: Path, *entries: Entry) -> None:
    """Let the system's image have brought `entries` by its template, and its trust anchors."""
    own = (*entries, entry("etc/cosmos/trust.toml", content=b"as built"))
    layers = {"template": tuple(installed_entry(ManifestLine.of(one), by_star=False) for one in own)}
    write_universe(root, replace(universe(), layers=layers))
    (root / "etc/cosmos").mkdir(parents=True, exist_ok=True)
    (root / "etc/cosmos/trust.toml").write_bytes(b"what the operator has accepted since")


def test_a_file_that_grew_without_end_is_not_hashed(system: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sparse file of a terabyte kept `verify` busy for an hour."""
    hash_no_huge_file(monkeypatch)
    fstab = system / "etc/fstab"
    fstab.write_bytes(b"none")
    fstab.chmod(0o644)
    with_layers(system, entry("etc/fstab", content=b"none"))
    grow(fstab)
    assert named(system) == [
        f"/etc/fstab (the image's template): was modified: it has {HUGE_BYTES} bytes, but was installed with 4"
    ]


def test_the_image_s_own_entries_are_checked_but_those_of_cosmos_itself(system: Path) -> None:
    fstab = system / "etc/fstab"
    fstab.write_bytes(b"none")
    fstab.chmod(0o644)
    with_layers(system, entry("etc/fstab", content=b"none"))
    verdict = verify_system(system)
    assert (verdict.differences, verdict.of_image, verdict.judged) == ((), 1, len(ENTRIES))
    fstab.write_bytes(b"changed")
    assert named(system) == [
        f"/etc/fstab (the image's template): was modified: it is {Digest.of(b'changed')}, "
        f"but was installed as {Digest.of(b'none')}"
    ]
    fstab.unlink()
    assert named(system) == ["/etc/fstab (the image's template): is missing"]


def test_a_path_of_the_image_and_of_a_star_is_named(system: Path) -> None:
    with_layers(system, ENTRIES[2])
    assert named(system) == [
        "/var/lib/cosmos/universe.toml: /etc/tool.conf belongs to both the image's template and tool"
    ]


def test_a_line_that_cannot_be_read_is_an_error_with_its_place(system: Path) -> None:
    file = system / str(UNIVERSE_PATH)
    file.write_text(file.read_text().replace("file 4755", "file 9755"))
    with pytest.raises(Malformed, match=r"universe\.toml: installed\.tool\.entries\[0\]: mode: want four octal digits"):
        verify_system(system)


def test_an_unreadable_universe_is_an_error(tmp_path: Path) -> None:
    (tmp_path / str(UNIVERSE_PATH)).mkdir(parents=True)
    with pytest.raises(Malformed, match=r"universe\.toml: is no regular file"):
        verify_system(tmp_path)
