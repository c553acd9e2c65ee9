"""A secret reaches no output, no file, no command line, no environment and no core file (SO-26).

The commands run as programs of their own, as a user would start them, and are watched from outside while they sign.
"""

from __future__ import annotations

import base64
import os
import resource
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from cosmos.keyring.key_file import opened
from fakes.images import ImageFixture, make_image
from fakes.waiting import LONG_SECONDS

PASSPHRASE = f"seven wooden owls Unpacked the harbour {os.getpid():08}"  # of this run: another may be watched as well
LOOK_SECONDS = 0.05  # between two looks
PROGRAM = "from cosmos.cli.cosmos.main import main; main()"
# At its end it says so, and stays until it was looked at.
STAYING = f"import atexit, os; atexit.register(lambda: (os.write(END, b'e'), os.read(END, 1))); {PROGRAM}"


def forms(secret: bytes) -> list[bytes]:
    """Every form in which the bytes might lie about."""
    return [secret, secret.hex().encode(), base64.b64encode(secret), base64.b64encode(secret).rstrip(b"=")]


@dataclass
class Watch:
    """Runs the program with the passphrase in a pipe, and keeps everything that could be seen from outside."""

    folder: Path
    seen: set[bytes] = field(default_factory=set)

    def start(
        self, words: Sequence[object], *, piped: Sequence[int], program: str = PROGRAM
    ) -> subprocess.Popen[bytes]:
        environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "COSMOS_HOME": str(self.folder / "home")}
        return subprocess.Popen(
            [sys.executable, "-c", program, *map(str, words)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=self.folder,
            env=environ,
            pass_fds=piped,
            preexec_fn=allow_core_files,
        )

    def run(self, *words: object, passphrase: str = PASSPHRASE, code: int = 0) -> None:
        """Run a command that reads the passphrase, and look at every process until it ends."""
        reading, writing = os.pipe()
        os.set_inheritable(reading, True)
        ours, its = socket.socketpair()
        program = STAYING.replace("END", str(its.fileno()))
        process = self.start([*words, "--passphrase-fd", reading], piped=(reading, its.fileno()), program=program)
        os.close(reading)
        its.close()
        self.look()
        os.write(writing, f"{passphrase}\n".encode())
        os.close(writing)
        while not select.select([ours], [], [], LOOK_SECONDS)[0] and process.poll() is None:
            self.look()
        self.look()
        ours.close()
        out, err = process.communicate(timeout=LONG_SECONDS)
        self.seen |= {out, err}
        assert process.returncode == code, err.decode()

    def look(self) -> None:
        """Read the command line and the environment of every process that may be read."""
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                self.seen |= {*readable(entry / "cmdline"), *readable(entry / "environ")}

    def found(self, secrets: Sequence[bytes]) -> list[bytes]:
        """Return what of the secrets was seen, or lies in any file."""
        texts = [*self.seen, *(file.read_bytes() for file in self.folder.rglob("*") if file.is_file())]
        return [form for secret in secrets for form in forms(secret) if any(form in text for text in texts)]


def readable(file: Path) -> Iterator[bytes]:
    try:
        yield file.read_bytes()
    except OSError:
        return


def allow_core_files() -> None:
    hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
    resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))


@pytest.fixture
def image(tmp_path: Path) -> ImageFixture:
    return make_image(tmp_path / "site")


@pytest.mark.objective("SO-26")
def test_a_secret_appears_nowhere(image: ImageFixture, tmp_path: Path) -> None:
    watch = Watch(tmp_path)
    keys = tmp_path / "keys"
    for name, role in (("boss", "root"), ("ship", "release")):
        watch.run("key", "new", name, "--role", role, "--out", keys, "--json")
    home = ("--home", image.home)
    watch.run("stellar", "trust", "new", "--root", keys / "boss.pub", "--sign", keys / "boss.key")
    watch.run("freeze", image.folder, *home, "--sign", keys / "ship.key", "--json")
    watch.run("build", image.folder, *home, "--key", keys / "ship.key")
    watch.run("build", image.folder, *home, "--key", keys / "boss.key", code=4)
    watch.run("freeze", image.folder, *home, "--sign", keys / "ship.key", passphrase=f"not {PASSPHRASE}", code=4)
    watch.run("freeze", image.folder, *home, "--sign", keys / "ship.pub", code=2)
    seeds = [opened((keys / f"{name}.key").read_bytes(), PASSPHRASE.encode, name)[1] for name in ("boss", "ship")]
    assert watch.found([PASSPHRASE.encode(), *seeds]) == []
    assert any(b"--passphrase-fd" in text for text in watch.seen), "it was watched while it signed"
    assert watch.found([b"cosmos-key-v1 ed25519 boss"]), "what is no secret is found"


@pytest.mark.objective("SO-26")
def test_a_process_that_has_read_a_passphrase_leaves_no_core_file(image: ImageFixture, tmp_path: Path) -> None:
    watch = Watch(tmp_path)
    watch.run("key", "new", "ship", "--role", "release", "--out", tmp_path)
    reading, writing = os.pipe()
    os.set_inheritable(reading, True)
    words = ("freeze", image.folder, "--home", image.home, "--sign", tmp_path / "ship.key", "--passphrase-fd", reading)
    process = watch.start(words, piped=(reading,))
    os.close(reading)
    limits = Path(f"/proc/{process.pid}/limits")
    for _ in range(20_000):
        if "Max core file size        0                    0" in limits.read_text():
            break
        assert process.poll() is None, "it ended before it read its passphrase"
        os.sched_yield()
        signal.sigtimedwait([], 0.01)
    else:
        pytest.fail("core files were never forbidden")
    process.send_signal(signal.SIGABRT)
    _, status = os.waitpid(process.pid, 0)
    os.close(writing)
    assert os.WIFSIGNALED(status)
    assert os.WTERMSIG(status) == signal.SIGABRT
    assert not os.WCOREDUMP(status)


@pytest.mark.objective("SO-26")
def test_a_process_that_holds_a_secret_is_not_dumpable(tmp_path: Path) -> None:
    text = """
import ctypes, resource
from cosmos.keyring.memory_dumps import keep_secrets_in_memory
prctl = ctypes.CDLL(None).prctl
before = prctl(3, 0, 0, 0, 0)
keep_secrets_in_memory()
print(before, prctl(3, 0, 0, 0, 0), resource.getrlimit(resource.RLIMIT_CORE))
"""
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    said = subprocess.run([sys.executable, "-c", text], env=environ, capture_output=True, text=True, check=True).stdout
    assert said == "1 0 (0, 0)\n"
