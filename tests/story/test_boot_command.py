"""`cosmos boot` as a person uses it: the console, the login and the ports, with a QEMU and an ssh that are scripts."""

from __future__ import annotations

import os
import pty
import select
import stat
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from cosmos.canon import readable_json
from cosmos.cli.cosmos import boot
from cosmos.digest import Digest
from cosmos.model.release import RELEASE_FILE, Release, Subject
from fakes.builders import BUILDER
from fakes.programs import Cosmos, write_programs
from fakes.terminals import written
from fakes.waiting import LONG_SECONDS

NAMES = ("vmlinuz", "small-1.0.0-x86_64.cpio.zst")
WELL = "echo COSMOS-READY\nsleep 600\n"


@pytest.fixture
def release(tmp_path: Path) -> Path:
    """A release that can be started."""
    folder = tmp_path / "out"
    folder.mkdir()
    subjects = []
    for name in NAMES:
        (folder / name).write_text(name)
        subjects.append(Subject(name=name, digest=Digest.of(name.encode()), size_bytes=len(name)))
    made = Release(
        subjects=tuple(subjects),
        external={"arch": "x86_64", "marker": "COSMOS-READY"},
        internal={},
        resolved=(),
        builder=BUILDER,
    )
    (folder / RELEASE_FILE).write_bytes(made.to_bytes())
    return folder


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is the whole PATH, and begins empty."""
    folder = tmp_path / "path"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


def write_script(file: Path, text: str) -> None:
    """Write a program of shell."""
    file.write_text(f"#!/bin/sh\nPATH=/usr/bin:/bin\n{text}")
    file.chmod(file.stat().st_mode | stat.S_IXUSR)


def test_a_login_begins_when_the_system_is_well_and_ends_it(
    release: Path, programs: Path, cosmos: Cosmos, tmp_path: Path
) -> None:
    write_script(programs / "qemu-system-x86_64", f'echo "$@" >{tmp_path}/qemu\n{WELL}')
    write_script(programs / "ssh", f'echo "$@" >{tmp_path}/ssh\necho over there\nexit 3\n')
    done = cosmos("boot", release, "--ssh").ok()
    assert "over there" in done.out
    assert "hostfwd=tcp:127.0.0.1:2222-:22" in (tmp_path / "qemu").read_text()
    words = (tmp_path / "ssh").read_text().split()
    assert words[:2] == ["-p", "2222"]
    assert words[-1] == "root@127.0.0.1"
    assert "UserKnownHostsFile=/dev/null" in words, "the key of a system in memory is not kept as that of 127.0.0.1"


def test_the_login_takes_the_port_that_was_named(release: Path, programs: Path, cosmos: Cosmos, tmp_path: Path) -> None:
    write_script(programs / "qemu-system-x86_64", f'echo "$@" >{tmp_path}/qemu\n{WELL}')
    write_script(programs / "ssh", f'echo "$@" >{tmp_path}/ssh\n')
    cosmos("boot", release, "--ssh", "--forward", "8080:80", "--forward", "2200:22").ok()
    assert (tmp_path / "ssh").read_text().split()[:2] == ["-p", "2200"]
    assert (
        "restrict=on,hostfwd=tcp:127.0.0.1:8080-:80,hostfwd=tcp:127.0.0.1:2200-:22" in (tmp_path / "qemu").read_text()
    )


@pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_login_that_fails_says_what_the_image_needs(release: Path, programs: Path, cosmos: Cosmos) -> None:
    """A thread that empties the console read on while it was closed, and sometimes printed a traceback."""
    write_script(programs / "qemu-system-x86_64", WELL)
    write_script(programs / "ssh", "exit 255\n")
    before = threading.enumerate()
    failed = cosmos("boot", release, "--ssh").fails(5)
    assert set(threading.enumerate()) <= set(before)
    assert "nobody could log in over SSH" in failed.err
    assert "ssh_keys" in failed.err


def test_a_missing_ssh_is_told_before_anything_is_started(
    release: Path, programs: Path, cosmos: Cosmos, tmp_path: Path
) -> None:
    write_script(programs / "qemu-system-x86_64", f"touch {tmp_path}/started\n{WELL}")
    assert "apt-get install openssh-client" in cosmos("boot", release, "--ssh").fails(5).err
    assert not (tmp_path / "started").exists()


def test_ports_lead_to_a_system_that_stays(release: Path, programs: Path, cosmos: Cosmos) -> None:
    write_script(programs / "qemu-system-x86_64", "echo COSMOS-READY\nsleep 0.2\necho it goes on\n")
    done = cosmos("boot", release, "--forward", "8080:80").ok()
    lines = done.err.splitlines()
    assert "127.0.0.1:8080 leads to port 80 of the system" in lines
    assert lines.index("COSMOS-READY") < lines.index("it goes on")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--forward", "80"), "want HOST:GUEST, two ports"),
        (("--forward", "1:2,guestfwd=tcp:1.2.3.4:80-cmd:sh"), "want HOST:GUEST, two ports"),
        (("--console", "--ssh"), "--console gives you the system itself"),
        (("--console", "--json"), "--console gives you the system itself"),
        (("--console",), "--console wants a terminal"),
    ],
)
def test_words_that_do_not_go_together_are_told(
    release: Path, programs: Path, cosmos: Cosmos, words: tuple[str, ...], said: str
) -> None:
    assert said in cosmos("boot", release, *words).fails(2).err


def test_a_log_tells_of_a_silent_system_now_and_then(
    release: Path, programs: Path, cosmos: Cosmos, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each look at the system is a second of the log's. The system is silent for 25 of them, twice."""
    silences: list[str] = []
    ticking = boot._ticking

    def in_seconds() -> Callable[[float, str], None]:
        tick = ticking()

        def told(_seconds: float, last: str) -> None:
            silences.append(last)
            tick(float(len(silences)), last)
            if silences.count(last) == 25:
                (tmp_path / f"go on{last}").touch()

        return told

    monkeypatch.setattr(boot, "_ticking", in_seconds)
    monkeypatch.setattr("cosmos.process._TICK_SECONDS", 0.01)
    silent = f"until [ -e '{tmp_path}/go on%s' ]; do sleep 0.05; done\n"
    script = f"{silent % ''}echo modules\n{silent % 'modules'}echo COSMOS-READY\n"
    write_script(programs / "qemu-system-x86_64", script)
    lines = [line.split(" s  ") for line in cosmos("boot", release).ok().err.splitlines() if " s  " in line]
    assert [float(seconds) for seconds, _ in lines] == [10 * (number + 1) for number in range(len(lines))]
    assert [text for _, text in lines[:2]] == ["the kernel starts"] * 2
    assert lines[-1][1] == "modules"


