"""`cosmos build --shell` opens a shell where a star's script failed, and keeps nothing of what happens there."""

from __future__ import annotations

import os
import pty
import select
import shutil
import signal
import subprocess
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from fakes.galaxies import StarSpec
from fakes.images import ImageFixture, make_image
from fakes.programs import Cosmos, write_programs
from fakes.shells import shell
from fakes.terminals import written
from fakes.waiting import LONG_SECONDS

pytestmark = pytest.mark.skipif(shutil.which("bwrap") is None, reason="bubblewrap is not there")
FAILS = (
    "function install()\nwrite('/etc/own','mine') env('CC','gcc')\nrun{'/bin/sh','-c','echo half >half; exit 3'} end"
)


def image_of(where: Path, cosmos: Cosmos, script: str, needs: dict[str, str], policy: str) -> ImageFixture:
    tool = StarSpec("tool", "1.0.0", {"given": b"given"}, needs, script=script)
    tables = f'[policy]\n{policy}outside = ["tool", "shell"]\n'
    image = make_image(where, (shell(), tool), {"tool": "*", "shell": "*"}, tables=tables)
    cosmos("freeze", image.folder, "--home", image.home).ok()
    return image


@dataclass
class Person:
    """Somebody at a terminal, with a build that runs on it."""

    ours: int
    its: int
    build: subprocess.Popen[bytes]
    seen: str = ""

    def wait_for(self, text: str) -> str:
        """Read until `text` comes, and return what came since the last call."""
        deadline = time.monotonic() + LONG_SECONDS
        while text not in self.seen:
            assert self.build.poll() is None and time.monotonic() < deadline, self.seen
            self._read(0.5)
        before, _, self.seen = self.seen.partition(text)
        return before

    def asks(self, command: str) -> str:
        """Type a command, and return what it prints."""
        os.write(self.ours, f"{command}; echo en''d\n".encode())
        self.wait_for("''d\r\n")
        return self.wait_for("end\r\n").replace("\r\n", "\n")

    def ends(self) -> int:
        """Return the build's exit status."""
        while self.build.poll() is None:
            self._read(0.05)
        self.seen += written(self.ours, self.its).decode()
        return self.build.returncode

    def _read(self, seconds: float) -> None:
        if select.select([self.ours], [], [], seconds)[0]:
            self.seen += os.read(self.ours, 1 << 16).decode()


@contextmanager
def person(image: ImageFixture, *words: str) -> Iterator[Person]:
    ours, its = pty.openpty()
    program = write_programs(image.folder.parent / "programs") / "cosmos"
    build = subprocess.Popen(
        [program, "build", image.folder, "--home", image.home, "--shell", *words],
        stdin=its,
        stdout=subprocess.DEVNULL,
        stderr=its,
        start_new_session=True,
        env={**os.environ, "TERM": "vt100", "COSMOS_TEST_SECRET": "secret"},
    )
    try:
        yield Person(ours, its, build)
    finally:
        build.kill()
        build.wait()
        os.close(ours)
        os.close(its)


def kept(image: ImageFixture) -> dict[str, bytes]:
    """Every file of the home and of the image's folder."""
    paths = [path for top in (image.home, image.folder) for path in sorted(top.rglob("*")) if path.is_file()]
    return {str(path): path.read_bytes() for path in paths}


@pytest.fixture
def failing(tmp_path: Path, cosmos: Cosmos) -> ImageFixture:
    return image_of(tmp_path, cosmos, FAILS, {"shell": "*"}, 'run = ["tool"]\n')


def test_the_shell_sees_what_the_failed_program_saw_and_left(failing: ImageFixture) -> None:
    with person(failing) as somebody:
        said = somebody.wait_for("`exit` ends the shell")
        assert "tool: install.lua:3: run: /bin/sh ended with status 3" in said
        assert "command: /bin/sh -c 'echo half >half; exit 3'" in said
        seen = somebody.asks("pwd; echo *; read x <etc/own; echo $x $CC; read x <half; echo $x; echo $TERM")
        assert seen.endswith("/stage\netc half\nmine gcc\nhalf\nvt100\n")
        assert "none" in somebody.asks('test -n "$COSMOS_TEST_SECRET" || echo none')
        os.write(somebody.ours, b"exit 9\n")
        assert somebody.ends() == 6
        assert "tool: install.lua:3: run: /bin/sh ended with status 3" in somebody.seen
    assert not failing.out.exists()


def test_nothing_of_the_shell_is_kept(failing: ImageFixture, cosmos: Cosmos) -> None:
    cosmos("build", failing.folder, "--home", failing.home, "--jobs", "1").fails(6)
    before = kept(failing)
    with person(failing) as somebody:
        somebody.wait_for("`exit` ends the shell")
        somebody.asks("echo planted-in-the-shell >planted; echo planted-in-the-shell >etc/own")
        os.write(somebody.ours, b"exit\n")
        assert somebody.ends() == 6
    assert kept(failing) == before
    cosmos("build", failing.folder, "--home", failing.home).fails(6)
    assert not any(b"planted-in-the-shell" in data for data in kept(failing).values())


def test_a_verb_that_fails_opens_the_shell_for_a_star_that_may_run_nothing(tmp_path: Path, cosmos: Cosmos) -> None:
    script = "function install() write('/own', 'mine') copy('missing', '/x') end"
    with person(image_of(tmp_path, cosmos, script, {"shell": "*"}, "")) as somebody:
        assert "command:" not in somebody.wait_for("`exit` ends the shell")
        assert somebody.asks("echo *").endswith("own\n")
        os.write(somebody.ours, b"\x04")
        assert somebody.ends() == 6


def test_without_a_shell_the_star_to_add_is_named(tmp_path: Path, cosmos: Cosmos) -> None:
    with person(image_of(tmp_path, cosmos, "function install() error('no') end", {}, "")) as somebody:
        assert somebody.ends() == 6
        assert "no shell was opened: tool: there is no bash, sh or busybox" in somebody.seen
        assert 'under [dependencies] in its star.toml: busybox = "*"' in somebody.seen


def test_ctrl_c_interrupts_the_program_in_the_shell_and_not_the_build(failing: ImageFixture) -> None:
    with person(failing) as somebody:
        somebody.wait_for("`exit` ends the shell")
        somebody.asks(":")
        os.write(somebody.ours, b"while :; do :; done\n")
        somebody.wait_for("done\r\n")
        time.sleep(0.3)
        os.write(somebody.ours, b"\x03")
        assert somebody.asks("echo still here").endswith("still here\n")
        os.write(somebody.ours, b"exit\n")
        assert somebody.ends() == 6


@pytest.mark.parametrize("number", [None, signal.SIGTERM])
def test_the_terminals_settings_are_restored(failing: ImageFixture, number: signal.Signals | None) -> None:
    with person(failing) as somebody:
        before = termios.tcgetattr(somebody.its)
        somebody.wait_for("`exit` ends the shell")
        somebody.asks(":")
        assert termios.tcgetattr(somebody.its) != before
        if number is None:
            os.write(somebody.ours, b"exit\n")
        else:
            somebody.build.send_signal(number)
        assert somebody.ends() == (6 if number is None else 128 + number)
        assert termios.tcgetattr(somebody.its) == before


def test_it_wants_a_person(failing: ImageFixture, cosmos: Cosmos) -> None:
    build = ("build", failing.folder, "--home", failing.home, "--shell")
    assert "stdin and stderr must be a terminal" in cosmos(*build).fails(2).err
    for other in ("--json", "--watch", "--safe"):
        said = cosmos(*build, other).fails(2)
        assert "--shell is not for --json, --watch and --safe" in said.err + said.out
