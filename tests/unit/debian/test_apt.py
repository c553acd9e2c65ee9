"""Packages come from archives whose signature apt has verified, and are checked once more; a private folder suffices.

Against the real apt and an archive on this disk.
"""

from __future__ import annotations

import fcntl
import shutil
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cosmos.debian.apt import FRESH_SECONDS, Apt
from cosmos.debian.apt_state import verified_sources
from cosmos.debian.source import DebSource, find_package, find_packages
from cosmos.digest import Digest
from cosmos.errors import CosmosError, Malformed, NoSolution, Refused, WorldFailed
from cosmos.model.names import Arch
from cosmos.process import run_program
from fakes.debs import LocalArchive, control_text, make_deb, make_local_archive
from fakes.reporters import Remembering
from fakes.waiting import LONG_SECONDS

pytestmark = pytest.mark.slow  # each starts the real apt-get

NOW = 1_800_000_000.0
Opener = Callable[..., Apt]


def deb(name: str, version: str = "1.0-1", **more: str) -> bytes:
    return make_deb(control_text(name, version, **more), {f"{name}.txt": name.encode()}, suffix="")


@pytest.fixture
def archive(tmp_path: Path) -> LocalArchive:
    for program in ("apt-get", "gpg"):
        if shutil.which(program) is None:
            pytest.fail(f"{program} is needed: apt-get install apt gpg")
    debs = {
        "hello_1.0-1_amd64.deb": deb("hello", provides="greeting"),
        "hello_2.0-1_amd64.deb": deb("hello", "2.0-1"),
        "linux-5-cloud_5.9-1_amd64.deb": deb("linux-5-cloud", "5.9-1"),
        "linux-5-cloud_5.8-1_amd64.deb": deb("linux-5-cloud", "5.8-1"),
        "linux-cloud_9_amd64.deb": deb(
            "linux-cloud", "9", depends="linux-5-cloud (= 5.8-1), linux-10-cloud-dbg, hello"
        ),
        "linux-10-cloud_5.10-1_amd64.deb": deb("linux-10-cloud", "5.10-1"),
        "linux-10-cloud-dbg_6.0-1_amd64.deb": deb("linux-10-cloud-dbg", "6.0-1"),
    }
    return make_local_archive(tmp_path / "host", debs, signed=True)


@pytest.fixture
def opened(archive: LocalArchive, tmp_path: Path) -> Opener:
    def call(*, now: float = NOW, offline: bool = False, reporter: Remembering | None = None) -> Apt:
        return Apt.at(
            tmp_path / "state",
            Arch("x86_64"),
            environ=archive.environ,
            now=now,
            offline=offline,
            reporter=reporter or Remembering(),
        )

    return call


def test_the_newest_version_is_found_fetched_and_checked(opened: Opener) -> None:
    apt = opened()
    record = apt.record("hello")
    assert (record.version, record.architecture) == ("2.0-1", "amd64")
    assert Digest.of(apt.read(record)) == record.digest


def test_an_exact_version_is_found(opened: Opener) -> None:
    assert find_package(opened(), DebSource.parse("deb:hello=1.0-1")).version == "1.0-1"


def test_a_glob_takes_the_one_package_of_such_a_name(opened: Opener) -> None:
    assert find_package(opened(), DebSource.parse("deb:linux-*-dbg")).name == "linux-10-cloud-dbg"


def test_a_glob_that_matches_two_kernels_is_refused_and_both_are_named(opened: Opener) -> None:
    with pytest.raises(NoSolution, match=r"2 packages have such a name: linux-10-cloud, linux-5-cloud") as caught:
        find_package(opened(), DebSource.parse("deb:linux-*-cloud"))
    assert caught.value.hint == (
        'name one of them, or the package that depends on the one you mean: "deb:PACKAGE -> linux-*-cloud"'
    )


