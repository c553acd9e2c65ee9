"""Booting a release, with a QEMU that is a shell script: what counts as well, and how each failure is told."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from cosmos.canon import readable_json
from cosmos.digest import Digest
from cosmos.errors import Malformed, Refused, WorldFailed
from cosmos.model.release import RELEASE_FILE, Release, Subject
from cosmos.release.boot import (
    MACHINES,
    BootRequest,
    BootResult,
    Forward,
    boot,
    bootable_of,
    harmless,
    has_kvm,
    qemu_arguments,
)
from fakes.builders import BUILDER
from fakes.huge_files import grow, hash_no_huge_file
from fakes.waiting import LONG_SECONDS

Qemu = Callable[[str], None]


def write_release(folder: Path, *names: str, arch: str = "x86_64", marker: str = "COSMOS-READY") -> Path:
    """Write a release of files that hold their own names."""
    folder.mkdir()
    for name in names:
        (folder / name).write_text(name)
    release = Release(
        subjects=tuple(
            Subject(name=name, digest=Digest.of(name.encode()), size_bytes=len(name), content_root=None)
            for name in names
        ),
        external={"arch": arch, "marker": marker},
        internal={},
        resolved=(),
        builder=BUILDER,
    )
    (folder / RELEASE_FILE).write_bytes(release.to_bytes())
    return folder


@pytest.fixture
def release(tmp_path: Path) -> Path:
    """A release that can be started."""
    return write_release(tmp_path / "out", "vmlinuz", "small-1.0.0-x86_64.cpio.zst", "small-1.0.0-x86_64.tar.zst")


@pytest.fixture
def qemu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Qemu:
    """A function that makes the QEMU on PATH a script."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))

    def make(script: str) -> None:
        program = folder / "qemu-system-x86_64"
        program.write_text(f"#!/bin/sh\nPATH=/usr/bin:/bin\n{script}\n")
        program.chmod(program.stat().st_mode | stat.S_IXUSR)

    return make


def booted(release: Path, *, seconds: float = LONG_SECONDS) -> tuple[BootResult, list[str]]:
    """Boot `release` and return the result and what the console was told."""
    told: list[str] = []
    result = boot(BootRequest(release=release, timeout_seconds=seconds), console=told.append)
    return result, told


def arguments(request: BootRequest) -> list[str]:
    """Return the words that QEMU is started with."""
    return qemu_arguments("qemu", bootable_of(request), request)


def test_a_boot_is_well_when_the_system_prints_the_marker(release: Path, qemu: Qemu) -> None:
    qemu("echo starting; echo COSMOS-READY; echo going down")
    result, told = booted(release)
    assert told == ["starting", "COSMOS-READY", "going down"]
    assert (result.marker, result.console, result.powered_off) == ("COSMOS-READY", ("starting", "COSMOS-READY"), True)


def test_the_marker_counts_when_the_kernel_talks_into_its_line(release: Path, qemu: Qemu) -> None:
    qemu("echo 'COSMOS-READY[   12.345678] random: crng init done'")
    assert booted(release)[0].powered_off


@pytest.mark.parametrize("line", ["Command line: init=/bin/COSMOS-READY", "not COSMOS-READY", "COSMOS-READY-NOT"])
def test_a_line_that_only_holds_the_marker_does_not_count(release: Path, qemu: Qemu, line: str) -> None:
    qemu(f"echo '{line}'")
    with pytest.raises(WorldFailed, match="ended without printing its marker COSMOS-READY"):
        booted(release)


def test_the_marker_is_on_no_command_line(release: Path, qemu: Qemu) -> None:
    qemu('for word in "$@"; do echo "$word"; done')
    with pytest.raises(WorldFailed) as caught:
        booted(release)
    assert "COSMOS-READY" not in caught.value.problem.partition("last lines:")[2]


def test_a_system_that_stops_early_is_told_with_its_last_words(release: Path, qemu: Qemu) -> None:
    qemu("echo 'Kernel panic - not syncing'; exit 1")
    with pytest.raises(WorldFailed) as caught:
        booted(release)
    assert caught.value.exit_code == 5
    assert "Kernel panic - not syncing" in str(caught.value)


def test_a_cosmos_that_failed_inside_is_hinted_at(release: Path, qemu: Qemu) -> None:
    qemu("echo 'etc/motd: was changed'; echo 'COSMOS-FAILED: exit status 7'")
    with pytest.raises(WorldFailed) as caught:
        booted(release)
    assert "etc/motd: was changed" in str(caught.value)
    assert "COSMOS-FAILED" in (caught.value.hint or "")


