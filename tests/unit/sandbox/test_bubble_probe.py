"""What the live probe of `run()` says to each thing that it may see, on a folder that is laid out like a process's own
in /proc. That it sees a real sandbox so, and a loose one, is tried in tests/attack.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cosmos.errors import WorldFailed
from cosmos.sandbox.bubble_probe import WANTED, Asked, Process, demand_closed, inspected

ASKED = Asked(tools=("/usr",), memory={"/": 1 << 18, "/stage": 1 << 20, "/tmp": 1 << 16})
STATUS = """Name:\tbwrap
State:\tS (sleeping)
PPid:\t77
NSpid:\t4711\t1
CapInh:\t0000000000000000
CapPrm:\t0000000000000000
CapEff:\t0000000000000000
CapBnd:\t0000000000000000
CapAmb:\t0000000000000000
NoNewPrivs:\t1
"""
MOUNTS = """1 0 0:7 / / ro,nosuid - tmpfs tmpfs rw,size=256k,mode=755
2 1 8:1 /usr /usr ro,nosuid - ext4 /dev/sda rw
3 2 8:2 / /usr/local ro,nosuid - ext4 /dev/sdb rw
4 1 0:1 / /proc rw,nosuid - proc proc rw
5 4 0:1 /irq /proc/irq ro,nosuid - proc proc rw
6 1 0:2 / /dev ro,nosuid - tmpfs tmpfs rw,mode=755
7 6 0:3 /null /dev/null rw,nosuid - devtmpfs devtmpfs rw
8 6 0:4 / /dev/pts rw,nosuid - devpts devpts rw
9 1 0:5 / /tmp rw,nosuid - tmpfs tmpfs rw,size=64k,mode=755
10 1 0:6 / /stage rw,nosuid - tmpfs tmpfs rw,size=1024k,mode=755
"""
NETWORK = "Inter-|   Receive\n face |bytes\n    lo:  0 0\n  sit0:  0 0\n"
CANARY = "/tmp/canary"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A process as it should be."""
    for name in ("ns", "net", "fd", "root/proc/1", "root/proc/sys", "root/tmp"):
        (tmp_path / name).mkdir(parents=True)
    for kind in ("user", "mnt", "pid", "net", "ipc", "uts", "cgroup"):
        (tmp_path / "ns" / kind).symlink_to(f"{kind}:[1]")
    for name, text in {"status": STATUS, "mountinfo": MOUNTS, "net/dev": NETWORK, "environ": ""}.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "fd/0").symlink_to("/dev/null")
    (tmp_path / "fd/1").symlink_to("pipe:[123]")
    (tmp_path / "fd/4").symlink_to("/memfd:seccomp (deleted)")
    return tmp_path


@pytest.fixture
def process(folder: Path):
    number = os.open(folder, os.O_RDONLY)
    yield Process(folder=number)
    os.close(number)


def test_a_sandbox_that_is_as_it_was_asked_is_let_pass(process):
    assert inspected(process, ASKED, CANARY) == WANTED
    demand_closed(process, ASKED, "x")