def test_the_package_before_the_arrow_says_which_of_two_kernels_is_meant_and_at_which_version(opened: Opener) -> None:
    found = find_package(opened(), DebSource.parse("deb:linux-cloud -> linux-*-cloud"))
    assert (found.name, found.version) == ("linux-5-cloud", "5.8-1")
    with pytest.raises(NoSolution, match=r"linux-cloud 9 depends on no package of such a name: hello, linux-10-"):
        find_package(opened(), DebSource.parse("deb:linux-cloud -> nothing-*"))
    with pytest.raises(NoSolution, match=r"2 packages have such a name: linux-10-cloud-dbg, linux-5-cloud"):
        find_package(opened(), DebSource.parse("deb:linux-cloud -> linux-*"))


def test_apt_is_asked_once_for_all_packages(opened: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    from cosmos.debian import apt as module

    asked: list[str] = []

    def noting(argv: list[str], **how: Any) -> bytes:
        asked.append(" ".join(argv[1:]))
        return run_program(argv, **how)

    monkeypatch.setattr(module, "run_program", noting)
    apt = opened()
    words = ("deb:hello", "deb:linux-cloud -> linux-*-cloud", "deb:linux-10-cloud")
    found = find_packages(apt, [DebSource.parse(word) for word in words])
    assert [record.name for record in found] == ["hello", "linux-5-cloud", "linux-10-cloud"]
    assert asked == ["show --no-all-versions hello linux-10-cloud linux-cloud", "show linux-5-cloud=5.8-1"]
    assert [apt.record("hello"), apt.record("linux-5-cloud", "5.8-1")] == found[:2]
    assert find_packages(apt, [DebSource.parse(word) for word in words[::-1]]) == found[::-1]
    assert len(asked) == 2


def test_apt_is_asked_again_once_its_lists_have_changed(opened: Opener, archive: LocalArchive) -> None:
    opened().ensure_lists()
    apt = opened()
    assert apt.record("hello").version == "2.0-1"
    make_local_archive(archive.root, {"hello_3.0-1_amd64.deb": deb("hello", "3.0-1")}, signed=True)
    with pytest.raises(NoSolution):
        apt.record("a-name-that-the-lists-lack")
    assert apt.record("hello").version == "3.0-1"


def test_what_is_not_there_is_said_with_what_is(opened: Opener) -> None:
    with pytest.raises(
        NoSolution, match=r"hello: version 3\.0-1 was asked for; in the host's sources there is 1\.0-1, 2\.0-1"
    ):
        opened().record("hello", "3.0-1")
    with pytest.raises(NoSolution, match="helo: no package of that name for amd64"):
        opened().record("helo")
    with pytest.raises(NoSolution, match=r"deb:x-[*]: no package has such a name"):
        find_package(opened(), DebSource.parse("deb:x-*"))


def test_providers_of_a_virtual_package_are_found(opened: Opener) -> None:
    apt = opened()
    apt.ensure_lists()
    assert apt.providers(["greeting", "nothing"]) == {"greeting": ("hello",)}


def test_an_unsigned_archive_is_not_used(tmp_path: Path) -> None:
    host = make_local_archive(tmp_path / "host", {"hello_1.0-1_amd64.deb": deb("hello")}, signed=False)
    with pytest.raises(CosmosError):
        take(host, tmp_path)


def test_an_archive_signed_by_a_key_that_the_host_does_not_trust_is_not_used(
    archive: LocalArchive, tmp_path: Path
) -> None:
    other = make_local_archive(tmp_path / "other", {"hello_9.0-1_amd64.deb": deb("hello", "9.0-1")}, signed=True)
    archive.sources(f"deb [signed-by={archive.root}/etc/key.asc] file://{other.root}/archive test main\n", "more.list")
    reporter = Remembering()
    assert take(archive, tmp_path, reporter).record("hello").version == "2.0-1"
    assert any("other" in warning for warning in reporter.warnings)


@pytest.mark.parametrize("option", ["trusted=yes", "allow-insecure=yes", "arch=amd64 trusted=yes"])
def test_a_source_that_asks_not_to_be_verified_is_left_out(tmp_path: Path, option: str) -> None:
    host = make_local_archive(tmp_path / "host", {"hello_1.0-1_amd64.deb": deb("hello")}, signed=False)
    host.sources(f"deb [{option}] file://{host.root}/archive test main\n")
    reporter = Remembering()
    with pytest.raises(CosmosError):
        take(host, tmp_path, reporter)
    assert any("turns verification off" in warning for warning in reporter.warnings)


def test_a_changed_index_is_not_used(archive: LocalArchive, tmp_path: Path) -> None:
    packages = archive.root / "archive/dists/test/main/binary-amd64/Packages"
    packages.write_text(packages.read_text().replace("2.0-1", "2.0-2"))
    with pytest.raises(CosmosError):
        take(archive, tmp_path)


def test_a_changed_package_is_not_used(archive: LocalArchive, opened: Opener) -> None:
    file = archive.root / "archive/pool/hello_2.0-1_amd64.deb"
    file.write_bytes(file.read_bytes().replace(b"hello", b"jello", 1))
    apt = opened()
    with pytest.raises(WorldFailed, match="hello"):
        apt.read(apt.record("hello"))


def test_a_damaged_copy_of_our_own_is_fetched_again(opened: Opener) -> None:
    reporter = Remembering()
    apt = opened(reporter=reporter)
    record = apt.record("hello")
    good = apt.read(record)
    kept = apt.state.debs / f"{record.digest.hex}.deb"
    kept.write_bytes(good[:-1] + b"x")
    assert apt.read(record) == good
    assert reporter.warnings == ["hello_2.0-1_amd64.deb: the copy that was kept is damaged; it is fetched again"]
    assert kept.read_bytes() == good


def test_offline_a_damaged_copy_is_refused_and_removed(opened: Opener) -> None:
    record = opened().record("hello")
    opened().fetch([record])
    apt = opened(offline=True)
    kept = apt.state.debs / f"{record.digest.hex}.deb"
    kept.write_bytes(b"x")
    with pytest.raises(WorldFailed, match="was not fetched before"):
        apt.read(record)
    assert not kept.exists()


def test_what_apt_brings_is_checked_by_us_too(opened: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    """apt is played by a program that brings other bytes."""
    apt = opened()
    record = apt.record("hello")

    def lying(argv: list[str], *, cwd: Path, **_rest: object) -> tuple[int, str]:
        (cwd / record.file_name).write_bytes(b"x" * record.size_bytes)
        return 0, ""

    monkeypatch.setattr("cosmos.debian.apt.watch_program", lying)
    with pytest.raises(Refused, match="the signed index names sha256:"):
        apt.read(record)


def test_offline_with_lists_what_was_fetched_can_be_read_and_nothing_else(opened: Opener) -> None:
    apt = opened()
    apt.read(apt.record("hello"))
    offline = opened(offline=True)
    assert offline.read(offline.record("hello"))
    with pytest.raises(WorldFailed, match="offline nothing is fetched"):
        offline.read(offline.record("hello", "1.0-1"))


def test_offline_without_lists_is_an_error_that_says_what_to_do(opened: Opener) -> None:
    with pytest.raises(WorldFailed) as caught:
        opened(offline=True).record("hello")
    assert caught.value.hint == "go online once"


def test_a_source_that_cannot_be_reached_is_a_warning(archive: LocalArchive, opened: Opener) -> None:
    archive.sources(f"deb file://{archive.root}/nowhere test main\n", "broken.list")
    reporter = Remembering()
    assert opened(reporter=reporter).record("hello").version == "2.0-1"
    assert any("nowhere" in warning for warning in reporter.warnings)


def test_a_source_that_cannot_be_reached_is_not_waited_for_again_at_once(archive: LocalArchive, opened: Opener) -> None:
    archive.sources(f"deb file://{archive.root}/nowhere test main\n", "broken.list")
    reporters = [Remembering() for _ in range(3)]
    for reporter, later in zip(reporters, (0, 60, 3600), strict=True):
        opened(reporter=reporter, now=NOW + later).record("hello")
    assert [len(reporter.steps) for reporter in reporters] == [1, 0, 1]


def test_lists_that_a_program_begun_later_has_just_fetched_are_not_fetched_again(opened: Opener) -> None:
    opened(now=NOW + 5).ensure_lists()
    for now, expected in ((NOW, 0), (NOW - 3600, 1)):
        reporter = Remembering()
        opened(now=now, reporter=reporter).ensure_lists()
        assert len(reporter.steps) == expected


def test_several_programs_at_once_share_the_lists(archive: LocalArchive, tmp_path: Path) -> None:
    def work(number: int) -> tuple[str, int]:
        reporter = Remembering()
        apt = take(archive, tmp_path, reporter)
        return apt.record("hello" if number % 2 else "linux-10-cloud").version, len(reporter.steps)

    with ThreadPoolExecutor(6) as pool:
        done = list(pool.map(work, range(6)))
    assert {version for version, _ in done} == {"2.0-1", "5.10-1"}
    assert sum(steps for _, steps in done) == 1


def test_with_no_source_at_all_it_says_so(archive: LocalArchive, tmp_path: Path) -> None:
    (archive.root / "etc/sources.list.d/test.list").unlink()
    with pytest.raises(WorldFailed, match="the host has no sources"):
        take(archive, tmp_path)


def test_lists_are_brought_up_to_date_once_and_again_when_they_are_old(opened: Opener) -> None:
    first, second, third = Remembering(), Remembering(), Remembering()
    opened(reporter=first).record("hello")
    opened(reporter=second, now=NOW + FRESH_SECONDS - 1).record("hello")
    opened(reporter=third, now=NOW + FRESH_SECONDS + 1).record("hello")
    assert [len(one.steps) for one in (first, second, third)] == [1, 0, 1]


def test_lists_are_brought_up_to_date_when_something_is_missing_but_only_once(opened: Opener) -> None:
    opened().record("hello")
    reporter = Remembering()
    apt = opened(reporter=reporter)
    for _ in range(2):
        with pytest.raises(NoSolution):
            apt.record("helo")
    assert len(reporter.steps) == 1


def test_nothing_of_the_hosts_hooks_runs(archive: LocalArchive, opened: Opener, tmp_path: Path) -> None:
    hooks = 'APT::Update::Pre-Invoke { "touch HOOK"; };\nAPT::Update::Post-Invoke-Success { "touch HOOK"; };\n'
    with archive.apt_config.open("a") as stream:
        stream.write(hooks.replace("HOOK", str(tmp_path / "hook")))
    opened().record("hello")
    assert not (tmp_path / "hook").exists()


def test_an_architecture_that_debian_does_not_know_is_malformed(archive: LocalArchive, tmp_path: Path) -> None:
    with pytest.raises(
        Malformed, match="vax: no architecture of Debian is known by this name; expected one of aarch64"
    ):
        Apt.at(tmp_path, Arch("vax"), environ=archive.environ, now=time.time(), offline=True, reporter=Remembering())


def test_only_the_paragraph_that_asks_not_to_be_verified_is_left_out() -> None:
    text = "Types: deb\nURIs: a\n\nTypes: deb\nURIs: b\nTrusted: yes\n\n# Trusted: yes\nTypes: deb\nURIs: c\n"
    kept, left_out = verified_sources(text, "x.sources")
    assert ("URIs: a" in kept, "URIs: b" in kept, "URIs: c" in kept) == (True, False, True)
    assert left_out == ("Types: deb URIs: b Trusted: yes",)


@pytest.mark.parametrize("text", ["deb:", "deb:Hello", "deb:a=", "deb:a*=1", "deb:../x", "http://x", "deb:a;b"])
def test_a_source_that_means_nothing_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="got"):
        DebSource.parse(text)


def take(host: LocalArchive, tmp_path: Path, reporter: Remembering | None = None) -> Apt:
    """Open the archive and ask it for a package."""
    apt = Apt.at(
        tmp_path / "state",
        Arch("x86_64"),
        environ=host.environ,
        now=NOW,
        offline=False,
        reporter=reporter or Remembering(),
    )
    apt.record("hello")
    return apt


def test_apt_whose_lock_is_held_is_waited_for_and_the_error_says_what_is_the_matter(
    opened: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cosmos.debian.apt._LOCK_SECONDS", 0.1)
    apt = opened()
    with (apt.state.lists / "lock").open("wb") as held:
        fcntl.lockf(held, fcntl.LOCK_EX)
        with pytest.raises(WorldFailed, match="another cosmos is at work here") as caught:
            apt.record("hello")
    assert caught.value.hint is not None
    assert opened().record("hello").version == "2.0-1"


def test_our_own_lock_is_not_waited_for_without_end(opened: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = opened().state.folder
    monkeypatch.setattr("cosmos.debian.apt_state.LOCK_SECONDS", 0.1)
    with (folder / "lock").open("ab") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(WorldFailed, match="another cosmos is at work here"):
            opened()


def test_lists_are_not_fetched_onto_a_disk_that_has_no_room_for_them(
    opened: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _folder: SimpleNamespace(free=5 << 20))
    with pytest.raises(WorldFailed, match="5 MiB are free there, and the lists of packages need 200 MiB"):
        opened().record("hello")


@pytest.mark.parametrize("word", ["update", "download"])
def test_apt_that_is_stuck_is_ended(
    archive: LocalArchive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, word: str
) -> None:
    monkeypatch.setattr("cosmos.debian.apt._STALL_SECONDS", 0.4)
    script = f'#!/bin/sh\n[ "$2" = {word} ] && exec sleep 600\nexec {shutil.which("apt-get")} "$@"\n'
    stuck = tmp_path / "bin" / "apt-get"
    stuck.parent.mkdir()
    stuck.write_text(script)
    stuck.chmod(0o755)
    environ = {**archive.environ, "PATH": f"{stuck.parent}:/usr/sbin:/usr/bin:/sbin:/bin"}
    apt = Apt.at(tmp_path / "state", Arch("x86_64"), environ=environ, now=NOW, offline=False, reporter=Remembering())
    started = time.monotonic()
    with pytest.raises(WorldFailed, match="made no progress"):
        apt.read(apt.record("hello"))
    assert time.monotonic() - started < LONG_SECONDS


def test_a_version_that_is_not_there_is_said_with_those_that_are(opened: Opener) -> None:
    with pytest.raises(NoSolution, match=r"version 9\.9 was asked for; in the host's sources there is 1\.0-1, 2\.0-1"):
        opened().record("hello", "9.9")


@pytest.mark.parametrize("name", ["-o=Dir::Etc=/x", "Hello", "hello world", "hello=1", "../hello", ""])
def test_what_is_no_name_of_a_package_never_reaches_apt(
    opened: Opener, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    apt = opened()
    monkeypatch.setattr(Apt, "_asked", lambda *_words: pytest.fail("apt was asked"))
    with pytest.raises(Malformed, match="is not the name of a Debian package") as said:
        apt.record(name)
    assert said.value.hint == "a version goes after =: NAME=VERSION"


@pytest.mark.parametrize("version", ["1.0 -o x", "a:1", "1/2"])
def test_what_is_no_version_of_a_package_never_reaches_apt(
    opened: Opener, version: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    apt = opened()
    apt.ensure_lists()
    monkeypatch.setattr(Apt, "_asked", lambda *_words: pytest.fail("apt was asked"))
    with pytest.raises(Malformed, match=r"^hello: "):
        apt.record("hello", version)


@pytest.mark.parametrize("char", ['"', "\n", ";", "\\"])
def test_apt_is_given_no_folder_whose_name_could_be_a_setting(archive: LocalArchive, tmp_path: Path, char: str) -> None:
    folder = tmp_path / f"a{char}b"
    with pytest.raises(Malformed, match="apt cannot work in a folder with quotes, semicolons or line ends"):
        Apt.at(folder, Arch("x86_64"), environ=archive.environ, now=NOW, offline=True, reporter=Remembering())
    assert not folder.exists()
