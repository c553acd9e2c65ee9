"""What people meet when something is wrong: the message says what, and its hint, run as it is printed, leads on."""

from __future__ import annotations

import errno
import io
import os
import re
import shlex
from itertools import count
from pathlib import Path

import pytest

from cosmos.cli.live_line import LiveLine
from cosmos.cli.terminal import Terminal
from cosmos.digest import Digest
from cosmos.durable import write_durably
from cosmos.errors import WorldFailed, likely_cause
from cosmos.model.names import Arch
from fakes.galaxies import StarSpec, make_galaxy, make_signers
from fakes.images import ImageFixture, make_image, write_image
from fakes.programs import Cosmos, Outcome

TOOLS = (
    StarSpec("zlib", "1.3.1", {"usr/lib/libz.so.1": b"z"}),
    StarSpec("tool", "1.0.0", {"usr/bin/tool": b"one"}),
    StarSpec("tool", "1.1.0", {"usr/bin/tool": b"two", "etc/tool/conf": b"x"}, {"zlib": "^1"}),
    StarSpec("web-a", files={"usr/bin/a": b"a"}, provides={"web": ""}),
    StarSpec("web-b", files={"usr/bin/b": b"b"}, provides={"web": ""}),
    StarSpec("alone", files={"usr/bin/alone": b"x"}, conflicts={"web": "*"}),
    StarSpec("arm", files={"usr/bin/arm": b"x"}, arch="aarch64"),
)


def hint(outcome: Outcome) -> str:
    found = re.search(r"^(?:cosmos|stellar): hint: (.*)", outcome.err, re.MULTILINE | re.DOTALL)
    assert found, outcome.err
    return found[1].strip()


def run(cosmos: Cosmos, command: str) -> Outcome:
    """Run a command that a hint printed, with the words that stand for something replaced by the test."""
    words = shlex.split(command)
    assert words[0] == "cosmos"
    return cosmos(*words[1:])


@pytest.fixture
def system(tmp_path: Path, cosmos: Cosmos) -> Path:
    """A system that takes the stars above from the galaxy `core`."""
    root = tmp_path / "system"
    root.mkdir()
    galaxy = make_galaxy(tmp_path / "galaxy", "core", TOOLS, make_signers())
    cosmos("init", "--root", root, "--arch", "x86_64").ok()
    trust = make_signers().write_trust(tmp_path / "trust.toml")
    cosmos("trust", "init", trust, "--sha256", Digest.of(trust.read_bytes()), "--root", root).ok()
    cosmos("add-galaxy", "core", galaxy.path, "--root", root).ok()
    return root


@pytest.fixture
def image(tmp_path: Path) -> ImageFixture:
    return make_image(tmp_path / "site", TOOLS, {"tool": "*"})


# A folder, or a whole machine, that is no system.


@pytest.mark.parametrize("command", ["status", "sync", "install x", "list-galaxies", "freeze", "verify"])
def test_a_tree_that_is_no_system_is_made_one_by_the_hint(cosmos: Cosmos, tmp_path: Path, command: str) -> None:
    words = command.split()
    failed = cosmos(*words, "--root", tmp_path).fails(2)
    assert f"{tmp_path}: is no cosmos system" in failed.err
    assert hint(failed).endswith(f"cosmos init --root {tmp_path}")
    run(cosmos, hint(failed).rpartition(": ")[2]).ok()
    if words[0] in ("status", "sync", "list-galaxies", "verify"):
        cosmos(*words, "--root", tmp_path).ok()


def test_a_workstation_is_not_advised_to_become_a_system(cosmos: Cosmos) -> None:
    if Path("/var/lib/cosmos/universe.toml").exists():
        pytest.skip("this machine is a cosmos system")
    for command, instead in (
        ("freeze", "cosmos freeze IMAGE"),
        ("verify", "cosmos verify RELEASE"),
        ("status", "init"),
    ):
        failed = cosmos(command).fails(2)
        assert "--root /" not in failed.err
        assert instead in hint(failed)
        assert "--root FOLDER" in hint(failed)