def test_a_system_that_hangs_is_ended_in_time(release: Path, qemu: Qemu) -> None:
    qemu("echo starting; exec sleep 600")
    with pytest.raises(WorldFailed, match=r"did not print its marker COSMOS-READY in 0\.5 seconds"):
        booted(release, seconds=0.5)


def test_a_marker_before_the_time_is_up_counts_though_the_system_talks_on(release: Path, qemu: Qemu) -> None:
    qemu("echo COSMOS-READY; echo more; exit 3")
    result, told = booted(release)
    assert told[-1] == "more"
    assert not result.powered_off


def test_the_console_cannot_drive_the_terminal(release: Path, qemu: Qemu) -> None:
    qemu(r"printf '\033[2J\033]0;owned\007\033[31mred\033[0m\a\b\n\033cCOSMOS-READY\r\n'")
    assert booted(release)[1] == ["red", "COSMOS-READY"]


def test_a_harmless_line_keeps_its_letters() -> None:
    assert harmless("naïve\tcafé ✓") == "naïve\tcafé ✓"


def test_a_missing_qemu_is_told_with_the_package_that_has_it(release: Path, qemu: Qemu) -> None:
    with pytest.raises(WorldFailed, match="qemu-system-x86_64") as caught:
        booted(release)
    assert "qemu-system-x86" in (caught.value.hint or "")


