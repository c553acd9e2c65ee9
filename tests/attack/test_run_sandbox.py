"""Programs that `run()` starts: they see their tools and the star, and nothing of the builder."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import threading
from pathlib import Path

import pytest

from cosmos.errors import CosmosError, ScriptFailed, WorldFailed
from cosmos.nova import bubble
from cosmos.nova.bubble import Bubble, host_tools, star_tools
from cosmos.nova.job import NovaJob
from cosmos.nova.on_disk import folder_entries, written_out
from cosmos.nova.run import run_build, run_install
from cosmos.tree.entry import Entry
from cosmos.treepath import TreePath

pytestmark = [
    pytest.mark.objective("SO-22"),
    pytest.mark.skipif(shutil.which("bwrap") is None, reason="bubblewrap is not there"),
]
SECRET = "a-secret-of-the-builder"


def file(path: str, content: bytes, mode: int = 0o644) -> Entry:
    return Entry(path=TreePath.parse(path), kind="file", mode=mode, content=content)


@pytest.fixture
def shell(tmp_path, monkeypatch):
    """Runs a shell command as `run()` in `build()` would; returns what it left in `out`."""
    monkeypatch.setenv("COSMOS_TEST_SECRET", SECRET)
    (tmp_path / "secret").write_text(SECRET)

    def run(command: str, seconds: float = 20) -> str:
        runner = Bubble(tools=host_tools, epoch=5, timeout_seconds=seconds, where="build()")
        outcome = runner.run((b"sh", b"-c", command.encode()), {b"CC": b"gcc"}, {})
        made = outcome.tree.get(TreePath(b"out"))
        return bytes(made.content).decode() if made else f"status {outcome.status}: {outcome.last}"

    return run


def test_its_environment_is_fixed(shell):
    lines = set(shell("env >out").split("\n")) - {""}
    assert lines == {"CC=gcc", "HOME=", "LC_ALL=C.UTF-8", "PATH=/usr/bin:/usr/sbin:/bin:/sbin", "PWD=/stage",
                     "SOURCE_DATE_EPOCH=5", "TMPDIR=/tmp", "TZ=UTC"}  # fmt: skip


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
    assert shell(f"kill -0 {os.getpid()} 2>/dev/null && echo BREACH >out || echo none >out") == "none\n"


def test_it_has_no_capability_and_gains_none(shell):
    said = shell("grep -E '^(Cap(Eff|Prm|Bnd|Inh)|NoNewPrivs)' /proc/self/status >out")
    values = dict(line.split(":\t") for line in said.splitlines())
    assert values == {"CapInh": "0" * 16, "CapPrm": "0" * 16, "CapEff": "0" * 16, "CapBnd": "0" * 16, "NoNewPrivs": "1"}


def test_it_makes_no_user_namespace_of_its_own(shell):
    assert shell("unshare -U true 2>/dev/null && echo BREACH >out || echo none >out") == "none\n"


def test_it_has_no_network(shell):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        met = threading.Event()
        server.settimeout(3)

        def wait() -> None:
            try:
                server.accept()
                met.set()
            except OSError:
                pass

        waiting = threading.Thread(target=wait)
        waiting.start()
        assert (
            shell(f"(bash -c 'echo x >/dev/tcp/127.0.0.1/{port}') 2>/dev/null && echo BREACH >out || echo none >out")
            == "none\n"
        )
        waiting.join()
        assert not met.is_set()
    assert shell("tail -n +3 /proc/net/dev | grep -vc lo: >out; true").strip() == "0"


@pytest.mark.parametrize(
    "place", ["/x", "/usr/x", "/etc/x", "/proc/sys/kernel/core_pattern", "/proc/sysrq-trigger", "/bin/x"]
)
def test_it_writes_nowhere_but_to_the_star(shell, place):
    assert shell(f"(: >>{place}) 2>/dev/null && echo BREACH >out || echo none >out") == "none\n"


def test_what_it_leaves_running_dies(shell, tmp_path):
    said = shell("(sleep 3; echo late >late) & echo started >out")
    assert said == "started\n"


def test_one_that_runs_on_is_killed(shell):
    with pytest.raises(WorldFailed, match="was not done in 1 seconds"):
        shell("sleep 60", seconds=1)


@pytest.mark.parametrize(
    "command", ["ln -s /etc/shadow link", "ln -s ../../../../etc link; true", "mkdir d; ln -s /etc d/etc"]
)
def test_a_link_that_it_leaves_is_read_back_as_a_link(command):
    outcome = Bubble(tools=host_tools, epoch=0, timeout_seconds=20, where="x").run(
        (b"sh", b"-c", command.encode()), {}, {}
    )
    assert {entry.kind for entry in outcome.tree.values()} <= {"symlink", "dir"}


@pytest.mark.parametrize("command", ["mkfifo p", "python3 -c 'import socket; socket.socket(1).bind(\"s\")'"])
def test_what_no_star_may_ship_is_refused(command):
    runner = Bubble(tools=host_tools, epoch=0, timeout_seconds=20, where="x")
    with pytest.raises(CosmosError, match="is no file, folder or symlink"):
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
    tree = {
        TreePath(b"a"): Entry(path=TreePath(b"a"), kind="symlink", mode=0o777, target=str(tmp_path).encode()),
        TreePath(b"a/x"): file("a/x", b"BREACH"),
    }
    with pytest.raises(CosmosError, match="lies below /a, which is no folder"):
        written_out(tree, tmp_path / "root")
    assert not (tmp_path / "x").exists()


@pytest.fixture
def open_folder():
    """A folder that every user may enter: as root, programs are started as nobody."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


