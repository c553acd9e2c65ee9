"""A builder that is killed (SIGKILL) at any moment leaves no process: no program of `run()`, no worker, no zygote."""

from __future__ import annotations

import contextlib
import ctypes
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fakes.galaxies import StarSpec
from fakes.images import make_image
from fakes.programs import Cosmos
from fakes.shells import shell
from fakes.waiting import LONG_SECONDS

pytestmark = pytest.mark.skipif(shutil.which("bwrap") is None, reason="bubblewrap is not there")
PR_SET_CHILD_SUBREAPER = 36
LIMIT_SECONDS = 2  # in which everything is gone, on a machine that is not busy otherwise
MARK = f"busy-{os.getpid():08}"  # by which the programs of this run are found among all others
BUSY = f'run{{"/bin/sh", "-c", "sh -c \'while :; do :; done\' {MARK} & while :; do :; done", "{MARK}"}}'
# Both stars can be staged at once, so that two workers of the pool run a program each.
BUSY_STARS = [
    StarSpec(name, dependencies={"shell": "*"}, script=f"function install() {BUSY} end") for name in ("one", "two")
]
PROGRAM = "import sys; from cosmos.cli.cosmos.main import main; main()"


class Descendants:
    """This process as the one to which every descendant falls whose parent is gone (PR_SET_CHILD_SUBREAPER).

    Children that this process has already, such as the zygote of another test, are none of them.
    """

    def __enter__(self) -> Descendants:
        self._own = {pid for pid, _ in children()}
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        return self

    def __exit__(self, *_: object) -> None:
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)

    def left(self, seconds: float) -> tuple[list[str], float]:
        """Wait until no child is left; return what is left after `seconds`, and how long it took."""
        began = time.monotonic()
        while left := [one for one in children() if one[0] not in self._own]:
            for pid, _ in left:
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(pid, os.WNOHANG)
            if time.monotonic() - began > seconds:
                for pid, _ in left:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                return [words for _, words in left], seconds
            time.sleep(0.001)
        return [], time.monotonic() - began


def children() -> list[tuple[int, str]]:
    """The children of this process: their numbers and words."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            _, _, rest = (process / "stat").read_text().rpartition(")")
            if int(rest.split()[1]) == os.getpid():
                words = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                found.append((int(process.name), f"{process.name} {rest.split()[0]} {words[:200]}"))
    return found


def busy() -> int:
    """How many programs of `run()` there are."""
    found = 0
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (process / "cmdline").read_bytes().split(b"\0")
            found += words[:1] in ([b"/bin/sh"], [b"sh"]) and MARK.encode() in words
    return found


class Builder:
    """Starts the builder of an image whose two stars each run a program that never ends."""

    def __init__(self, folder: Path, cosmos: Cosmos) -> None:
        policy = '[policy]\nrun = ["one", "two"]\noutside = ["shell"]\n'
        self.image = make_image(folder, (shell(), *BUSY_STARS), {"one": "*", "two": "*"}, tables=policy)
        cosmos("freeze", self.image.folder, "--home", self.image.home).ok()
        self.scratch = folder / "scratch"
        self.scratch.mkdir()

    def start(self) -> subprocess.Popen[bytes]:
        words = ["build", str(self.image.folder), "--home", str(self.image.home), "--jobs", "2"]
        return subprocess.Popen(
            [sys.executable, "-c", PROGRAM, *words],
            env={**os.environ, "TMPDIR": str(self.scratch), "PYTHONPATH": os.pathsep.join(sys.path)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def seconds_until_busy(self) -> float:
        """Return how long it takes until all programs run."""
        began = time.monotonic()
        with Descendants() as descendants:
            builder = self.start()
            while busy() < 4:
                assert builder.poll() is None, "the builder has ended"
                assert time.monotonic() - began < LONG_SECONDS
                time.sleep(0.01)
            taken = time.monotonic() - began
            builder.kill()
            builder.wait()
            assert descendants.left(LONG_SECONDS)[0] == []
        return taken

    def killed_after(self, moment: float, limit: float) -> tuple[list[str], float]:
        """Kill the builder after `moment` seconds; return the processes that are left, and how long the last took."""
        with Descendants() as descendants:
            builder = self.start()
            time.sleep(moment)
            builder.kill()
            builder.wait()
            return descendants.left(limit)


@pytest.fixture
def builder(tmp_path: Path, cosmos: Cosmos) -> Builder:
    return Builder(tmp_path, cosmos)


@pytest.mark.slow
@pytest.mark.objective("SO-21")
def test_a_builder_that_is_killed_at_a_few_moments_leaves_no_process(builder: Builder) -> None:
    whole = builder.seconds_until_busy()
    for part in (0.5, 0.9, 1.2):
        assert builder.killed_after(part * whole, LONG_SECONDS)[0] == []
    assert [left.name for left in builder.scratch.iterdir() if "canary" not in left.name] == [], "no copy of the tools"


@pytest.mark.exhaustive
def test_a_builder_that_is_killed_at_50_random_moments_leaves_no_process_after_two_seconds(builder: Builder) -> None:
    seed = random.SystemRandom().randrange(1 << 32)
    chance, whole = random.Random(seed), builder.seconds_until_busy()
    slowest, left = 0.0, {}
    for moment in sorted(chance.uniform(0, 1.3 * whole) for _ in range(50)):
        processes, taken = builder.killed_after(moment, LIMIT_SECONDS)
        slowest = max(slowest, taken)
        if processes:
            left[f"{moment:.3f}"] = processes
    print(f"50 moments within {1.3 * whole:.2f} s (seed {seed}): the slowest end took {slowest:.3f} s")
    assert left == {}
