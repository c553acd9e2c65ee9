"""Hostile install scripts (tests/attack/nova/*.lua): none breaks out, none runs on, each ends as its first line says.

A script calls `breach(why)` where it got what it must not get. Besides, the host's secrets may not turn up in anything
that comes out, nothing may appear in the working folder, and no attack may end in an error that is not a script's (a
crash, a Python error).
"""

from __future__ import annotations

import json
import os
import re
import resource
import subprocess
import sys
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cosmos.nova.broker import SIGNATURES

CORPUS = Path(__file__).parent / "nova"
SCRIPTS = sorted(CORPUS.glob("*.lua"))
CPU_SECONDS = 2
SHORT_CPU_SECONDS = 1  # of a script that must be stopped, by this limit or by another
AMPLE_CPU_SECONDS = 60  # what counts instructions ends long before, on any machine
WALL_SECONDS = 200  # on a loaded machine; alone the slowest takes a twentieth
SECRET = "the-secret-of-the-builder"
CANARY = "canary-of-the-host"
ENDINGS = {
    "done": lambda problem: problem is None,
    "failed": lambda problem: problem is not None and ": was stopped: " not in problem,
    "stopped": lambda problem: problem is not None and ": was stopped: it " in problem,
    "syntax": lambda problem: problem is not None and "expected" in problem,
}


class Prepared:
    """A process that has loaded the program and forks for each script, so that no script pays for a start of Python."""

    def __init__(self, folder: Path, prepare: Callable[[], object] | None = None, **environment: str) -> None:
        self.folder = folder
        (folder / CANARY).write_text(SECRET)
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as the process
        self._process = subprocess.Popen(
            [sys.executable, str(CORPUS / "stage_one.py")],
            cwd=folder, env={**os.environ, "COSMOS_TEST_SECRET": SECRET, **environment}, preexec_fn=prepare,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors,
        )  # fmt: skip

    def close(self) -> None:
        """End the process, and so its zygotes."""
        self._process.kill()
        self._process.communicate()
        self._errors.close()

    def attack(self, script: Path, folder: Path, cpu_seconds: int = CPU_SECONDS, user: str = "") -> dict[str, object]:
        """Run one script in a process of its own in `folder`, as `user`; a hang or a crash fails the test."""
        (folder / CANARY).write_text(SECRET)
        asked = {"script": str(script), "cpu-seconds": str(cpu_seconds), "user": user, "folder": str(folder)}
        done = json.loads(self._answer(json.dumps(asked).encode() + b"\n"))
        assert done["status"] == 0, f"crashed: {done['err'][-2000:]}"
        assert done["err"] == ""
        assert SECRET not in done["out"]
        for each in (folder, self.folder):
            assert [path.name for path in each.iterdir()] == [CANARY]
        return json.loads(done["out"])

    def _answer(self, asked: bytes) -> bytes:
        """Return the line that comes back; no line ends the process, and so every later attack."""
        hung = threading.Timer(WALL_SECONDS, self._process.kill)
        hung.start()
        try:
            assert self._process.stdin is not None and self._process.stdout is not None
            self._process.stdin.write(asked)
            self._process.stdin.flush()
            answer = self._process.stdout.readline()
        finally:
            hung.cancel()
        self._errors.seek(0)
        said = self._errors.read()
        assert answer and said == b"", f"hung or crashed: {said.decode()[-2000:]}"
        return answer


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prepared]:
    """The process for all scripts that one builder is enough for."""
    process = Prepared(tmp_path_factory.mktemp("prepared"))
    yield process
    process.close()


@pytest.mark.objective("SO-20")
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_an_attack_gets_nowhere_and_ends(script, tmp_path, prepared):
    wanted = re.match(r"-- want: (\w+)\n", script.read_text())
    assert wanted, "the first line says how it must end"
    seconds = SHORT_CPU_SECONDS if wanted[1] == "stopped" else CPU_SECONDS
    result = prepared.attack(script, tmp_path, seconds)
    assert result["breaches"] == []
    assert ENDINGS[wanted[1]](result["problem"]), f"wanted {wanted[1]}, got {result['problem']}"
    assert result["problem"] is None or re.match(r"ScriptFailed: attack: install\.lua\b", str(result["problem"]))


def test_the_corpus_is_as_large_as_it_should_be():
    assert len(SCRIPTS) >= 120


def test_a_breach_would_be_seen(tmp_path, prepared):
    script = tmp_path / "x.lua"
    script.write_text("function install() pcall(breach, 'seen') end")
    folder = tmp_path / "cwd"
    folder.mkdir()
    assert prepared.attack(script, folder)["breaches"] == ["BREACH: seen"]