@pytest.mark.parametrize("change", [lambda file: file.write_text("zunilmv"), grow], ids=["other bytes", "very long"])
def test_a_kernel_that_is_not_the_stated_one_is_not_started(
    release: Path, qemu: Qemu, tmp_path: Path, change: Callable[[Path], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    qemu(f"touch {tmp_path}/started; echo COSMOS-READY")
    change(release / "vmlinuz")
    hash_no_huge_file(monkeypatch)
    with pytest.raises(Refused, match=r"vmlinuz: RELEASE\.json names sha256:"):
        booted(release)
    assert not (tmp_path / "started").exists()


def test_a_release_without_a_kernel_says_which_output_is_wanted(tmp_path: Path) -> None:
    release = write_release(tmp_path / "out", "small.tar.zst", "small.cpio.zst")
    with pytest.raises(Malformed, match="want a kernel to start, found none") as caught:
        booted(release)
    assert "[[output]]" in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("arch", "hint"),
    [
        ("aarch64", r"\(apt-get install qemu-system-arm\): qemu-system-aarch64 -machine virt .* console=ttyAMA0"),
        ("riscv64", r"\(apt-get install qemu-system-misc\): qemu-system-riscv64"),
        ("loongarch64", "take .* to a machine of that architecture"),
    ],
)
def test_a_release_for_another_machine_is_refused_with_what_starts_it(tmp_path: Path, arch: str, hint: str) -> None:
    release = write_release(tmp_path / "out", "vmlinuz", "small.cpio.zst", arch=arch)
    with pytest.raises(Malformed, match=f"is for {arch}, and cosmos boot starts only x86_64") as caught:
        booted(release)
    assert re.search(hint, caught.value.hint or "")


def test_a_folder_that_is_no_release_is_told(tmp_path: Path) -> None:
    with pytest.raises(Malformed, match=r"RELEASE\.json: is not there"):
        booted(tmp_path)


def test_a_release_that_names_no_marker_is_told(tmp_path: Path) -> None:
    release = write_release(tmp_path / "out", "vmlinuz", "small.cpio.zst", marker=" ")
    with pytest.raises(Malformed, match="names no marker"):
        booted(release)


def test_a_statement_that_is_no_statement_is_told(tmp_path: Path) -> None:
    (tmp_path / RELEASE_FILE).write_bytes(readable_json({"_type": "something"}))
    with pytest.raises(Malformed):
        booted(tmp_path)


def test_a_kernel_that_fails_says_why(release: Path) -> None:
    (line,) = [word for word in arguments(BootRequest(release=release)) if "ttyS0" in word]
    assert "quiet" not in line.split(" ")
    assert "loglevel=4" in line.split(" ")


def test_no_port_leads_to_the_guest_unless_it_is_named(release: Path) -> None:
    (net,) = [word for word in arguments(BootRequest(release=release)) if word.startswith("user,")]
    assert net == "user,id=net,restrict=on"
    forwards = (Forward(host=8080, guest=80), Forward(host=2222, guest=22))
    (net,) = [word for word in arguments(BootRequest(release=release, forwards=forwards)) if word.startswith("user,")]
    assert net == "user,id=net,restrict=on,hostfwd=tcp:127.0.0.1:8080-:80,hostfwd=tcp:127.0.0.1:2222-:22"


@pytest.mark.parametrize(
    "text", ["80", "80:", ":80", "0:80", "80:65536", "8080:80,restrict=off", "a:b", "-1:80", "80:80:80"]
)
def test_a_forward_is_two_ports_and_nothing_else(text: str) -> None:
    with pytest.raises(ValueError, match="want HOST:GUEST"):
        Forward.parse(text)


def test_a_system_that_stays_is_not_told_to_power_off(release: Path) -> None:
    assert any("cosmos.poweroff" in word for word in arguments(BootRequest(release=release)))
    assert not any("cosmos.poweroff" in word for word in arguments(BootRequest(release=release, stays=True)))


def test_a_system_that_stays_runs_until_it_ends(release: Path, qemu: Qemu) -> None:
    qemu("echo COSMOS-READY; sleep 0.2; echo later")
    told: list[str] = []
    assert boot(BootRequest(release=release, stays=True), console=told.append).powered_off
    assert told == ["COSMOS-READY", "later"]


def test_a_system_that_stays_is_ended_when_its_use_is_done(release: Path, qemu: Qemu, tmp_path: Path) -> None:
    qemu(f"echo COSMOS-READY; while :; do echo talking; done & sleep 600; touch {tmp_path}/left")
    used: list[str] = []
    result = boot(
        BootRequest(release=release, stays=True), console=used.append, meanwhile=lambda: used.append("the login")
    )
    assert used == ["COSMOS-READY", "the login"]
    assert not result.powered_off


def test_a_silent_system_is_told_of_with_its_last_line(
    release: Path, qemu: Qemu, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cosmos.process._TICK_SECONDS", 0.05)
    ticks = list[tuple[float, str]]()

    def tick(seconds: float, line: str) -> None:
        ticks.append((seconds, line))
        (release.parent / f"heard-{line}").touch()

    silent = f"until [ -e {release.parent}/heard-%s ]; do sleep 0.1; done"  # for as long as the machine needs
    qemu(f"{silent % ''}; echo modules; {silent % 'modules'}; echo COSMOS-READY")
    boot(BootRequest(release=release), console=lambda _: None, tick=tick)
    seconds, lines = zip(*ticks, strict=True)
    assert list(seconds) == sorted(seconds)
    assert {"", "modules"} == set(lines)


def test_kvm_is_used_only_where_the_processor_has_it_and_the_user_may(tmp_path: Path) -> None:
    """The device alone proves nothing: on some machines it is there, and a guest never begins."""
    device, processor = tmp_path / "kvm", tmp_path / "cpuinfo"
    machine = MACHINES["x86_64"]
    if os.uname().machine != "x86_64":
        assert not has_kvm(machine)
        return
    processor.write_text("flags\t\t: fpu vmx sse\n")
    assert not has_kvm(machine, device=device, processor=processor)
    device.write_bytes(b"")
    assert has_kvm(machine, device=device, processor=processor)
    processor.write_text("flags\t\t: fpu svm\n")
    assert has_kvm(machine, device=device, processor=processor)
    processor.write_text("flags\t\t: fpu hypervisor avmx\nvmx flags\t: vmx\n")
    assert not has_kvm(machine, device=device, processor=processor)
    assert not has_kvm(machine, device=device, processor=tmp_path / "missing")


def test_emulation_follows_where_kvm_fails(release: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cosmos.release.boot.has_kvm", lambda machine: True)
    assert arguments(BootRequest(release=release))[1:5] == ["-accel", "kvm", "-accel", "tcg"]
    assert arguments(BootRequest(release=release, may_use_kvm=False))[1:3] == ["-accel", "tcg"]


def test_a_silent_system_under_kvm_is_hinted_at(release: Path, qemu: Qemu, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cosmos.release.boot.has_kvm", lambda machine: True)
    qemu("exec sleep 600")
    with pytest.raises(WorldFailed) as caught:
        booted(release, seconds=0.5)
    assert caught.value.hint == "perhaps KVM does not work here: try --no-kvm"


def test_a_port_that_is_taken_is_told(release: Path, qemu: Qemu) -> None:
    qemu("echo \"Could not set up host forwarding rule 'tcp:127.0.0.1:2222-:22'\"; exit 1")
    with pytest.raises(WorldFailed) as caught:
        booted(release)
    assert "another program has that port" in (caught.value.hint or "")