def _on_terminal(release: Path, programs: Path, typed: bytes, script: str) -> tuple[int, bytes, bool]:
    """Run `cosmos boot --console` on a terminal; return its exit code, what was shown, and whether echo is on after."""
    write_script(programs / "qemu-system-x86_64", script)
    cosmos = write_programs(programs / "own") / "cosmos"
    ours, its = pty.openpty()
    running = subprocess.Popen(
        [cosmos, "boot", release, "--console"],
        stdin=its,
        stdout=its,
        stderr=its,
        env={"PATH": f"{programs}:{Path(sys.executable).parent}", "TERM": "vt100"},
        start_new_session=True,
    )
    shown, deadline = b"", time.monotonic() + LONG_SECONDS
    while time.monotonic() < deadline and b"type:" not in shown:
        if select.select([ours], [], [], 0.2)[0]:
            shown += os.read(ours, 4096)
    os.write(ours, typed)
    code = running.wait(LONG_SECONDS)
    echoes = bool(termios.tcgetattr(its)[3] & termios.ECHO)
    shown += written(ours, its)
    os.close(ours)
    os.close(its)
    return code, shown, echoes


def test_the_console_is_the_terminal_itself_and_the_terminal_is_as_before_afterwards(
    release: Path, programs: Path, tmp_path: Path
) -> None:
    script = f'echo "$@" >{tmp_path}/qemu\nstty raw -echo\nprintf type:\nhead -c 3 | tr a-z A-Z\n'
    code, shown, echoes = _on_terminal(release, programs, b"a\x03b", script)
    assert code == 0
    assert shown.endswith(b"type:A\x03B"), "Ctrl-C is for the system, too"
    assert echoes
    words = (tmp_path / "qemu").read_text().split()
    assert words[words.index("-serial") + 1] == "mon:stdio"
    assert "cosmos.poweroff" not in words


def test_a_console_that_fails_is_told(release: Path, programs: Path) -> None:
    code, shown, echoes = _on_terminal(release, programs, b"x", "stty raw -echo\nprintf type:\nexit 9\n")
    assert (code, echoes) == (5, True)
    assert b"qemu-system-x86_64 ended with status 9" in shown


def test_what_is_no_statement_is_told(release: Path, programs: Path, cosmos: Cosmos) -> None:
    (release / RELEASE_FILE).write_bytes(readable_json({"_type": "x"}))
    cosmos("boot", release, "--forward", "8080:80").fails(2)