def test_hints_on_a_system_name_the_system(cosmos: Cosmos, system: Path) -> None:
    option = f" --root {system}"
    for words in (("sync", "away"), ("install", "nowhere"), ("install", "tool@9"), ("show", "nowhere")):
        assert option in hint(cosmos(*words, "--root", system).fails(3))


# Versions and conflicts.


def test_every_version_that_a_galaxy_has_is_listed(cosmos: Cosmos, system: Path, image: ImageFixture) -> None:
    assert "galaxy core has only 1.1.0, 1.0.0" in cosmos("install", "tool@9", "--root", system).fails(3).err
    write_image(image, {"tool": "^9"})
    assert "galaxy core has only 1.1.0, 1.0.0" in cosmos("freeze", image.folder, "--home", image.home).fails(3).err


def test_an_installed_star_in_the_way_is_told_as_one(cosmos: Cosmos, system: Path) -> None:
    """The galaxy has the wished version, so it must not be said that the galaxy has only another."""
    cosmos("install", "tool@=1.0.0", "--root", system).ok()
    failed = cosmos("install", "tool@1.1.0", "--root", system).fails(3)
    assert "user wants tool 1.1.0, but tool 1.0.0 is installed" in failed.err
    assert "has only" not in failed.err
    assert "changes no installed star" in hint(failed)
    assert "1.1.0, 1.0.0" in cosmos("show", "tool", "--root", system).ok().out


def test_a_misspelt_star_of_an_image_is_told_with_what_was_meant(cosmos: Cosmos, image: ImageFixture) -> None:
    write_image(image, {"tol": "*"})
    assert hint(cosmos("freeze", image.folder, "--home", image.home).fails(3)) == "did you mean tool?"


def test_a_conflict_names_both_stars(cosmos: Cosmos, system: Path, image: ImageFixture) -> None:
    cosmos("install", "web-a", "--root", system).ok()
    failed = cosmos("install", "alone", "--root", system).fails(3)
    assert "alone 1.0.0 conflicts with web *, which web-a 1.0.0 provides" in failed.err
    write_image(image, {"alone": "*", "web": "*"})
    failed = cosmos("freeze", image.folder, "--home", image.home).fails(3)
    assert "alone 1.0.0 conflicts with web *, which web-a 1.0.0 and web-b 1.0.0 provide" in failed.err


# Commands on images.


def test_an_image_after_upgrade_is_not_taken_for_a_star(cosmos: Cosmos, image: ImageFixture) -> None:
    cosmos("freeze", image.folder, "--home", image.home).ok()
    failed = cosmos("freeze", "--home", image.home, "--upgrade", image.folder).fails(2)
    assert f"took {image.folder} for the name of a star" in failed.err
    run(cosmos, f"{hint(failed)} --home {image.home}").ok()


def test_a_misspelt_upgrade_is_guessed(cosmos: Cosmos, image: ImageFixture) -> None:
    cosmos("freeze", image.folder, "--home", image.home).ok()
    failed = cosmos("freeze", image.folder, "--home", image.home, "--upgrade", "zlibb").fails(3)
    assert hint(failed) == "did you mean --upgrade zlib?"


def test_a_galaxy_that_is_not_there_is_told_with_the_line_that_names_it(
    cosmos: Cosmos, image: ImageFixture, system: Path
) -> None:
    cosmos("freeze", image.folder, "--home", image.home).ok()
    image.galaxy.path.rename(image.galaxy.path.with_name("elsewhere"))
    for command in ("freeze", "build"):
        failed = cosmos(command, image.folder, "--home", image.home).fails(5)
        assert f"its address is galaxies.core in {image.folder}/image.toml" in hint(failed)
    (system.parent / "galaxy").rename(system.parent / "elsewhere")
    failed = cosmos("install", "tool", "--root", system).fails(5)
    assert "its address is galaxies.core in /etc/cosmos/config.toml" in hint(failed)


