"""Nova's sandbox on another machine: its tests on a kernel and a Python for aarch64, in QEMU. `make test-aarch64`.

    python tests/boot/aarch64_sandbox.py FOLDER [WORD…]

In this order:

  1. Debian's Python, busybox and kernel for arm64, and all that Python needs, through apt: checked, kept in FOLDER
  2. the packages of Python that the tests use, built for aarch64, exactly as requirements-dev.txt locks them
  3. an initramfs of those, this checkout's program and tests, and a small /init
  4. started in QEMU, which emulates: /init runs pytest with WORDs, `TESTS` unless given, and powers off

The console goes to stdout, and the exit code is 0 if every test passed, 1 if one failed, 5 if it did not come so far.
Emulation is 10 to 20 times slower than a machine: all takes a quarter of an hour. The limits of time of the corpus of
attacks are raised there (`SLOW`), those of the builder are as everywhere; attacks that want to run on (`dos-…`,
`many-hints`) are left out: what ends them there is the builder's clock and not what they are meant to run into.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import sys
import time
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from cosmos.debian.apt import Apt
from cosmos.debian.closure import debian_closure
from cosmos.debian.deb import read_deb
from cosmos.debian.deb822 import relations
from cosmos.errors import CosmosError, WorldFailed
from cosmos.model.names import Arch
from cosmos.model.reporter import Silent
from cosmos.pack.cpio import cpio_pieces
from cosmos.process import find_program, run_program, start_program
from cosmos.release.boot import harmless
from cosmos.tree.entry import Entry
from cosmos.treepath import TreePath

REPO = Path(__file__).resolve().parents[2]
TESTS = (
    "tests/golden/test_every_machine.py",
    "tests/attack/test_taken_over_worker.py",
    "tests/attack/test_nova_corpus.py",
    *("-k", "not dos and not many-hints"),
)
ARCHITECTURE = "arm64"
KERNEL = "linux-image-cloud-arm64"  # names the newest; its console and its initramfs are built in
SYSTEM = {"python3": None, "busybox-static": None}
# What the tests import, and what that imports; the rest of requirements-dev.txt is for other tests.
WHEELS = (
    "cffi", "click", "iniconfig", "jinja2", "lupa", "markupsafe", "packaging", "pluggy", "pycparser", "pygments",
    "pynacl", "pytest", "tomli-w", "zstandard",
)  # fmt: skip
PLATFORMS = ("manylinux_2_28_aarch64", "manylinux2014_aarch64")
MARKER = "NOVA-TESTS-ENDED"  # followed by pytest's exit status; not on the command line, which kernels print
CPU = "max,pauth-impdef=on"  # signed pointers as the kernel wants them, by a function that is quick to emulate
SECONDS = 3600
MEMORY_MIB = 1024
INIT = """#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mount -t tmpfs -o mode=1777 tmp /tmp
export PATH=/bin:/usr/bin LC_ALL=C.UTF-8 HOME=/root TERM=dumb PYTHONPATH=/checkout/builder:/wheels:/
uname -a
cd /checkout
python3 -m compileall -q builder /wheels/lupa
python3 -c 'from cosmos.nova.workers import WORKER
from cosmos.sandbox.probe import demand_sandbox
print(dict(demand_sandbox(WORKER)))'
python3 -m pytest -p slow_machine -p no:cacheprovider -v --tb=short --durations=10 WORDS
echo "MARKER $?"
poweroff -f
"""
SLOW = '''"""A pytest plugin: the corpus of attacks has limits of time that were measured on a real machine."""


def pytest_runtest_setup(item):
    if hasattr(item.module, "CPU_SECONDS"):
        script = item.callspec.params.get("script") if hasattr(item, "callspec") else None
        is_stopped = hasattr(script, "read_text") and script.read_text().startswith("-- want: stopped")
        item.module.CPU_SECONDS = 10 if is_stopped else 60
        item.module.WALL_SECONDS = 300
'''


def main(folder: Path, words: Sequence[str]) -> int:
    """Build the system, start it, show what it says; return the exit code."""
    init = INIT.replace("WORDS", shlex.join(words)).replace("MARKER", MARKER)
    apt = Apt.at(folder / "apt", Arch("aarch64"), environ=os.environ, now=time.time(), offline=False, reporter=Silent())
    entries, version = system(apt)
    entries |= by_path(wheel_entries(folder / "wheels", version))
    entries |= by_path(checkout_entries())
    entries |= by_path([file("init", init.encode()), file("slow_machine.py", SLOW.encode())])
    entries |= by_path(
        Entry(path=TreePath.parse(path), kind="dir", mode=0o755) for path in ("proc", "sys", "dev", "tmp")
    )
    initramfs = folder / "initramfs.cpio"
    with initramfs.open("wb") as stream:
        stream.writelines(cpio_pieces(with_folders(entries)))
    (folder / "vmlinuz").write_bytes(kernel(apt))
    return watched(folder / "vmlinuz", initramfs)


def system(apt: Apt) -> tuple[dict[TreePath, Entry], str]:
    """Return what the packages of `SYSTEM`, and all that they need, lay; and the version of their Python."""
    records = debian_closure(apt, SYSTEM, ARCHITECTURE, Silent()).records
    apt.fetch(list(records.values()))
    entries: dict[TreePath, Entry] = {}
    for name in sorted(records):
        entries |= by_path(read_deb(apt.read(records[name]), records[name].file_name).entries)
    return entries, ".".join(records["python3"].version.split(".")[:2])


def kernel(apt: Apt) -> bytes:
    """Return the newest kernel's image."""
    depends = relations(apt.record(KERNEL).fields["depends"], KERNEL)
    record = apt.record(depends[0][0].name)
    package = read_deb(apt.read(record), record.file_name)
    return next(bytes(one.content) for one in package.entries if one.path.startswith(b"boot/vmlinuz-"))