CAPABILITIES = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")
CHANGES = {  # row -> each: a file, what becomes what, what is seen
    **{name: ("capabilities", "status", (f"{name}:\t0", f"{name}:\t1"), f"{name} 1") for name in CAPABILITIES},
    "one set less": ("capabilities", "status", ("CapAmb:\t0000000000000000\n", ""), "unknown"),
    "new privileges": ("no-new-privileges", "status", ("NoNewPrivs:\t1", "NoNewPrivs:\t0"), "off"),
    "an interface": ("network", "net/dev", ("  sit0:", "  eth0:"), "eth0"),
    "no table of interfaces": ("network", "net/dev", (NETWORK, ""), "unknown"),
    "not the first": ("processes", "status", ("4711\t1", "4711"), "1, itself number 4711"),
    "a variable": ("environment", "environ", ("", "HOME=/x\0"), "not empty"),
    "a mount more": ("mounts", "mountinfo", ("/usr/local ro", "/home ro"), "/home as ext4 ro"),
    "a mount like tools": ("mounts", "mountinfo", ("/usr/local ro", "/usrlocal ro"), "/usrlocal as ext4 ro"),
    "tools to write to": ("mounts", "mountinfo", ("/usr/local ro", "/usr/local rw"), "/usr/local as ext4 rw"),
    "a root to write to": ("mounts", "mountinfo", (" / ro,", " / rw,"), "/ as tmpfs rw"),
    "a larger root": ("mounts", "mountinfo", ("size=256k", "size=257k"), "/ as tmpfs ro"),
    "no proc": ("mounts", "mountinfo", ("/proc rw,nosuid - proc", "/proc rw,nosuid - tmpfs"), "/proc as tmpfs"),
    "a proc to write to": ("mounts", "mountinfo", ("/proc/irq ro", "/proc/irq rw"), "/proc/irq as proc rw"),
    "a device more": ("mounts", "mountinfo", ("/dev/null rw", "/dev/sda rw"), "/dev/sda as devtmpfs rw"),
    "devices to write among": ("mounts", "mountinfo", ("/dev ro", "/dev rw"), "/dev as tmpfs rw"),
    "a stage on the disk": ("mounts", "mountinfo", ("/stage rw,nosuid - tmpfs", "/stage rw - ext4"), "/stage as"),
    "a larger stage": ("mounts", "mountinfo", ("size=1024k", "size=1025k"), "/stage as tmpfs rw"),
    "a stage without size": ("mounts", "mountinfo", (",size=1024k", ""), "/stage as tmpfs rw"),
    "a stage twice": ("mounts", "mountinfo", ("/usr/local ro,nosuid - ext4 /dev/sdb rw",
                                             "/stage rw - tmpfs tmpfs rw,size=1024k"), "/stage 2 times"),
    "no stage": ("mounts", "mountinfo", (MOUNTS.splitlines()[-1] + "\n", ""), "/stage 0 times"),
    "no mounts": ("mounts", "mountinfo", (MOUNTS, ""), "/proc 0 times, /dev 0 times, / 0 times"),
}  # fmt: skip


@pytest.mark.parametrize(("row", "file", "change", "seen"), CHANGES.values(), ids=CHANGES)
def test_whatever_else_is_seen_ends_the_build_and_is_said(folder, process, row, file, change, seen):
    text = (folder / file).read_text()
    assert change[0] in text
    (folder / file).write_text(text.replace(*change, 1))
    found = inspected(process, ASKED, CANARY)
    assert found[row].startswith(seen)
    assert {name: value for name, value in found.items() if name != row} == {
        name: value for name, value in WANTED.items() if name != row
    }
    with pytest.raises(WorldFailed, match=f"the sandbox of run.* does not hold: {row} is .*, wanted") as caught:
        demand_closed(process, ASKED, "x")
    assert caught.value.exit_code == 5


@pytest.mark.parametrize("kind", ["user", "mnt", "pid", "net", "ipc", "uts", "cgroup"])
def test_a_namespace_of_the_builder_is_seen(folder, process, kind):
    (folder / "ns" / kind).unlink()
    (folder / "ns" / kind).symlink_to(Path("/proc/self/ns", kind).readlink())
    assert inspected(process, ASKED, CANARY)["namespaces"] == f"the builder's {kind}"


def test_another_process_a_canary_and_a_descriptor_are_seen(folder, process):
    (folder / "root/proc/2").mkdir()
    (folder / "root/tmp/canary").touch()
    (folder / "fd/5").symlink_to("/home")
    found = inspected(process, ASKED, CANARY)
    assert (found["processes"], found["canary"], found["descriptors"]) == ("2, itself number 1", "there", "/home")


FILES = {
    "capabilities": "status",
    "no-new-privileges": "status",
    "namespaces": "ns/net",
    "network": "net/dev",
    "processes": "root/proc",
    "mounts": "mountinfo",
    "environment": "environ",
    "descriptors": "fd",
}


@pytest.mark.parametrize("row", FILES)
def test_what_cannot_be_read_is_unknown_and_ends_the_build(folder, process, row):
    (folder / FILES[row]).rename(folder / "away")
    assert inspected(process, ASKED, CANARY)[row] == "unknown"
    with pytest.raises(WorldFailed, match=f"{row} is unknown, wanted"):
        demand_closed(process, ASKED, "x")


def test_a_place_where_the_canary_cannot_be_looked_for_is_unknown(folder, process):
    (folder / "root/tmp").rmdir()
    (folder / "root/tmp").symlink_to("tmp")  # a loop
    assert inspected(process, ASKED, CANARY)["canary"] == "unknown"


def test_only_the_child_that_waits_without_capabilities_counts_as_asleep(folder, process):
    assert process.is_asleep(77)
    assert not process.is_asleep(78)
    for old, new in (("S (sleeping)", "R (running)"), ("CapEff:\t0", "CapEff:\t1")):
        (folder / "status").write_text(STATUS.replace(old, new))
        assert not process.is_asleep(77)