def test_a_place_for_the_release_that_cannot_be_made_is_told_before_any_work(
    cosmos: Cosmos, image: ImageFixture, tmp_path: Path
) -> None:
    cosmos("freeze", image.folder, "--home", image.home).ok()
    (tmp_path / "file").write_text("x")
    for place in (tmp_path / "file/out", Path("/proc/nothing/out")):
        for option in ("--out", "--keep-root"):
            failed = cosmos("build", image.folder, "--home", image.home, option, place).fails(5)
            assert str(place) in failed.err
            assert "fetch and verify" not in failed.err
    assert list(image.folder.glob(".*")) == []


def test_a_signed_release_of_unsigned_stars_is_refused_before_any_work(cosmos: Cosmos, tmp_path: Path) -> None:
    image = make_image(tmp_path)
    star = StarSpec("solo", "1.0.0", {"usr/a": b"a"}, signed=False)
    make_galaxy(image.galaxy.path, "core", [star], image.signers, signed=False)
    write_image(image, {"solo": "*"})
    text = (image.folder / "image.toml").read_text()
    text = text.replace('core = "../galaxy"', 'core = { url = "../galaxy", allow-unsigned = true }')
    (image.folder / "image.toml").write_text(text)
    cosmos("freeze", image.folder, "--home", image.home).ok()
    failed = cosmos("build", image.folder, "--home", image.home, "--key", image.secret_key).fails(4)
    assert "nobody signed solo" in failed.err
    assert "fetch and verify" not in failed.err


def test_a_release_that_nobody_signed_says_so(cosmos: Cosmos, image: ImageFixture) -> None:
    cosmos("freeze", image.folder, "--home", image.home).ok()
    assert "the release is not signed" in cosmos("build", image.folder, "--home", image.home).ok().err


def test_names_of_the_policy_that_match_nothing_are_told(cosmos: Cosmos, image: ImageFixture) -> None:
    tables = """
[policy]
setuid = ["tol"]
run = ["zlib"]
owners = { "etc/nothing" = "toool", "usr/bin/tool" = "tool" }
[[output]]
format = "cpio.zst"
exclude = ["nowhere/**", "usr/bin/*"]
"""
    write_image(image, {"tool": "*"}, tables=tables)
    cosmos("freeze", image.folder, "--home", image.home).ok()
    told = cosmos("build", image.folder, "--home", image.home).ok().err
    assert "policy.setuid names tol, but the lock has no such star; did you mean tool?" in told
    assert 'policy.owners."etc/nothing" names toool, but the lock has no such star; did you mean tool?' in told
    assert "policy.owners names etc/nothing, but no star brings it" in told
    assert "output[0].exclude: nowhere/** matches no path of the image" in told
    assert told.count("image.toml: ") == 4


def test_a_finish_script_without_install_is_told_by_its_own_name(cosmos: Cosmos, image: ImageFixture) -> None:
    write_image(image, {"tool": "*"}, more='finish = "last.lua"')
    (image.folder / "last.lua").write_text('write("/etc/x", "y")\n')
    cosmos("freeze", image.folder, "--home", image.home).ok()
    failed = cosmos("build", image.folder, "--home", image.home).fails(6)
    assert hint(failed) == "put its lines into last.lua as: function install() … end"
    (image.folder / "last.lua").write_text('function install() write("/etc/x", "y") end\n')
    cosmos("build", image.folder, "--home", image.home).ok()


def test_a_path_that_is_not_utf_8_is_looked_for(cosmos: Cosmos, image: ImageFixture) -> None:
    cosmos("freeze", image.folder, "--home", image.home).ok()
    cosmos("build", image.folder, "--home", image.home).ok()
    assert cosmos("ls", image.folder, os.fsdecode(b"\xff")).ok().out == ""
    assert "has no /\\xff" in cosmos("cat", image.folder, os.fsdecode(b"\xff")).fails(2).err


