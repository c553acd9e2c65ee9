"""Programs that `run()` starts: they see their tools and the star, and nothing of the builder."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import json
import os
import re
import resource
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from cosmos.errors import CosmosError, Malformed, ScriptFailed, WorldFailed
from cosmos.nova import meter
from cosmos.nova.job import NovaJob
from cosmos.nova.run import run_build, run_install
from cosmos.sandbox import bubble
from cosmos.sandbox.bubble import HOST_TOOLS, Bubble, Channels, Tools, sandboxed, star_tools, tools_digest
from cosmos.sandbox.circumstances import machine_files
from cosmos.sandbox.laid_tree import laid_out
from cosmos.sandbox.on_disk import NOBODY, folder_entries
from cosmos.sandbox.seccomp import MACHINES, REFUSED
from cosmos.tree.entry import Entry
from cosmos.tree.manifest import ManifestLine, content_root
from cosmos.treepath import TreePath
from fakes.users import open_to_all, shared_folder
from fakes.waiting import LONG_SECONDS, soon

pytestmark = [
    pytest.mark.objective("SO-22"),
    pytest.mark.skipif(shutil.which("bwrap") is None, reason="bubblewrap is not there"),
]
SECRET = "a-secret-of-the-builder"
BOMB_PROCESSES = 500  # besides those that the user has already
MARK = f"{os.getpid():08}"  # by which the programs of this run are found among all others


def file(path: str, content: bytes, mode: int = 0o644) -> Entry:
    return Entry(path=TreePath.parse(path), kind="file", mode=mode, content=content)


@pytest.fixture
def shell(tmp_path, monkeypatch):
    """Runs a shell command as `run()` in `build()` would; returns what it left in `out`."""
    monkeypatch.setenv("COSMOS_TEST_SECRET", SECRET)
    (tmp_path / "secret").write_text(SECRET)

    def run(command: str, seconds: float = LONG_SECONDS, stage_bytes: int = 64 << 20) -> str:
        runner = Bubble(tools=HOST_TOOLS, epoch=5, timeout_seconds=seconds, where="build()", stage_bytes=stage_bytes)
        outcome = runner.run((b"sh", b"-c", command.encode()), {b"CC": b"gcc"}, {})
        made = outcome.tree.get(TreePath(b"out"))
        return bytes(made.content).decode() if made else f"status {outcome.status}: {outcome.last}"

    return run


def test_its_environment_is_fixed(shell):
    lines = set(shell("env >out").split("\n")) - {""}
    assert lines == {"CC=gcc", "HOME=", "LC_ALL=C.UTF-8", "PATH=/usr/bin:/usr/sbin:/bin:/sbin", "PWD=/stage",
                     "SOURCE_DATE_EPOCH=5", "TAR_OPTIONS=--no-same-owner", "TMPDIR=/tmp", "TZ=UTC"}  # fmt: skip


def test_it_sees_no_file_of_the_builder(shell, tmp_path):
    assert SECRET not in shell(f"cat {tmp_path}/secret /proc/*/environ /etc/shadow /root/* >out 2>/dev/null; true")
    assert set(shell("ls / >out").split()) <= {
        "bin", "dev", "etc", "lib", "lib32", "lib64", "libx32", "proc", "sbin", "stage", "tmp", "usr"
    }  # fmt: skip
    assert shell("ls /etc /home /root /var /sys /run >out 2>/dev/null; true").split() in (
        ["/etc:", "alternatives"],
        ["alternatives"],
    )


def test_it_sees_its_own_processes_alone(shell):
    assert int(shell("ls -d /proc/[0-9]* | wc -l >out")) <= 5
    assert shell("readlink /proc/self/ns/pid >out").rstrip() != str(Path("/proc/self/ns/pid").readlink())


def test_it_has_no_capability_and_gains_none(shell):
    said = shell("grep -E '^(Cap|NoNewPrivs|Seccomp:)' /proc/self/status >out")
    values = dict(line.split(":\t") for line in said.splitlines())
    sets = dict.fromkeys(("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"), "0" * 16)
    assert values == {**sets, "NoNewPrivs": "1", "Seccomp": "2"}


@pytest.mark.parametrize("place", sorted(machine_files()))
def test_a_file_of_proc_that_describes_the_machine_or_the_moment_says_the_same_on_every_machine(shell, place):
    assert shell(f"cat {place} >out") == machine_files()[place].decode()


ASK = """
import ctypes, json
libc = ctypes.CDLL(None, use_errno=True)
def asked(number, *words):
    ctypes.set_errno(0)
    return [libc.syscall(number, *words), ctypes.get_errno()]