def shell_files() -> list[Entry]:
    """This machine's `sh`, and what it is linked with, as a star would bring them."""
    listed = subprocess.run(["ldd", "/bin/sh"], capture_output=True, text=True, check=True).stdout
    paths = ("/bin/sh", *sorted({word for word in listed.split() if word.startswith("/")}))
    return [file(path.lstrip("/"), Path(path).read_bytes(), 0o755) for path in paths]


def test_tools_of_stars_are_all_that_a_program_at_installation_has():
    runner = Bubble(tools=star_tools(lambda: iter(shell_files())), epoch=0, timeout_seconds=20, where="x")
    script = b'function install() run{"/bin/sh", "-c", "echo /* >list"} end'
    result = run_install(NovaJob(star="x", script_name="x", script=script, files={}, epoch=0, programs=runner))
    seen = set(bytes(result.entries[TreePath(b"list")].content).decode().split())
    assert seen <= {"/bin", "/dev", "/lib", "/lib64", "/proc", "/stage", "/tmp"}
    event = next(event for event in result.receipt.events if event.verb == "run")
    assert event.facts["before"] != event.facts["after"]
    assert str(event.facts["after"]).startswith("sha256:")


def test_a_program_that_is_not_among_its_tools_fails_the_script():
    runner = Bubble(tools=star_tools(lambda: iter([])), epoch=0, timeout_seconds=20, where="x")
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
    runner = Bubble(tools=host_tools, epoch=0, timeout_seconds=20, where="x")
    job = NovaJob(
        star="x", script_name="x", script=b'function build() run{"sh"} end', files={}, epoch=0, programs=runner
    )
    with pytest.raises(WorldFailed, match="bwrap") as caught:
        run_build(job)
    assert caught.value.exit_code == 5
    assert "apt-get install --no-install-recommends bubblewrap" in str(caught.value.hint)


def test_without_user_namespaces_nothing_runs_and_it_is_said_what_to_do(monkeypatch, open_folder):
    broken = open_folder / "bwrap"
    broken.write_text("#!/bin/sh\necho 'bwrap: No permissions to create new namespace' >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setenv("PATH", f"{open_folder}:/usr/bin:/bin")
    runner = Bubble(tools=host_tools, epoch=0, timeout_seconds=20, where="x")
    with pytest.raises(WorldFailed, match="No permissions to create new namespace") as caught:
        runner.run((b"sh",), {}, {})
    assert caught.value.exit_code == 5
    assert "kernel.unprivileged_userns_clone=1" in str(caught.value.hint)


def test_the_command_is_what_the_design_says(tmp_path):
    command = " ".join(bubble.sandboxed("bwrap", ("--ro-bind", "TOOLS", "/"), Path("STAGE")))
    assert command == (
        "bwrap --unshare-user --unshare-all --disable-userns --die-with-parent --new-session --clearenv --cap-drop ALL "
        "--hostname nova --ro-bind TOOLS / --proc /proc --dev /dev --size 268435456 --tmpfs /tmp --bind STAGE /stage "
        "--chdir /stage"
    )
