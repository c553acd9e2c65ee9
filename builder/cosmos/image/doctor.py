"""What this machine can do for a builder: `cosmos doctor`.

Each check tries the thing itself, as a build would: it starts Nova's sandbox, runs a program in bubblewrap, writes a
file. It changes nothing that stays. A check has one of three results:

    good      it is there
    lacking   an image can be built, but something besides cannot be done
    broken    no image can be built
"""

from __future__ import annotations

import os
import platform
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal, TypeAlias

from cosmos.about import VERSION
from cosmos.durable import demand_writable
from cosmos.errors import CosmosError, WorldFailed
from cosmos.image.home_config import home_settings
from cosmos.image.rebuild.variations import variations
from cosmos.keyring.anchors import home_anchor, load_trust
from cosmos.keyring.state import home_state
from cosmos.limits import MIB
from cosmos.model.home_settings import shown_size
from cosmos.nova.workers import WORKER
from cosmos.pack.zst import ZSTD_VERSION
from cosmos.process import find_program, run_program
from cosmos.records import dataclass
from cosmos.release.boot import MACHINES
from cosmos.sandbox.bubble import HOST_TOOLS, Bubble
from cosmos.sandbox.kernel import landlock_version
from cosmos.sandbox.probe import demand_sandbox
from cosmos.store.blobs import StoreFolder
from cosmos.store.upkeep import items

Standing: TypeAlias = Literal["good", "lacking", "broken"]

_FULL_BYTES: Final = 64 * MIB  # with less, no image fits
_SMALL_BYTES: Final = 2048 * MIB  # the rescue image's stars, layers and release take 0.3 GiB, a desktop's some more
_SMALL_MEMORY_BYTES: Final = 512 * MIB
_TRIAL_SECONDS: Final = 20
_SPRING_OF_2026: Final = 1_775_000_000  # no machine that runs this version is older


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """The result of one check. `purpose` is what needs it, `found` what is there, `mend` what to do about it."""

    name: str
    purpose: str
    found: str
    standing: Standing = "good"
    mend: str = ""


def examined(home: Path, now: float, temporary: Path) -> Iterator[Finding]:
    """Yield a finding for each thing that a builder needs from its machine, what every build needs first.

    `home` is the builder's home, which need not be there yet, `now` the time of the clock, and `temporary` the folder
    of temporary files.
    """
    yield _program()
    yield _zstd()
    yield _scripts()
    yield _home(home)
    yield _store(home)
    yield _temporary(temporary)
    yield _memory()
    yield _trust(home)
    yield _second_fence()
    yield _programs_of_scripts()
    yield _apt()
    yield from _emulators()
    yield _clock(now)
    yield _rebuild()


def _program() -> Finding:
    frozen = getattr(sys, "frozen", False)
    inside = "in the single-file binary" if frozen else f"with Python {platform.python_version()}"
    return Finding(name="cosmos", purpose="everything", found=f"{VERSION} {inside}")


def _zstd() -> Finding:
    return Finding(
        name="zstd", purpose="packing; another version changes packed bytes, not contents", found=ZSTD_VERSION
    )


def _scripts() -> Finding:
    purpose = "every build: install scripts and templates run in it"
    try:
        seen = demand_sandbox(WORKER)
    except CosmosError as error:
        return _failed("sandbox", purpose, error, "broken")
    return Finding(name="sandbox", purpose=purpose, found=f"holds: {len(seen)} of {len(seen)} attempts were refused")


def _home(home: Path) -> Finding:
    purpose = "the store, and the keys that you pinned"
    try:
        demand_writable(home / "store")
    except CosmosError as error:
        return _failed("home", purpose, error, "broken")
    return _with_space("home", purpose, home, "name a folder with more space: --home DIR, or COSMOS_HOME")


def _store(home: Path) -> Finding:
    purpose = "what was fetched and made before; to read all of it: cosmos store check"
    folder = home / "store"
    try:
        limit = home_settings(home).store_limit_bytes
        if folder.exists() and not folder.is_dir():
            raise WorldFailed(str(folder), "is no folder", hint="move it away; a build makes the store")
        held = items(StoreFolder(folder))
    except CosmosError as error:
        return _failed("store", purpose, error, "broken")
    size = sum(item.size_bytes for item in held)
    bound = "no limit" if limit is None else f"limit {shown_size(limit)}"
    return Finding(name="store", purpose=purpose, found=f"{len(held):,} files, {shown_size(size)}, {bound}")


def _temporary(folder: Path) -> Finding:
    purpose = "each build; and the binary starts from it"
    way_out = "name a folder that may hold programs: TMPDIR=DIR"
    try:
        with tempfile.NamedTemporaryFile(prefix="cosmos-doctor-", dir=folder) as file:
            file.write(b"#!/bin/sh\n")
        with tempfile.TemporaryDirectory(prefix="cosmos-doctor-", dir=folder) as name:
            program = Path(name, "program")
            program.write_text("#!/bin/sh\n")
            program.chmod(stat.S_IRWXU)
            may_start = os.access(program, os.X_OK)  # false on a file system that is mounted noexec
    except OSError as error:
        found = f"{folder} cannot be written: {(error.strerror or str(error)).lower()}"
        return Finding(name="temporary folder", purpose=purpose, found=found, standing="broken", mend=way_out)
    if not may_start:
        found = f"no program may start from {folder} (noexec)"
        return Finding(name="temporary folder", purpose=purpose, found=found, standing="lacking", mend=way_out)
    return _with_space("temporary folder", purpose, folder, way_out)