print(json.dumps({name: asked(*call) for name, call in CALLS.items()}))
"""


@pytest.fixture
def python(shell):
    """Runs Python in the sandbox; returns what it printed."""
    return lambda code, **fields: shell(f"python3 -I -c {shlex.quote(code)} >out", **fields)


@pytest.fixture
def called(python):
    """Makes system calls in the sandbox, by name and words; returns what each answered: a result and an errno."""
    numbers = MACHINES[os.uname().machine].calls

    def call(**calls: tuple[int, ...]) -> dict[str, list[int]]:
        table = {name: (numbers[name.rstrip("_")], *words) for name, words in calls.items()}
        return json.loads(python(ASK.replace("CALLS", repr(table))))

    return call


def test_what_namespaces_do_not_part_is_refused_by_the_kernel(called):
    named = {name: (0,) * 6 for name in REFUSED if name in MACHINES[os.uname().machine].calls}
    assert {name: said for name, said in called(**named).items() if said != [-1, errno.EPERM]} == {}


def test_a_key_of_the_builders_keyrings_cannot_be_had(called):
    libc = ctypes.CDLL(None, use_errno=True)
    numbers = MACHINES[os.uname().machine].calls
    key = libc.syscall(numbers["add_key"], b"user", b"cosmos-test", SECRET.encode(), len(SECRET), -3)
    try:
        session, user, invalid = (0, -3, 0), (0, -4, 0), (11, max(key, 1), 0, 0)  # two keyrings' ids, a key's bytes
        assert called(keyctl=session, keyctl_=user, keyctl__=invalid) == {
            "keyctl": [-1, errno.EPERM], "keyctl_": [-1, errno.EPERM], "keyctl__": [-1, errno.EPERM]
        }  # fmt: skip
    finally:
        libc.syscall(numbers["keyctl"], 9, key, -3)  # KEYCTL_UNLINK


def test_a_socket_that_leads_out_of_the_machine_is_refused(called):
    vsock, alg, packet, bluetooth, tipc = 40, 38, 17, 31, 30
    for family in (vsock, alg, packet, bluetooth, tipc):
        assert called(socket=(family, 1, 0)) == {"socket": [-1, errno.EPERM]}, family
    assert called(socket=(1, 1, 0), socket_=(2, 1, 0))["socket"][0] > 2


def test_a_new_user_namespace_is_had_by_no_call(called):
    assert called(clone=(0x10000000 | 17, 0, 0, 0, 0), unshare=(0x10000000,), clone3=(0, 0)) == {
        "clone": [-1, errno.EPERM], "unshare": [-1, errno.EPERM], "clone3": [-1, errno.ENOSYS]
    }  # fmt: skip


def test_what_it_is_given_to_hold_leads_nowhere(python):
    code = """
import os
for number in range(3, 99):
    try: print(os.readlink(f"/proc/self/fd/{number}"))
    except FileNotFoundError: pass"""
    assert python(code) == ""


def test_it_makes_no_user_namespace_of_its_own(shell):
    assert shell("unshare -U true 2>/dev/null && echo BREACH >out || echo none >out") == "none\n"


def test_it_has_no_network(shell):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert (
            shell(f"(bash -c 'echo x >/dev/tcp/127.0.0.1/{port}') 2>/dev/null && echo BREACH >out || echo none >out")
            == "none\n"
        )
        server.setblocking(False)  # the kernel would have made a connection before the program ended
        with pytest.raises(BlockingIOError):
            server.accept()
    assert shell("tail -n +3 /proc/net/dev | grep -vc lo: >out; true").strip() == "0"


@pytest.mark.parametrize(
    "place",
    [
        "/x",
        "/usr/x",
        "/etc/x",
        "/proc/sys/kernel/core_pattern",
        "/proc/sysrq-trigger",
        "/bin/x",
        "/dev/x",
        "/dev/pts/x",
    ],
)
def test_it_writes_nowhere_but_to_the_star(shell, place):
    assert shell(f"(: >>{place}) 2>/dev/null && echo BREACH >out || echo none >out") == "none\n"


def test_what_it_leaves_running_dies(shell, tmp_path):
    said = shell("(sleep 3; echo late >late) & echo started >out")
    assert said == "started\n"


def test_one_that_runs_on_is_killed(shell):
    with pytest.raises(WorldFailed, match=r"was not done in 0\.2 seconds"):
        shell("sleep 600", seconds=0.2)
    with pytest.raises(WorldFailed, match=r"was not done in 0\.2 seconds"):
        shell("exec >/dev/null 2>&1; sleep 600", seconds=0.2)


def running(marker: str) -> list[str]:
    """The processes of this machine that have `marker` among their words."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if marker.encode() in (process / "cmdline").read_bytes():
                found.append(process.name)
    return found


