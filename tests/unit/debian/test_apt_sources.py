"""Packages of a suite come from that suite, whichever Debian the host runs; from nobody but Debian's own archives."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import pytest

from cosmos.debian.apt import Apt
from cosmos.debian.apt_sources import SuiteSources, host_sources, suite_sources
from cosmos.debian.deb822 import paragraphs
from cosmos.errors import WorldFailed
from cosmos.model.names import Arch, Suite
from fakes.debs import LocalArchive, control_text, make_deb, make_local_archive
from fakes.reporters import Remembering

BOOKWORM = Suite("bookworm")
KEYRING = Path("/keys/debian.gpg")
DEBIAN_SOURCES = """\
Types: deb
# a comment
URIs: http://archive.example/debian http://mirror.example/debian
Suites: trixie trixie-updates
Components: main non-free-firmware
Signed-By: /usr/share/keyrings/debian-archive-keyring.pgp

Types: deb deb-src
URIs: http://security.example/debian-security
Suites: trixie-security
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
"""
DEBIAN_LIST = """\
# deb http://old.example/debian trixie main
deb http://archive.example/debian trixie main contrib
deb [arch=amd64 check-valid-until=no] http://mirror.example/debian trixie-updates main  # a comment
deb-src http://source.example/debian trixie main
deb http://security.example/debian-security trixie-security main
"""
OTHERS = """\
deb [signed-by=/usr/share/keyrings/vendor.gpg] https://vendor.example trixie main
deb https://channel.example trixie stable
deb https://tool.example tool-trixie main
"""


def made(text: str, name: str = "x.list", suite: Suite = BOOKWORM) -> SuiteSources:
    return suite_sources(host_sources(text, name), suite, KEYRING)


def asked(made_of: SuiteSources) -> list[tuple[str, str]]:
    """Return which archive is asked for which suites; all of it for `main`, and with Debian's own keys."""
    rows = list(paragraphs(made_of.text, "made"))
    assert {(row["types"], row["components"], row["signed-by"]) for row in rows} == {("deb", "main", str(KEYRING))}
    return [(row["uris"], row["suites"]) for row in rows]


@pytest.mark.parametrize(("text", "name"), [(DEBIAN_SOURCES, "debian.sources"), (DEBIAN_LIST, "sources.list")])
def test_the_host_s_own_archives_are_asked_for_the_suite_that_is_wanted(text: str, name: str) -> None:
    sources = made(text, name)
    assert asked(sources) == [
        ("http://archive.example/debian", "bookworm bookworm-updates"),
        ("http://mirror.example/debian", "bookworm bookworm-updates"),
        ("http://security.example/debian-security", "bookworm-security"),
    ]
    assert sources.has_security


def test_a_host_of_the_same_suite_asks_just_the_same() -> None:
    assert made(DEBIAN_LIST.replace("trixie", "bookworm")) == made(DEBIAN_LIST)
    assert made(DEBIAN_LIST.replace("trixie", "stable")) == made(DEBIAN_LIST)


def test_what_is_not_debian_s_is_not_asked() -> None:
    assert asked(made(DEBIAN_LIST + OTHERS)) == asked(made(DEBIAN_LIST))


def test_an_archive_of_the_past_stays_one() -> None:
    rows = {row["uris"]: row for row in paragraphs(made(DEBIAN_LIST).text, "made")}
    assert rows["http://mirror.example/debian"]["check-valid-until"] == "no"
    assert "check-valid-until" not in rows["http://archive.example/debian"]


def test_a_host_without_security_updates_says_so() -> None:
    assert not made("deb http://archive.example/debian trixie main\n").has_security


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("deb cdrom:[Debian 13]/ trixie main\n", "sources.list"),
        (OTHERS, "sources.list"),
        (DEBIAN_SOURCES.replace("Types: deb\n", "Types: deb\nEnabled: no\n", 1), "debian.sources"),
        ("Types: deb\n : nonsense\n", "broken.sources"),
    ],
)
def test_a_host_that_takes_nothing_from_debian_is_told_the_way_out(text: str, name: str) -> None:
    with pytest.raises(WorldFailed, match="Debian bookworm: the host's sources name no archive of Debian") as caught:
        made(text, name)
    assert "name a file of sources: --apt-sources FILE" in str(caught.value.hint)


def test_no_line_of_the_host_s_can_add_one_of_its_own() -> None:
    sneaky = DEBIAN_SOURCES.replace("http://mirror.example/debian", 'http://mirror.example/"debian')
    assert "mirror" not in made(sneaky, "x.sources").text
    folded = (
        "Types: deb\nURIs: http://a.example/debian\nSuites: trixie\nComponents: main\nCheck-Date: no\n Trusted: yes\n"
    )
    assert "rusted" not in made(folded, "x.sources").text


# --- with apt itself, and an archive of the suite `test` on this disk -------------------------------------------------


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LocalArchive:
    """A signed archive that has `hello` in the suite test, and a host that uses it for another suite."""
    for program in ("apt-get", "gpg"):
        if shutil.which(program) is None:
            pytest.fail(f"{program} is needed: apt-get install apt gpg")
    deb = make_deb(control_text("hello", "2.0-1"), {"hello.txt": b"hello"}, suffix="")
    host = make_local_archive(tmp_path / "host", {"hello_2.0-1_amd64.deb": deb}, signed=True)
    monkeypatch.setattr("cosmos.debian.apt_sources.KEYRINGS", (host.root / "etc/key.asc",))
    host.sources(f"deb file://{host.root}/archive another main\n")
    return host


