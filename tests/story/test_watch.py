"""`cosmos build --watch`: one line a build, with what has changed, until Ctrl-C."""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fakes.galaxies import StarSpec, write_index, write_spec
from fakes.images import APP, BASE, META, ImageFixture, make_image
from fakes.programs import REPO, Cosmos

DEADLINE_SECONDS = 120  # of a line that has to come; nobody waits for it as long
START = "from cosmos.cli.cosmos.main import main; import sys; sys.argv[0] = 'cosmos'; main()"


# Background jobs of a shell ignore Ctrl-C, and so does what they start: these tests may be run by one.
WITH_CTRL_C = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "


class Watching:
    """A `cosmos build --watch` that is running."""

    def __init__(self, *words: object) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", WITH_CTRL_C + START, *map(str, words)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONPATH": str(REPO / "builder")},
        )
        self._left = b""

    def line(self) -> str:
        """Return the next line that it says, of results and errors alike."""
        assert self.process.stdout is not None
        end = time.monotonic() + DEADLINE_SECONDS
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ)
            while b"\n" not in self._left:
                assert selector.select(end - time.monotonic()), f"no line in time; {self._left!r}"
                piece = os.read(self.process.stdout.fileno(), 4096)
                assert piece, f"it has ended; {self._left!r}"
                self._left += piece
        line, _, self._left = self._left.partition(b"\n")
        return line.decode()

    @contextmanager
    def asleep(self) -> Iterator[None]:
        """Let it see what is changed in the block at once, and no half of it."""
        self.process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self.process.pid, os.WSTOPPED | os.WNOWAIT)
        try:
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)

    def stop(self) -> tuple[int, str]:
        """Press Ctrl-C, and return the exit code and what else it said."""
        self.process.send_signal(signal.SIGINT)
        out, _ = self.process.communicate(timeout=DEADLINE_SECONDS)
        return self.process.returncode, (self._left + out).decode()


@pytest.fixture
def image(tmp_path: Path, cosmos: Cosmos) -> ImageFixture:
    made = make_image(tmp_path)
    cosmos("freeze", made.folder, "--home", made.home).ok()
    return made


@pytest.fixture
def watching(image: ImageFixture) -> Iterator[Watching]:
    begun = Watching("build", image.folder, "--home", image.home, "--watch")
    yield begun
    begun.process.kill()
    begun.process.wait()