def threads_of(user: int) -> int:
    """How many threads of that user there are on this machine."""
    count = 0
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            count += len([*(process / "task").iterdir()]) if process.stat().st_uid == user else 0
    return count


def soon_gone(marker: str) -> bool:
    return soon(lambda: not running(marker))


def test_a_daemon_with_a_session_of_its_own_is_dead_before_anything_is_read_back(shell):
    assert shell(f"setsid -f sh -c 'sleep 61.{MARK}' >/dev/null 2>&1; echo done >out") == "done\n"
    assert running(f"61.{MARK}") == []
    assert shell(
        "setsid -f sh -c 'while :; do echo x >>out; done' >/dev/null 2>&1; until [ -s out ]; do :; done"
    ).startswith("x\n")


def test_a_fork_bomb_ends_with_its_time(shell, monkeypatch):
    assert "4096" in shell("ulimit -u >out 2>/dev/null || ulimit -p >out")
    # The kernel counts a user's threads, whoever started them: a bomb of 4096 would take those of other tests away.
    bound = min(threads_of(NOBODY if os.geteuid() == 0 else os.geteuid()) + BOMB_PROCESSES, 4096)
    monkeypatch.setattr(bubble, "LIMITS", {**bubble.LIMITS, resource.RLIMIT_NPROC: bound})
    spin = "trap 'while :; do :; done' EXIT"  # a shell that may fork no more would end by itself, on a fast machine
    with pytest.raises(WorldFailed, match="was not done in 1 seconds"):
        shell(f"{spin}; while :; do sleep 62.{MARK} & done", seconds=1)
    assert soon_gone(f"62.{MARK}")


def test_a_thousand_programs_that_sleep_end_with_the_scripts_time(monkeypatch):
    monkeypatch.setattr(meter, "MAX_NOVA_PROGRAMS_SECONDS", 1)
    runner = Bubble(tools=HOST_TOOLS, epoch=0, timeout_seconds=LONG_SECONDS, where="x")
    script = b'function build() while true do pcall(run, {"sleep", "0.3"}) end end'
    began = time.monotonic()
    with pytest.raises(ScriptFailed, match="was stopped: its programs took more than 1 seconds together"):
        run_build(NovaJob(star="x", script_name="x", script=script, files={}, epoch=0, programs=runner))
    assert time.monotonic() - began < LONG_SECONDS


SMALL = 1 << 20  # bytes of a stage


@pytest.mark.parametrize(
    "fill",
    [
        "open('big', 'wb')",
        "tempfile.TemporaryFile(dir='/stage')",  # has no name, and takes space all the same
        "open('/dev/shm/big', 'wb')",
        "open('/tmp/big', 'wb')",
    ],
)
def test_one_that_fills_the_disk_meets_the_kernels_bound(python, monkeypatch, fill):
    monkeypatch.setattr(bubble, "_TMP_BYTES", SMALL)
    code = f"""
import errno, os, tempfile
size = 0
try:
    with {fill} as stream:
        while True: size += os.write(stream.fileno(), bytes(4096))
except OSError as error: problem = error.errno
if os.path.exists("big"): os.unlink("big")
print(problem == errno.ENOSPC, size)"""
    full, size = python(code, stage_bytes=SMALL).split()
    assert full == "True"
    assert SMALL * 0.9 < int(size) <= SMALL


def test_a_full_stage_is_the_programs_own_failure(shell):
    assert "No space left on device" in shell("dd if=/dev/zero of=big bs=1M count=8", stage_bytes=SMALL)


def test_a_file_that_is_all_holes_is_not_read_into_memory(shell):
    with pytest.raises(CosmosError, match="/stage: is larger than a star may be, at hole"):
        shell("truncate -s 1G hole", stage_bytes=SMALL)