@pytest.mark.parametrize(("written", "meant"), [("arm64", "aarch64"), ("amd64", "x86_64")])
def test_another_world_s_name_of_a_machine_is_told_in_gnu_s(
    cosmos: Cosmos, image: ImageFixture, tmp_path: Path, written: str, meant: str
) -> None:
    file = image.folder / "image.toml"
    file.write_text(file.read_text().replace("x86_64", written))
    failed = cosmos("freeze", image.folder, "--home", image.home).fails(2)
    assert f"image.toml: arch: want GNU's name of the machine, {meant}, got '{written}'" in failed.err
    failed = cosmos("init", "--root", tmp_path, "--arch", written).fails(2)
    assert f"--arch: want GNU's name of the machine, {meant}" in failed.err
    with pytest.raises(ValueError, match=meant):
        Arch.written(written)
    assert Arch.parse(written) == written  # in documents that are read, nothing is refused anew


def test_a_release_that_nobody_signed_is_not_to_be_verified_with_another_key(
    cosmos: Cosmos, image: ImageFixture
) -> None:
    cosmos("freeze", image.folder, "--home", image.home).ok()
    cosmos("build", image.folder, "--home", image.home).ok()
    failed = cosmos("verify", image.out, "--key", image.public_key).fails(4)
    assert "cosmos build IMAGE --key RELEASE.key" in hint(failed)
    cosmos("build", image.folder, "--home", image.home, "--key", image.secret_key).ok()
    cosmos("verify", image.out, "--key", image.public_key).ok()


def test_a_misspelt_star_is_guessed(cosmos: Cosmos, system: Path) -> None:
    assert hint(cosmos("show", "tol", "--root", system).fails(3)) == "did you mean tool?"
    assert hint(cosmos("install", "tol", "--root", system).fails(3)) == "did you mean tool?"


# Counts.


def test_the_files_of_a_star_are_counted_alike_everywhere(cosmos: Cosmos, system: Path) -> None:
    installed = cosmos("install", "tool", "--root", system).ok().out
    assert "installed tool 1.1.0 from core: 2 files" in installed
    assert "installed zlib 1.3.1 from core: 1 file," in installed
    assert re.search(r"^files +2$", cosmos("show", "tool", "--root", system).ok().out, re.MULTILINE)
    assert "2 with 3 files, " in cosmos("status", "--root", system).ok().out
    assert cosmos("status", "--root", system, "--json").json()["files"] == 3
    assert "all 3 files and 4 folders of 2 stars" in cosmos("verify", "--root", system).ok().out
    assert cosmos("verify", "--root", system, "--json").json()["files"] == 3


def test_the_files_of_a_universe_of_upstream_are_counted(cosmos: Cosmos, system: Path) -> None:
    (system / "var/lib/cosmos/universe.toml").write_text(
        '[system]\narch = "x86_64"\nversion = "1"\n'
        '[installed.hello]\nversion = "1.0.0"\nfiles = ["/usr/bin/hello", "/usr/bin/hi"]\n'
    )
    (system / "usr/bin").mkdir(parents=True)
    (system / "usr/bin/hello").write_text("hello")
    (system / "usr/bin/hi").symlink_to("hello")
    assert "1 with 2 files, 5 bytes" in cosmos("status", "--root", system).ok().out


# The likely cause.


@pytest.mark.parametrize("number", ["EPERM", "EACCES", "EROFS", "ENOSPC", "EMFILE", "EIO"])
def test_a_system_call_that_fails_is_told_with_its_likely_cause(number: str) -> None:
    assert likely_cause(OSError(getattr(errno, number), "x"))
    assert likely_cause(OSError(errno.EXDEV, "x")) is None