def edit(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def test_each_change_is_built_once_and_named_in_its_line(image: ImageFixture, watching: Watching) -> None:
    first = watching.line()
    assert first.startswith(f"built {image.out} in ") and first.endswith(" s: the first build")
    template = image.folder / "template" / "root" / "etc" / "motd"
    template.parent.mkdir(parents=True, exist_ok=True)
    template.write_text("hello\n")
    said = watching.line()
    assert said.startswith(f"built {image.out} in ") and str(template) in said and said.endswith(" changed")
    assert b"motd" in (image.out / "manifest.txt").read_bytes()
    template.unlink()
    assert str(template) in watching.line()
    assert b"motd" not in (image.out / "manifest.txt").read_bytes()


def test_a_change_behind_a_template_s_linked_root_is_built(image: ImageFixture) -> None:
    root, shared = image.folder / "template" / "root", image.folder.parent / "shared"
    root.rename(shared)
    root.symlink_to("../../shared")
    watching = Watching("build", image.folder, "--home", image.home, "--watch")
    try:
        watching.line()
        (shared / "etc" / "motd").write_text("hello\n")
        assert watching.line().startswith(f"built {image.out} in ")
        assert b"motd" in (image.out / "manifest.txt").read_bytes()
    finally:
        watching.process.kill()
        watching.process.wait()


def test_a_changed_file_of_values_and_a_definition_of_another_name_are_built(image: ImageFixture) -> None:
    (image.folder / "template/template.toml").write_text(
        'merged-usr = true\n[variables.hostname]\ntype = "string"\nmeaning = "x"\ndefault = "a"\n'
    )
    (image.folder / "template/root/etc").mkdir(parents=True, exist_ok=True)
    (image.folder / "template/root/etc/hostname.j2").write_text("{{ hostname }}\n")
    values, other = image.folder.parent / "values.toml", image.folder / "other.toml"
    values.write_text('hostname = "b"\n')
    other.write_bytes((image.folder / "image.toml").read_bytes())
    begun = Watching("build", other, "--home", image.home, "--watch", "--vars", values)
    try:
        first = begun.line()
        assert first.startswith("built ") and first.endswith(": the first build"), first
        was = (image.out / "manifest.txt").read_bytes()
        values.write_text('hostname = "another"\n')
        said = begun.line()
        assert said.startswith("built ") and said.endswith(f"{values} changed"), said
        assert (image.out / "manifest.txt").read_bytes() != was
        edit(other, 'version = "1.0.0"', 'version = "1.0.1"')
        said = begun.line()
        assert said.endswith(f"{other} changed"), said
    finally:
        begun.process.kill()
        begun.process.wait()


def test_a_failed_build_says_its_error_and_the_next_change_is_built(image: ImageFixture, watching: Watching) -> None:
    watching.line()
    file = image.folder / "image.toml"
    good = file.read_text()
    file.write_text("name =\n")
    assert watching.line() == f"failed: {file} changed"
    assert watching.line().startswith(f"cosmos: error: {file}: ")
    file.write_text(good)
    said = watching.line()
    while not said.startswith(("built", "unchanged")):  # the hint of the error
        said = watching.line()
    assert said.startswith(f"unchanged {image.out} in ") and said.endswith(f": {file} changed")


def test_a_stale_lock_is_an_error_until_somebody_freezes(
    image: ImageFixture, watching: Watching, cosmos: Cosmos
) -> None:
    watching.line()
    edit(image.folder / "image.toml", "[stars]", '[stars]\nbase = "*"')
    said = [watching.line() for _ in range(2)]
    assert said[0].startswith("failed: ") and "error: " in said[1]
    cosmos("freeze", image.folder, "--home", image.home).ok()
    while not said[-1].startswith("built "):
        said.append(watching.line())
    assert said[-1].endswith(f"{image.folder / 'universe.lock.toml'} changed")


def test_a_local_galaxy_that_publishes_is_built_against_and_a_damaged_one_is_named(
    image: ImageFixture, watching: Watching
) -> None:
    watching.line()
    with watching.asleep():
        published = [write_spec(image.galaxy, spec) for spec in (BASE, APP, META)]
        write_index(image.galaxy, [*published, write_spec(image.galaxy, StarSpec("more"))], seq=2)
    said = watching.line()
    assert said.startswith("unchanged ") and str(image.galaxy.index) in said
    archive = image.galaxy.archive("base-1.2.0")
    data = archive.read_bytes()
    archive.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    assert watching.line() == f"failed: {archive} changed"
    assert "base" in watching.line()


def test_ctrl_c_ends_it_with_130(image: ImageFixture, watching: Watching) -> None:
    watching.line()
    code, said = watching.stop()
    assert (code, said.strip()) == (130, "cosmos: error: interrupted")
    assert [path.name for path in image.folder.iterdir() if path.name.startswith(".out-")] == []


def test_a_star_is_tried_again_whenever_it_is_saved(image: ImageFixture, tmp_path: Path) -> None:
    """`cosmos dev --watch`."""
    star = tmp_path / "app-source"
    star.mkdir()
    (star / "star.toml").write_text('name = "app"\nversion = "2.0.0"\ninstall_script = "install.lua"\n')
    script = star / "install.lua"
    script.write_text('function install() write("/etc/app", "one") end\n')
    before = image.galaxy.index.read_bytes()
    watching = Watching("dev", star, image.folder, "--home", image.home, "--watch")
    try:
        first = watching.line()
        assert first.startswith(f"built {image.home / 'dev' / 'small'} with app-2.0.0 in "), first
        script.write_text('function install() write("/etc/app", nothing()) end\n')
        assert watching.line() == f"failed: {star}/install.lua changed"
        assert "install.lua:1" in watching.line()
        script.write_text('function install() write("/etc/other", "two") end\n')
        said = watching.line()
        while not said.startswith("built "):
            said = watching.line()
        assert said.endswith(f"{star}/install.lua changed")
        assert watching.stop()[0] == 130
    finally:
        watching.process.kill()
        watching.process.wait()
    assert b"etc/other" in (image.home / "dev" / "small" / "manifest.txt").read_bytes()
    assert image.galaxy.index.read_bytes() == before


@pytest.mark.parametrize("option", ["--json", "--audit=5%", "--unsigned-release"])
def test_watch_is_not_combined_with_what_needs_an_end(image: ImageFixture, option: str, cosmos: Cosmos) -> None:
    said = cosmos("build", image.folder, "--home", image.home, "--watch", option).fails(2).err
    assert "--watch is not for --json, --keep-root, --audit and --unsigned-release" in said