def test_attributes_that_take_no_space_of_the_stage_are_bounded_all_the_same(python):
    code = """
import os
for number in range(100):
    open(f"f{number}", "w").close()
    try: os.setxattr(f"f{number}", "user.x", bytes(60000))
    except OSError: open("out", "w").write("none")  # before Linux 6.6
"""
    try:
        assert python(code, stage_bytes=SMALL) == "none"
    except CosmosError as error:
        assert "/stage: is larger than a star may be, at f" in str(error)


@pytest.mark.parametrize(
    "flood", ["head -c 3000000 /dev/zero", "yes line | head -c 3000000", "yes '' | head -c 300000"]
)
def test_what_it_floods_its_output_with_is_a_few_short_lines_in_an_error(shell, flood):
    assert len(shell(f"{flood}; exit 3")) <= 12 * 501 + len("status 3: ")


def test_a_tree_deeper_than_any_path_is_refused_and_gone(python):
    deep = "import os\nfor _ in range(5000): os.mkdir('d'); os.chdir('d')"
    with pytest.raises(CosmosError, match="has 65 components, the limit is 64"):
        python(deep)


def test_a_tree_that_its_stage_cannot_hold_is_refused_with_a_way_out():
    runner = Bubble(tools=HOST_TOOLS, epoch=0, timeout_seconds=LONG_SECONDS, where="x", stage_bytes=SMALL)
    files = {TreePath(b"big"): file("big", bytes(2 * SMALL))}
    script = b'function install() copy("big", "/big") run{"touch", "/stage/ran"} end'
    with pytest.raises(ScriptFailed, match="x:1: run: x: its tree does not fit into a program's /stage") as caught:
        run_install(NovaJob(star="x", script_name="x", script=script, files=files, epoch=0, programs=runner))
    assert caught.value.exit_code == 6
    assert "copy() can bring them" in str(caught.value.hint)


def test_what_it_makes_unreadable_is_read_back_all_the_same():
    outcome = Bubble(tools=HOST_TOOLS, epoch=0, timeout_seconds=LONG_SECONDS, where="x").run(
        (b"sh", b"-c", b"mkdir -p d/e; echo x >d/e/f; ln -s f d/e/l; chmod 000 d/e/f d/e d /stage"), {}, {}
    )
    assert {path.text: entry.kind for path, entry in outcome.tree.items()} == {
        "d": "dir", "d/e": "dir", "d/e/f": "file", "d/e/l": "symlink"
    }  # fmt: skip
    assert outcome.tree[TreePath(b"d/e/f")].content == b"x\n"


def test_modes_and_links_come_through_the_stage_as_they_were():
    tree = {
        entry.path: entry
        for entry in (
            Entry(path=TreePath(b"d"), kind="dir", mode=0o700, uid=7),
            file("d/run", b"r", 0o4755), file("d/read", b"d", 0o600),
            Entry(path=TreePath(b"l"), kind="symlink", mode=0o777, target=b"/etc/shadow"),
            Entry(path=TreePath(b"n"), kind="char", mode=0o666, rdev=(1, 3)),
        )
    }  # fmt: skip
    outcome = Bubble(tools=HOST_TOOLS, epoch=0, timeout_seconds=LONG_SECONDS, where="x").run((b"true",), {}, tree)
    assert outcome.tree == tree


KILLED = f"""
import sys, time
from cosmos.sandbox import bubble
bubble.demand_closed = lambda *rest: (print("asleep", flush=True), time.sleep(600))
runner = bubble.Bubble(tools=bubble.HOST_TOOLS, epoch=0, timeout_seconds={LONG_SECONDS}, where="x")
runner.run((b"sleep", b"63.{MARK}"), {{}}, {{}})
"""


def test_a_builder_that_is_killed_leaves_no_sandbox_and_starts_no_program(open_folder):
    surroundings = {**os.environ, "TMPDIR": str(open_folder)}  # for what it leaves
    with subprocess.Popen([sys.executable, "-c", KILLED], stdout=subprocess.PIPE, env=surroundings) as builder:
        assert builder.stdout is not None
        assert builder.stdout.readline() == b"asleep\n"
        assert running(f"63.{MARK}")
        builder.kill()
    assert soon_gone(f"63.{MARK}")