def _with_space(name: str, purpose: str, folder: Path, mend: str) -> Finding:
    """Return the finding for a folder that can be written: what is free where it lies."""
    near = next(above for above in (folder.absolute(), *folder.absolute().parents) if above.exists())
    free = shutil.disk_usage(near).free
    standing: Standing = "broken" if free < _FULL_BYTES else "lacking" if free < _SMALL_BYTES else "good"
    found = f"{folder}: {free // MIB:,} MiB free"
    return Finding(name=name, purpose=purpose, found=found, standing=standing, mend="" if standing == "good" else mend)


def _memory() -> Finding:
    purpose = "building; QEMU takes 1,024 MiB more"
    try:
        rows = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines())
        free = int(rows["MemAvailable"].split()[0]) << 10
    except (OSError, LookupError, ValueError):
        return Finding(name="memory", purpose=purpose, found="unknown: there is no /proc/meminfo", standing="lacking",
                       mend="mount -t proc proc /proc")  # fmt: skip
    small = free < _SMALL_MEMORY_BYTES
    return Finding(
        name="memory",
        purpose=purpose,
        found=f"{free // MIB:,} MiB available, {len(os.sched_getaffinity(0))} processors",
        standing="lacking" if small else "good",
        mend="fewer jobs at once take less: cosmos build --jobs 1" if small else "",
    )


def _trust(home: Path) -> Finding:
    purpose = "building from signed galaxies"
    anchor = home_anchor(home)
    try:
        if anchor.folder.mode(anchor.name) is None:
            return Finding(
                name="trust",
                purpose=purpose,
                found=f"no trust.toml was accepted in {home}",
                standing="lacking",
                mend="cosmos trust init trust.toml --sha256 DIGEST",
            )
        found = load_trust(anchor, home_state(home).read())
    except CosmosError as error:
        return _failed("trust", purpose, error, "broken")
    return Finding(name="trust", purpose=purpose, found=f"version {found.roots.version}, {found.digest}")


def _second_fence() -> Finding:
    purpose = "a second fence around scripts, besides seccomp"
    version = landlock_version()
    if version < 1:
        return Finding(name="Landlock", purpose=purpose, found="this kernel has none, or does not use it",
                       standing="lacking", mend="start a kernel with landlock in lsm= (5.13 or newer)")  # fmt: skip
    return Finding(name="Landlock", purpose=purpose, found=f"version {version} of its interface")


def _programs_of_scripts() -> Finding:
    purpose = "stars whose scripts run programs; stellar build-star"
    bubble = Bubble(tools=HOST_TOOLS, epoch=0, timeout_seconds=_TRIAL_SECONDS, where="bubblewrap")
    try:
        outcome = bubble.run((b"/usr/bin/env", b"true"), {}, {})
    except CosmosError as error:
        return _failed("bubblewrap", purpose, error, "lacking")
    if outcome.status != 0:
        found = f"a program ended with {outcome.status}"
        mend = "report this machine, with what bwrap --version says"
        return Finding(name="bubblewrap", purpose=purpose, found=found, standing="lacking", mend=mend)
    return Finding(name="bubblewrap", purpose=purpose, found="runs a program without network, in user namespaces")


def _apt() -> Finding:
    purpose = "making stars of Debian packages: stellar import-deb, make image"
    try:
        file = find_program("apt-get", "use a machine or a container with Debian or Ubuntu")
    except CosmosError as error:
        return _failed("apt-get", purpose, error, "lacking")
    return Finding(name="apt-get", purpose=purpose, found=file)


def _emulators() -> Iterator[Finding]:
    purpose = "cosmos boot"
    for arch, machine in MACHINES.items():
        name = f"QEMU {arch}"
        try:
            file = find_program(machine.program, f"apt-get install --no-install-recommends {machine.package}")
            said = run_program((file, "--version"), env={}, timeout_seconds=_TRIAL_SECONDS, where=machine.program)
        except CosmosError as error:
            yield _failed(name, purpose, error, "lacking")
        else:
            version = said.decode("utf-8", "replace").partition("\n")[0]
            yield Finding(name=name, purpose=purpose, found=f"{version}; it emulates, so no /dev/kvm is needed")


def _clock(now: float) -> Finding:
    purpose = "https and apt; no signature of Cosmos depends on it"
    shown = datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%d %H:%M UTC")
    if now < _SPRING_OF_2026:
        return Finding(name="clock", purpose=purpose, found=f"{shown} is in the past", standing="lacking",
                       mend="set it: date -u -s '…'")  # fmt: skip
    return Finding(name="clock", purpose=purpose, found=shown)


def _rebuild() -> Finding:
    purpose = "cosmos rebuild --adversarial"
    every = variations(True)
    missing = [one for one in every if one.missing]
    lacking = sorted({one.missing for one in missing if one.missing.endswith("is not installed")})
    return Finding(
        name="variations",
        purpose=purpose,
        found=f"{len(every) - len(missing)} of {len(every)} can be tried" + "".join(f"; {one}" for one in lacking),
        standing="lacking" if lacking else "good",
        mend="apt-get install --no-install-recommends util-linux libfaketime" if lacking else "",
    )


def _failed(name: str, purpose: str, error: CosmosError, standing: Standing) -> Finding:
    return Finding(name=name, purpose=purpose, found=str(error), standing=standing, mend=error.hint or "")


def demand_able(findings: list[Finding]) -> None:
    """Raise `WorldFailed` if no image can be built on a machine with these findings."""
    broken = [one for one in findings if one.standing == "broken"]
    if broken:
        names = ", ".join(one.name for one in broken)
        raise WorldFailed("this machine", f"no image can be built here: {names}", hint=broken[0].mend or None)