def opened(
    archive: LocalArchive, tmp_path: Path, suite: str, named: Path | None = None, reporter: Remembering | None = None
) -> Apt:
    return Apt.at(
        tmp_path / "state",
        Arch("x86_64"),
        suite=Suite(suite),
        named=named,
        environ=archive.environ,
        now=time.time(),
        offline=False,
        reporter=reporter or Remembering(),
    )


def test_a_package_is_taken_from_the_suite_though_the_host_uses_another(archive: LocalArchive, tmp_path: Path) -> None:
    reporter = Remembering()
    apt = opened(archive, tmp_path, "test", reporter=reporter)
    record = apt.record("hello")
    assert (record.version, len(apt.read(record))) == ("2.0-1", record.size_bytes)
    assert reporter.steps == ["apt: fetch the lists of packages of Debian test"]
    assert "the host takes no security updates: packages of test come without test-security" in reporter.warnings[0]


def test_a_suite_that_no_archive_has_is_told_with_the_way_out(archive: LocalArchive, tmp_path: Path) -> None:
    with pytest.raises(WorldFailed, match="Debian potato: none of the archives has a list") as caught:
        opened(archive, tmp_path, "potato").record("hello")
    assert "deb [signed-by=KEYRING] ARCHIVE potato main" in str(caught.value.hint)


def test_the_file_that_the_operator_names_is_used_instead_of_the_host_s_sources(
    archive: LocalArchive, tmp_path: Path
) -> None:
    named = tmp_path / "my sources"
    named.write_text(f"deb [signed-by={archive.root}/etc/key.asc] file://{archive.root}/archive test main\n")
    archive.sources("deb [signed-by=/keys/vendor.gpg] file:///nowhere another main\n")
    with pytest.raises(WorldFailed, match="name no archive of Debian"):
        opened(archive, tmp_path, "test")
    assert opened(archive, tmp_path, "test", named).record("hello").version == "2.0-1"


def test_a_named_file_that_has_another_suite_is_not_taken_for_the_one_that_is_wanted(
    archive: LocalArchive, tmp_path: Path
) -> None:
    named = tmp_path / "my.list"
    named.write_text(f"deb [signed-by={archive.root}/etc/key.asc] file://{archive.root}/archive test main\n")
    with pytest.raises(WorldFailed, match="Debian bookworm: none of the archives"):
        opened(archive, tmp_path, "bookworm", named).record("hello")


@pytest.mark.parametrize("name", ["my.list", "my.sources", "my sources"])
def test_a_named_file_that_apt_cannot_read_is_told_by_the_name_that_it_was_given(
    archive: LocalArchive, tmp_path: Path, name: str
) -> None:
    """apt reads a copy of the file in its private folder, which nobody else knows."""
    (tmp_path / name).write_text("garbage\n")
    with pytest.raises(WorldFailed, match="none of the archives has a list") as caught:
        opened(archive, tmp_path, "test", tmp_path / name).record("hello")
    assert f" {tmp_path / name} (" in str(caught.value)
    assert "sources.list.d" not in str(caught.value)


def test_a_named_file_that_cannot_be_read_any_more_is_told_by_its_name_in_warnings_and_errors(
    archive: LocalArchive, tmp_path: Path
) -> None:
    """The lists of before are there, so that apt's words are a warning; apt-cache then says it again."""
    named, reporter = tmp_path / "my sources", Remembering()
    named.write_text(f"deb [signed-by={archive.root}/etc/key.asc] file://{archive.root}/archive test main\n")
    opened(archive, tmp_path, "test", named).record("hello")
    named.write_text("garbage\n")
    with pytest.raises(WorldFailed, match="The list of sources could not be read") as caught:
        opened(archive, tmp_path, "test", named, reporter).names_beginning("hello")
    assert f"list {named} (" in "\n".join(reporter.warnings)
    assert f"list {named} (" in str(caught.value)
    assert "sources.list.d" not in "\n".join([*reporter.warnings, str(caught.value)])


def test_a_host_without_debian_s_keys_is_told(
    archive: LocalArchive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cosmos.debian.apt_sources.KEYRINGS", (tmp_path / "none.gpg",))
    with pytest.raises(WorldFailed, match="Debian test: the host has no keys of Debian's archives"):
        opened(archive, tmp_path, "test")


def test_other_sources_than_before_are_asked_at_once(archive: LocalArchive, tmp_path: Path) -> None:
    opened(archive, tmp_path, "test").record("hello")
    deb = make_deb(control_text("hello", "3.0-1"), {"hello.txt": b"hello"}, suffix="")
    newer = make_local_archive(tmp_path / "newer", {"hello_3.0-1_amd64.deb": deb}, signed=True)
    named = tmp_path / "my.list"
    named.write_text(f"deb [signed-by={newer.root}/etc/key.asc] file://{newer.root}/archive test main\n")
    assert opened(archive, tmp_path, "test", named).record("hello").version == "3.0-1"