@pytest.mark.parametrize(
    "command", ["ln -s /etc/shadow link", "ln -s ../../../../etc link; true", "mkdir d; ln -s /etc d/etc"]
)
def test_a_link_that_it_leaves_is_read_back_as_a_link(command):
    outcome = Bubble(tools=HOST_TOOLS, epoch=0, timeout_seconds=LONG_SECONDS, where="x").run(
        (b"sh", b"-c", command.encode()), {}, {}
    )
    assert {entry.kind for entry in outcome.tree.values()} <= {"symlink", "dir"}


@pytest.mark.parametrize("command", ["mknod w c 0 0", "python3 -c 'import socket; socket.socket(1).bind(\"s\")'"])
def test_what_no_star_may_ship_is_refused(command):
    runner = Bubble(tools=HOST_TOOLS, epoch=0, timeout_seconds=LONG_SECONDS, where="x")
    with pytest.raises(CosmosError, match="is not a file, folder or symlink"):
        runner.run((b"sh", b"-c", command.encode()), {}, {})


def test_a_folder_swapped_for_a_link_is_not_followed(tmp_path):
    (tmp_path / "root").mkdir()
    (tmp_path / "root/d").mkdir()
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/secret").write_text(SECRET)
    entries = folder_entries(tmp_path / "root")
    assert next(entries).kind == "dir"
    (tmp_path / "root/d").rmdir()
    (tmp_path / "root/d").symlink_to(tmp_path / "outside")
    with pytest.raises(OSError, match=r"Not a directory|Too many levels"):
        list(entries)


def test_nothing_is_written_through_a_link_of_the_tree(tmp_path):
    (tmp_path / "root").mkdir()
    root = os.open(tmp_path / "root", os.O_RDONLY)
    tree = {
        TreePath(b"a"): Entry(path=TreePath(b"a"), kind="symlink", mode=0o777, target=str(tmp_path).encode()),
        TreePath(b"a/x"): file("a/x", b"BREACH"),
    }
    with pytest.raises(CosmosError, match="lies below /a, which is no folder"):
        laid_out(tree, root, 0)
    os.close(root)
    assert not (tmp_path / "x").exists()


@pytest.fixture
def open_folder():
    """A folder that every user may enter: as root, programs are started as nobody."""
    with open_to_all() as folder:
        yield folder


def shell_files() -> list[Entry]:
    """This machine's `sh`, and what it is linked with, as a star would bring them."""
    listed = subprocess.run(["ldd", "/bin/sh"], capture_output=True, text=True, check=True).stdout
    paths = ("/bin/sh", *sorted({word for word in listed.split() if word.startswith("/")}))
    return [file(path.lstrip("/"), Path(path).read_bytes(), 0o755) for path in paths]


def tools_of(entries: list[Entry]) -> Tools:
    return star_tools(lambda: iter(entries), tools_digest(map(ManifestLine.of, entries)))


def test_tools_of_stars_are_all_that_a_program_at_installation_has():
    tools = tools_of(shell_files())
    runner = Bubble(tools=tools, epoch=0, timeout_seconds=LONG_SECONDS, where="x")
    script = b'function install() run{"/bin/sh", "-c", "echo /* >list"} end'
    result = run_install(NovaJob(star="x", script_name="x", script=script, files={}, epoch=0, programs=runner))
    seen = set(bytes(result.entries[TreePath(b"list")].content).decode().split())
    assert seen <= {"/bin", "/dev", "/lib", "/lib64", "/proc", "/stage", "/tmp"}
    event = next(event for event in result.receipt.events if event.verb == "run")
    assert event.facts["before"] != event.facts["after"]
    assert str(event.facts["after"]).startswith("sha256:")
    assert event.facts["tools"] == tools.digest == content_root(map(ManifestLine.of, shell_files()))


def test_a_program_that_is_not_among_its_tools_fails_the_script():
    runner = Bubble(tools=tools_of([]), epoch=0, timeout_seconds=LONG_SECONDS, where="x")
    job = NovaJob(
        star="x", script_name="x", script=b'function install() run{"sh"} end', files={}, epoch=0, programs=runner
    )
    with pytest.raises(ScriptFailed, match="sh ended with status 1"):
        run_install(job)


def test_without_the_operators_consent_nothing_runs_and_the_line_to_add_is_said():
    job = NovaJob(
        star="tool",
        script_name="x",
        script=b'function install() run{"sh"} end',
        files={},
        epoch=0,
        run_hint='say so in image.toml: [policy] run = ["tool"]',
    )
    with pytest.raises(ScriptFailed, match=r"run\(\) is not allowed") as caught:
        run_install(job)
    assert str(caught.value.hint).endswith('say so in image.toml: [policy] run = ["tool"]')