def test_a_crash_would_be_seen(tmp_path, prepared):
    """Also after it the prepared process goes on with the next script."""
    folders = [tmp_path / name for name in ("first", "second")]
    for folder in folders:
        folder.mkdir()
    with pytest.raises(AssertionError, match=r"(?s)crashed: .*FileNotFoundError"):
        prepared.attack(tmp_path / "none.lua", folders[0])
    assert prepared.attack(CORPUS / "same-03-texts.lua", folders[1])["problem"] is None


BUILDERS = [
    {"PYTHONHASHSEED": "0", "TZ": "UTC", "LC_ALL": "C.UTF-8"},
    {"PYTHONHASHSEED": "4711", "TZ": "Asia/Tokyo", "LC_ALL": "C", "HOME": "/nowhere", "COLUMNS": "40"},
    {"PYTHONHASHSEED": "random", "TZ": "America/New_York", "LC_ALL": "tr_TR.UTF-8", "LANG": "de_DE"},
]
SAME = [script for script in SCRIPTS if script.stem.startswith("same-")]
SAME_AS_WELL = ["dos-33-pcall-nest", "dos-58-where-no-hook-is-called", "dos-59-no-hook-and-another-error",
                "dos-60-no-hook-and-many-closed", "lang-04-string-metatable", "lang-12-addresses",
                "lang-13-deep-recursion", "lang-43-weak-later", "path-03-links-out", "path-07-nul-and-bytes",
                "path-12-globs", "render-01-shows"]  # fmt: skip
TAKE_LONG = [pytest.param(CORPUS / "dos-18-garbage-at-the-limit.lua", marks=pytest.mark.exhaustive)]


def other_users() -> list[str]:
    """Return the users that a builder is in turn: itself, and where it is root two others."""
    mapped = [line.split() for line in Path("/proc/self/uid_map").read_text().splitlines()]
    others = [user for user in (4711, 65534) if any(int(at) <= user < int(at) + int(size) for at, _, size in mapped)]
    if os.geteuid() != 0 or len(others) < 2:
        warnings.warn("this is not root: the user is the same in all runs, all else differs", stacklevel=2)
        return ["", "", ""]
    return ["", *map(str, others)]


def unlike(place: int) -> Callable[[], object]:
    """Return what makes a process unlike those of other places: umask, processors, size of its stack."""

    def prepare() -> None:
        processors = sorted(os.sched_getaffinity(0))
        os.umask([0o022, 0o077, 0o000][place])
        os.sched_setaffinity(0, [processors, processors[:1], processors[-1:]][place])
        resource.setrlimit(resource.RLIMIT_STACK, ([8, 2, 64][place] << 20, resource.RLIM_INFINITY))

    return prepare


@pytest.fixture(scope="module")
def builders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Prepared]]:
    """A process for each of the builders."""
    made = [
        Prepared(tmp_path_factory.mktemp("builder"), unlike(place), **environment)
        for place, environment in enumerate(BUILDERS)
    ]
    yield made
    for one in made:
        one.close()


def outcomes(script: Path, tmp_path: Path, builders: list[Prepared]) -> list[dict[str, object]]:
    """Return what came of one script under each of the builders."""
    results = []
    for place, (builder, user) in enumerate(zip(builders, other_users(), strict=True)):
        folder = tmp_path / ("cwd" * (place + 1))
        folder.mkdir()
        result = builder.attack(script, folder, AMPLE_CPU_SECONDS, user)
        assert result.pop("user") == int(user or os.geteuid())
        del result["seconds"]
        results.append(result)
    return results


@pytest.mark.objective("SO-24")
@pytest.mark.parametrize(
    "script", [*SAME, *(CORPUS / f"{name}.lua" for name in SAME_AS_WELL), *TAKE_LONG], ids=lambda s: s.stem
)
def test_one_script_gives_one_receipt_and_one_layer_whatever_the_builder_is_like(script, tmp_path, builders):
    first, *others = outcomes(script, tmp_path, builders)
    assert (first["problem"] is None) == bool(first["receipt"])
    assert "seconds" not in str(first["problem"]), "a clock's verdict differs from machine to machine"
    assert script not in SAME or first["made"]
    for other in others:
        assert other == first


def test_every_verb_is_in_what_is_compared(tmp_path, prepared):
    result = prepared.attack(CORPUS / "same-01-every-verb.lua", tmp_path)
    events = json.loads(str(result["receipt"]))["events"]
    verbs = {verb.decode() for verb in SIGNATURES}
    assert {event["do"] for event in events} == verbs - {"exists", "env"} | {"read"}
    assert [event["env"] for event in events if event["do"] == "run"] == [{"CFLAGS": "-O2"}] * 2


def test_a_layer_that_differs_by_one_byte_would_be_seen(tmp_path, prepared):
    layers = set()
    for place, mode in enumerate(("0644", "0640", "0640")):
        script, folder = tmp_path / f"{place}.lua", tmp_path / f"{place}"
        script.write_text(f"function install() write('/x', 'x', '{mode}') end")
        folder.mkdir()
        layers.add(prepared.attack(script, folder)["layer"])
    assert len(layers) == 2