def wheel_entries(folder: Path, python_version: str) -> Iterator[Entry]:
    """Yield what the locked wheels hold, below `wheels/`; pip compares them with the lock's digests."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    lock = (REPO / "requirements-dev.txt").read_text()
    locked = re.findall(rf"^(?:{'|'.join(WHEELS)})==.*\n(?:    .*\n)*", lock, re.MULTILINE)
    (folder / "wanted.txt").write_text("".join(locked))
    run_program(
        [sys.executable, "-m", "pip", "download", "-q", "--disable-pip-version-check", "--no-input", "--no-deps",
         "--only-binary=:all:", "--require-hashes", "--python-version", python_version, "--dest", str(folder),
         *(f"--platform={platform}" for platform in PLATFORMS), "--requirement", str(folder / "wanted.txt")],
        env=os.environ, timeout_seconds=SECONDS, where="pip",
    )  # fmt: skip
    for wheel in sorted(folder.glob("*.whl")):
        with zipfile.ZipFile(wheel) as archive:
            for name in archive.namelist():
                if not name.endswith("/"):
                    yield file(f"wheels/{name}", archive.read(name))


def checkout_entries() -> Iterator[Entry]:
    """Yield this checkout's program and tests, as git tracks them or will, below `checkout/`."""
    listing = run_program(
        ["git", "-C", str(REPO), "ls-files", "-z", "--cached", "--others", "--exclude-standard",
         "builder", "tests", "docs", "pyproject.toml"],
        env=os.environ, timeout_seconds=60, where="git",
    )  # fmt: skip
    for name in filter(None, listing.decode().split("\0")):
        if (REPO / name).is_file():
            yield file(f"checkout/{name}", (REPO / name).read_bytes())


def file(path: str, content: bytes) -> Entry:
    """A file that may be run."""
    return Entry(path=TreePath.parse(path), kind="file", mode=0o755, content=content)


def by_path(entries: Iterable[Entry]) -> dict[TreePath, Entry]:
    """Return entries by path; of those at one path, the last."""
    return {entry.path: entry for entry in entries}


def with_folders(entries: dict[TreePath, Entry]) -> list[Entry]:
    """Return the entries in order of path, with every folder above one of them."""
    above = {parent for path in entries for parent in path.parents if parent}
    folders = (Entry(path=path, kind="dir", mode=0o755) for path in above)
    return [entry for _, entry in sorted((by_path(folders) | entries).items())]


def watched(image: Path, initramfs: Path) -> int:
    """Start the machine, print each line of its console, and return 0, or 1 where a test failed."""
    program = find_program("qemu-system-aarch64", "apt-get install qemu-system-arm")
    argv = [
        program, *("-M", "virt", "-cpu", CPU, "-accel", "tcg", "-m", str(MEMORY_MIB), "-no-reboot"),
        *("-nodefaults", "-display", "none", "-serial", "stdio", "-kernel", str(image), "-initrd", str(initramfs)),
        *("-append", "console=ttyAMA0 panic=-1 loglevel=4"),
    ]  # fmt: skip
    with start_program(argv, env={"LC_ALL": "C.UTF-8"}, where="aarch64") as machine:
        for line in machine.lines(SECONDS):
            print(harmless(line), flush=True)
            if match := re.match(rf"{MARKER} (\d+)", line):
                return 0 if match[1] == "0" else 1
    raise WorldFailed("aarch64", f"the machine went off without saying {MARKER}", hint="its console is above")


if __name__ == "__main__":
    try:
        sys.exit(main(Path(sys.argv[1]), sys.argv[2:] or TESTS))
    except CosmosError as error:
        hint = f"\naarch64_sandbox: hint: {error.hint}" if error.hint else ""
        print(f"aarch64_sandbox: error: {error}{hint}", file=sys.stderr)
        sys.exit(error.exit_code)