def test_without_bubblewrap_nothing_runs_and_it_is_said_how_to_get_it(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    runner = Bubble(tools=HOST_TOOLS, epoch=0, timeout_seconds=LONG_SECONDS, where="x")
    job = NovaJob(
        star="x", script_name="x", script=b'function build() run{"sh"} end', files={}, epoch=0, programs=runner
    )
    with pytest.raises(WorldFailed, match="bwrap") as caught:
        run_build(job)
    assert caught.value.exit_code == 5
    assert "apt-get install --no-install-recommends bubblewrap" in str(caught.value.hint)


SEEN = """
ulimit -a; umask; pwd; set; cat /proc/self/mountinfo /proc/self/environ; grep Sig /proc/self/status; ls -l /proc/self/fd
"""


def seen_by(setting: Callable[[], None]) -> str:
    """What a program sees if cosmos itself was started with `setting`."""
    ours, its = os.pipe()
    child = os.fork()
    if child == 0:
        with os.fdopen(its, "w") as stream:
            try:
                setting()
                runner = Bubble(tools=HOST_TOOLS, epoch=5, timeout_seconds=LONG_SECONDS, where="x")
                outcome = runner.run((b"bash", b"-c", b"{" + SEEN.encode() + b"} >out 2>&1"), {}, {})
                stream.write(bytes(outcome.tree[TreePath(b"out")].content).decode() or outcome.last)
            except BaseException as error:
                stream.write(f"{error!r} {getattr(error, 'hint', '')}")
        os._exit(0)
    os.close(its)
    with os.fdopen(ours) as stream:
        said = stream.read()
    os.waitpid(child, 0)
    return said


LIMITED = f"""
import resource, sys
from cosmos.sandbox.bubble import HOST_TOOLS, Bubble
from cosmos.treepath import TreePath
number, value = map(int, sys.argv[1:])
resource.setrlimit(number, (value, value))
runner = Bubble(tools=HOST_TOOLS, epoch=5, timeout_seconds={LONG_SECONDS}, where="x")
outcome = runner.run((b"bash", b"-c", b"ulimit -a >out"), {{}}, {{}})
print(bytes(outcome.tree[TreePath(b"out")].content).decode() or outcome.last)
"""


@pytest.mark.parametrize("which", ["NOFILE", "NPROC", "AS", "FSIZE", "CORE", "MEMLOCK", "STACK"])
def test_a_limit_of_cosmos_that_is_lower_stays_and_the_program_runs(which):
    low = {"NOFILE": 777, "NPROC": 4095, "AS": 3 << 30, "FSIZE": 1 << 30, "CORE": 0, "MEMLOCK": 4096, "STACK": 4 << 20}
    number, value = getattr(resource, f"RLIMIT_{which}"), low[which]
    words = (sys.executable, "-c", LIMITED, str(number), str(value))  # a new process: this one may be of any size
    said = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    names = {"NOFILE": "open files", "NPROC": "max user processes", "AS": "virtual memory", "FSIZE": "file size",
             "CORE": "core file size", "MEMLOCK": "max locked memory", "STACK": "stack size"}  # fmt: skip
    shown = value if which in ("NOFILE", "NPROC") else value // 1024
    assert re.search(rf"^{names[which]} .* {shown}$", said, re.MULTILINE), said


def test_a_limit_that_is_too_low_for_bubblewrap_is_not_called_a_lack_of_namespaces():
    said = seen_by(lambda: resource.setrlimit(resource.RLIMIT_AS, (40 << 20, 40 << 20)))
    assert "ulimit" in said or "open files" in said, said
    assert "user namespaces" not in said


def test_how_cosmos_was_started_is_not_seen_by_a_program(open_folder, monkeypatch):
    def strangely() -> None:
        os.umask(0o777)
        os.chdir(open_folder)
        os.environ.update(TMPDIR=str(open_folder), HOME=str(open_folder), COSMOS_HOME=str(open_folder))
        tempfile.tempdir = None
        for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1, signal.SIGALRM])
        resource.setrlimit(resource.RLIMIT_NOFILE, (1100, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
        resource.setrlimit(resource.RLIMIT_STACK, (16 << 20, resource.getrlimit(resource.RLIMIT_STACK)[1]))

    plain, strange = seen_by(lambda: None), seen_by(strangely)
    assert "0022" in plain.split()
    assert str(open_folder) not in strange
    each_run = (r"pipe:.*", r"/bindfile\w+", r"^\d+ \d+ \d+:\d+ ", r"(?<= )\d{2}:\d{2}", r"\bPPID=.*", r"/proc/\d+",
                r"^(BASH|EPOCH|RANDOM|SECONDS|SRANDOM|_=).*")  # fmt: skip
    fields = re.compile("|".join(each_run), re.MULTILINE)
    assert fields.sub("", strange) == fields.sub("", plain)


def test_a_program_that_reads_its_input_finds_none(shell):
    assert shell("cat >out; read x || echo none >>out; readlink /proc/self/fd/0 >>out") == "none\n/dev/null\n"


def test_no_place_of_the_tools_on_this_machine_is_seen():
    tools = tools_of(shell_files())
    runner = Bubble(tools=tools, epoch=7, timeout_seconds=LONG_SECONDS, where="x")
    copies = b'while read -r line; do echo "$line"; done </proc/self/mountinfo >out'
    mounts = bytes(runner.run((b"/bin/sh", b"-c", copies), {}, {}).tree[TreePath(b"out")].content).decode()
    root = next(line for line in mounts.splitlines() if line.split()[4] == "/")
    assert root.split()[3] == "/"
    assert " - tmpfs tmpfs " in root
    assert tempfile.gettempdir() + "/" not in mounts


def test_tools_that_a_sandbox_cannot_hold_are_refused_with_a_way_out():
    tools = replace(tools_of([file("usr/big", bytes(2 * SMALL))]), size_bytes=SMALL)
    with pytest.raises(Malformed, match="x: its tools do not fit into a program's memory, which has 1048576 bytes"):
        Bubble(tools=tools, epoch=0, timeout_seconds=LONG_SECONDS, where="x").run((b"x",), {}, {})


def test_without_user_namespaces_nothing_runs_and_it_is_said_what_to_do(monkeypatch, open_folder):
    broken = open_folder / "bwrap"
    broken.write_text("#!/bin/sh\necho 'bwrap: No permissions to create new namespace' >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setenv("PATH", f"{open_folder}:/usr/bin:/bin")
    runner = Bubble(tools=HOST_TOOLS, epoch=0, timeout_seconds=LONG_SECONDS, where="x")
    with pytest.raises(WorldFailed, match="No permissions to create new namespace") as caught:
        runner.run((b"sh",), {}, {})
    assert caught.value.exit_code == 5
    assert "kernel.unprivileged_userns_clone=1" in str(caught.value.hint)


# What a bwrap that does less than it was told would leave open; each is seen. `a` are its words.
LOOSE = {
    "namespaces is the builder's net": "before('--disable-userns', '--share-net')",
    "namespaces is the builder's uts": "a[a.index('--unshare-all')] = NO_UTS; drop('--hostname', 2)",
    "processes is [0-9]+, itself number": "a[a.index('--unshare-all')] = NO_PID; a[a.index('--proc')] = BIND_PROC",
    "/etc as .* ro": "before('--chdir', '--ro-bind', '/etc', '/etc')",
    "/ as tmpfs rw": "drop('--remount-ro', 2)",
    "/usr as .* rw": "a[a.index('--ro-bind')] = '--bind'",
    "/dev/kmsg as ": "before('--remount-ro', '--dev-bind', '/dev/null', '/dev/kmsg')",
    "/dev as tmpfs rw": "dev = len(a) - 1 - a[::-1].index('--remount-ro'); del a[dev : dev + 2]",
    "/stage as tmpfs rw": "a[a.index('/stage') - 2] = '1048576000'",
    "canary is there": "before('--chdir', '--ro-bind', TEMPORARY, TEMPORARY)",
    "environment is not empty": "os.environ['SECRET'] = 'a-secret'",
    "descriptors is /": "os.set_inheritable(os.open('/', os.O_RDONLY), True)",
    "has not finished its sandbox": "a[a.index('--cap-drop')] = '--cap-add'",
}
LOOSE_BWRAP = """#!/usr/bin/python3 -I
import os, sys
os.environ.clear()  # of what this interpreter sets for itself
a = sys.argv[:]
BIND_PROC, NO_UTS, NO_PID, TEMPORARY = object(), object(), object(), {temporary!r}
KINDS = ["--unshare-user", "--unshare-ipc", "--unshare-net", "--unshare-cgroup-try"]
def before(word, *more): a[a.index(word):a.index(word)] = more
def drop(word, number): del a[a.index(word):a.index(word) + number]
before("--chdir", "--bind", {mark!r}, "/tmp")
{change}
words = []
for word in a:
    words += ["--ro-bind", "/proc"] if word is BIND_PROC else [*KINDS, "--unshare-pid"] if word is NO_UTS else (
        [*KINDS, "--unshare-uts"] if word is NO_PID else [word])
os.execv({bwrap!r}, words)
"""


@pytest.fixture
def loosened(monkeypatch, open_folder):
    """Runs a program in the sandbox of a bwrap that was changed; `.ran`: whether it left its mark on this machine."""

    def run(change: str, *, start_seconds: float = LONG_SECONDS) -> None:
        mark = open_folder / "mark"
        mark.mkdir()
        mark.chmod(0o777)
        text = LOOSE_BWRAP.format(
            temporary=str(shared_folder()), mark=str(mark), change=change, bwrap=shutil.which("bwrap")
        )
        (open_folder / "bwrap").write_text(text)
        (open_folder / "bwrap").chmod(0o755)
        monkeypatch.setenv("PATH", f"{open_folder}:{os.environ['PATH']}")
        monkeypatch.setattr(tempfile, "tempdir", str(shared_folder()))  # which the loose bwrap shows
        monkeypatch.setattr(bubble, "_START_SECONDS", start_seconds)
        runner = Bubble(tools=HOST_TOOLS, epoch=0, timeout_seconds=LONG_SECONDS, where="x")
        try:
            runner.run((b"touch", b"/tmp/ran"), {}, {})
        finally:
            run.ran = (mark / "ran").exists()

    return run


@pytest.mark.objective("SO-23")
@pytest.mark.parametrize(("seen", "change"), LOOSE.items(), ids=range(len(LOOSE)))
def test_a_sandbox_of_run_that_is_loose_is_seen_and_nothing_runs(loosened, seen, change):
    with pytest.raises(WorldFailed, match=seen) as caught:
        loosened(change, start_seconds=0.5 if seen == "has not finished its sandbox" else LONG_SECONDS)
    assert caught.value.exit_code == 5
    assert not loosened.ran


def test_a_loose_sandbox_that_is_not_looked_at_would_leave_its_mark(loosened, monkeypatch):
    monkeypatch.setattr(bubble, "demand_closed", lambda *rest: None)
    loosened("pass")
    assert loosened.ran, "what the tests above look for"


def test_nothing_is_read_back_before_the_sandbox_is_seen_to_be_gone(monkeypatch):
    """The kernel closes the first process's output before it kills the others: a race too narrow to be tried."""
    order: list[str] = []
    end, read_back = bubble.Sleeper.end, bubble.read_back
    monkeypatch.setattr(bubble.Sleeper, "end", lambda *rest: end(*rest) or order.append("gone"))
    monkeypatch.setattr(bubble, "read_back", lambda *rest: order.append("read") or read_back(*rest))
    Bubble(tools=HOST_TOOLS, epoch=0, timeout_seconds=LONG_SECONDS, where="x").run((b"true",), {}, {})
    assert order[:2] == ["gone", "read"]


@pytest.mark.objective("SO-23")
def test_without_a_bwrap_that_waits_nothing_is_believed(loosened):
    with pytest.raises(WorldFailed):
        loosened("drop('--info-fd', 2)", start_seconds=0.5)
    assert not loosened.ran


def test_the_command_is_what_the_design_says():
    memory = {"/": 4, "/dev/shm": 1, "/tmp": 2, "/stage": 3}
    channels = Channels(info=7, block=8, laid=10, gate=contextlib.ExitStack(), seccomp=9)
    command = " ".join(sandboxed(("--ro-bind", "/usr", "/usr"), memory, channels))
    assert command == (
        "--unshare-user --unshare-all --disable-userns --die-with-parent --new-session --clearenv --cap-drop ALL "
        "--uid 0 --gid 0 --hostname nova --size 4 --tmpfs / --file 10 /tmp/laid --remount-ro / --ro-bind /usr /usr "
        "--proc /proc --dev /dev --size 1 --tmpfs /dev/shm --remount-ro /dev "
        "--size 2 --tmpfs /tmp --size 3 --tmpfs /stage --chdir /stage --seccomp 9 --info-fd 7 --block-fd 8"
    )