def test_a_lock_that_cannot_be_written_says_what_to_do(image: ImageFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr("tempfile.mkstemp", refuse)
    monkeypatch.setattr("os.open", refuse)
    with pytest.raises(WorldFailed, match="cannot be written: operation not permitted") as caught:
        write_durably(image.folder / "x", b"x")
    assert "immutable" in str(caught.value.hint)


# Terminals.


class FakeTerminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("columns", [20, 40, 80, 200])
def test_no_line_that_is_drawn_over_is_wider_than_the_terminal(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    stream = FakeTerminal()
    seconds = count()
    terminal = Terminal("cosmos", stream, environ={}, live=LiveLine(stream, clock=lambda: next(seconds)))
    for done in (0, 5_000, 10_000):
        terminal.progress("linux-firmware-20250101-x86_64", done, 10_000)
    terminal.item("a" * 300)
    drawn = [line.removeprefix("\r") for line in stream.getvalue().split("\x1b[K") if line]
    assert len(drawn) >= 2
    assert all(len(line) < columns for line in drawn)
    assert any("linux" in line for line in drawn) or columns == 20


# Digests and archives in a recipe.


def recipe(folder: Path, **lines: str) -> Path:
    folder.mkdir(exist_ok=True)
    rows = {"name": '"star"', "version": '"1.0.0"', "license": '"MIT"', "description": '"x"', **lines}
    (folder / "star.toml").write_text("".join(f"{key} = {value}\n" for key, value in rows.items()))
    return folder


def test_a_digest_in_capitals_is_told_as_it_is_to_be_written(stellar: Cosmos, cosmos: Cosmos, tmp_path: Path) -> None:
    digest = Digest.of(b"x").hex
    star = recipe(tmp_path / "star", source='"tar:x.tar"', sha256=f'"{digest.upper()}"')
    said = stellar("validate", star)
    assert said.code == 2
    assert f"sha256: want 64 lower-case hex digits: write {digest}" in said.out
    recipe(tmp_path / "star", source='"tar:x.tar"', sha256=f'"sha256:{digest}"')
    assert f"sha256: want 64 lower-case hex digits: write {digest}" in stellar("validate", star).out
    recipe(tmp_path / "star", source='"tar:x.tar"', sha256=f'"{digest}"')
    stellar("validate", star).ok()


@pytest.mark.parametrize(
    "address", ["http://h/%ff.tar", "http://h//x.tar", "http://h/a//b/x.tar", "http://h/a%2fb.tar"]
)
def test_an_address_that_would_be_asked_for_by_another_name_is_refused(
    stellar: Cosmos, tmp_path: Path, address: str
) -> None:
    star = recipe(tmp_path / "star", source=f'"tar:{address}"', sha256=f'"{"0" * 64}"')
    said = stellar("validate", star)
    assert said.code == 2
    assert "source[0]: want an " in said.out
    assert address in said.out


def test_an_address_with_other_signs_is_taken(stellar: Cosmos, tmp_path: Path) -> None:
    for address in ("http://h/caf%C3%A9/caf%C3%A9-1.tar", "http://h/a+b/c_(1)~2.tar.gz", "https://h:8443/x%20y.tgz"):
        star = recipe(tmp_path / "star", source=f'"tar:{address}"', sha256=f'"{"0" * 64}"')
        stellar("validate", star).ok()


def test_the_name_of_an_argument_keeps_its_capitals(cosmos: Cosmos, system: Path) -> None:
    failed = cosmos("add-galaxy", "x y", "galaxy", "--root", system).fails(2)
    assert "cosmos: error: NAME: want " in failed.err


@pytest.mark.parametrize(
    "data", [b"", b"# a comment\n", b"one\ntwo\n", b"\xff", b"x" * 100_000, b"cosmos-key-v1 ed25519 a\n", b"nonsense\n"]
)
def test_a_file_that_is_no_public_key_is_refused_with_the_way_out(tmp_path: Path, cosmos: Cosmos, data: bytes) -> None:
    file = tmp_path / "key.pub"
    file.write_bytes(data)
    told = cosmos("verify", tmp_path, "--key", file).fails(2).err
    assert f"error: {file}: " in told
    assert "hint: name a file that cosmos key new wrote (NAME.pub), one for each key" in told


def test_a_file_without_an_address_of_a_mirror_is_refused_with_the_way_out(tmp_path: Path, cosmos: Cosmos) -> None:
    root, file = tmp_path / "root", tmp_path / "mirrors"
    root.mkdir()
    cosmos("init", "--root", root).ok()
    file.write_text("# none yet\n")
    told = cosmos("sync", "--from", file, "--root", root).fails(2).err
    assert f"error: {file}: holds no address" in told
    assert "hint: write one address in each line, such as " in told
