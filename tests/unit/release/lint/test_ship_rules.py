"""Each rule of the ship guard finds its fault, and a clean image has no finding."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cosmos.model.names import StarName
from cosmos.model.powers import Powers
from cosmos.model.waiver import Waiver
from cosmos.pack.image_file import image_pieces, pack_layer
from cosmos.release.inspect import open_image
from cosmos.release.lint import elf
from cosmos.release.lint.linting import LintReport, Terms, lint_entries, lint_release
from cosmos.release.lint.program_rules import MACHINES
from cosmos.release.lint.rules import RULES
from cosmos.tree.entry import Entry
from cosmos.treepath import TreePath
from fakes.elf_files import AARCH64, elf_file

EPOCH = 1_700_000_000
TERMS = Terms(arch="x86_64", epoch=EPOCH)
KERNEL = b"\0" * 0x202 + b"HdrS" + b"\0" * 8 + (0x100).to_bytes(2, "little") + b"\0" * 0xF0 + b"6.1.0 (gcc) #1\0"


def file(path: str, content: bytes = b"", mode: int = 0o644, **fields: int) -> Entry:
    return Entry(path=TreePath.parse(path), kind="file", mode=mode, content=content, **fields)


def folder(path: str, mode: int = 0o755) -> Entry:
    return Entry(path=TreePath.parse(path), kind="dir", mode=mode)


def link(path: str, target: str) -> Entry:
    return Entry(path=TreePath.parse(path), kind="symlink", mode=0o777, target=target.encode())


def program(path: str, **fields: object) -> Entry:
    """Return a program for the clean image: its loader and libc are there."""
    whole = {"interpreter": "/lib64/ld.so.2", "needed": ["libc.so.6"], **fields}
    return file(path, elf_file(**whole), 0o755)


CLEAN = (
    link("bin", "usr/bin"),
    link("lib", "usr/lib"),
    link("lib64", "usr/lib64"),
    folder("tmp", 0o1777),
    file("etc/machine-id", b"uninitialized\n"),
    file("etc/passwd", b"root:x:0:0:root:/root:/bin/sh\n# a comment\nalice::1000:1000::/home/alice:/bin/sh\n"),
    file("etc/shadow", b"root:!::0:99999:7:::\n", 0o600),
    file("etc/ld.so.conf", b"include ld.so.conf.d/*.conf\n"),
    file("etc/ld.so.conf.d/app.conf", b"/opt/app/lib # ours\n"),
    link("etc/mtab", "../proc/self/mounts"),
    link("var/run", "/run/x"),
    file("boot/vmlinuz-6.1.0", KERNEL),
    file("usr/lib/modules/6.1.0/modules.dep"),
    file("usr/lib64/ld.so.2", elf_file(soname="ld.so.2"), 0o755),
    file("usr/lib/x86_64-linux-gnu/libc.so.6", elf_file(soname="libc.so.6", defines=["libc.so.6", "GLIBC_2.2"])),
    file("opt/app/lib/libapp.so.1", elf_file(soname="libapp.so.1")),
    file("opt/own/libown.so", elf_file()),
    program("usr/bin/sh", needs={"libc.so.6": ["GLIBC_2.2"]}),
    program("usr/bin/app", needed=["libc.so.6", "libapp.so.1"]),
    program("opt/own/program", needed=["libown.so"], runpath="/nowhere:$ORIGIN"),
    program("usr/bin/weak", needs={"libc.so.6": ["GLIBC_9"]}, weak=True),
    file("usr/lib/firmware/other", elf_file(machine=AARCH64)),
    file("usr/bin/script", b"#!/bin/sh -e\n", 0o755),
    file("usr/bin/other", b"#! /usr/bin/env -S sh -e\n", 0o755),
    file("usr/bin/env", b"", 0o755),
    file("usr/share/doc/a/example", b"#!/no/where\n", 0o755),
    file("usr/share/plain", b"#!/no/where\n"),
)


def without(*paths: str) -> tuple[Entry, ...]:
    return tuple(entry for entry in CLEAN if entry.path.text not in paths)


def report(entries: Iterable[Entry], terms: Terms = TERMS, owners: dict[str, str] | None = None) -> LintReport:
    named = {TreePath.parse(path): star for path, star in (owners or {}).items()}
    return lint_entries(entries, named, terms)


def said(found: LintReport) -> list[tuple[str, str]]:
    return [(finding.rule, finding.path.text) for finding in found.findings]


PEM = b"-----BEGIN PRIVATE KEY-----\n" + b"M" * 64 + b"\n"
FAULTS = {
    "private-key": [*CLEAN, file("etc/x", b"..." + PEM)],
    "ssh-host-key": [*CLEAN, file("etc/ssh/ssh_host_rsa_key", PEM)],
    "token": [*CLEAN, file("etc/x", b"t = ghp_" + b"a1" * 18 + b"\n")],
    "build-path": [*CLEAN, file("etc/x", b"/home/alice/project/x.c")],
    "machine-id": [*without("etc/machine-id"), file("etc/machine-id", b"0123456789abcdef" * 2)],
    "root-without-password": [*without("etc/shadow"), file("etc/shadow", b"root::20000::::::\n")],
    "stray-time": [*CLEAN, file("etc/x", mtime=EPOCH + 1)],
    "setuid": [*CLEAN, file("usr/bin/su", mode=0o4755)],
    "world-writable": [*CLEAN, file("etc/x", mode=0o666)],
    "dangling-symlink": [*CLEAN, link("etc/x", "nothing")],
    "elf-machine": [*CLEAN, file("usr/bin/x", elf_file(machine=AARCH64))],
    "elf-interpreter": [*CLEAN, program("usr/bin/x", interpreter="/lib/ld-musl.so.1")],
    "elf-library": [*CLEAN, program("usr/bin/x", needed=["libown.so"])],
    "elf-symbol-version": [*CLEAN, program("usr/bin/x", needs={"libc.so.6": ["GLIBC_2.2", "GLIBC_2.99"]})],
    "script-interpreter": [*CLEAN, file("usr/bin/x", b"#!/usr/bin/python3\n", 0o755)],
    "soname-twice": [*CLEAN, file("usr/lib/libapp.so.1", elf_file(soname="libapp.so.1", defines=["A"]))],
    "kernel-modules": without("usr/lib/modules/6.1.0/modules.dep"),
}
OWNERS = {"usr/lib/libapp.so.1": "other-1.0.0", "opt/app/lib/libapp.so.1": "app-1.0.0"}


def test_a_clean_image_has_no_finding() -> None:
    found = report(CLEAN, replace(TERMS, builder_folders=(b"/home/bob", b"/root")))
    assert (said(found), found.unjudged, found.entries) == ([], (), len(CLEAN))


def test_every_rule_has_a_fault_here() -> None:
    assert list(FAULTS) == [rule.id for rule in RULES]


@pytest.mark.parametrize("rule", FAULTS)
def test_each_rule_finds_its_fault_and_no_other_rule_does(rule: str) -> None:
    terms = replace(TERMS, builder_folders=(b"/home/alice",))
    clean = said(report(CLEAN, terms, OWNERS))
    assert clean == [("build-path", "etc/passwd")]
    found = said(report(FAULTS[rule], terms, OWNERS))
    found.remove(("build-path", "etc/passwd"))
    assert [one for one, _ in found] == [rule]


@pytest.mark.parametrize(
    ("entries", "wanted"),
    [
        ([file("var/lib/dbus/machine-id", b"1" * 32)], [("machine-id", "var/lib/dbus/machine-id")]),
        ([file("etc/machine-id", b"\n")], []),
        ([file("etc/passwd", b"root::0:0::/:/bin/sh\n")], [("root-without-password", "etc/passwd")]),
        ([file("etc/passwd", b"toor::00:0::/:/bin/sh\n")], [("root-without-password", "etc/passwd")]),
        ([file("etc/shadow", b"alice::1::::::\n")], []),
        ([file("etc/dropbear/dropbear_rsa_host_key", b"\0")], [("ssh-host-key", "etc/dropbear/dropbear_rsa_host_key")]),
        ([file("etc/ssh/ssh_host_rsa_key.pub", b"ssh-rsa A")], []),
        ([folder("srv", 0o777)], [("world-writable", "srv")]),
        ([Entry(path=TreePath(b"null"), kind="char", mode=0o666, rdev=(1, 3))], []),
        ([file("a", mode=0o2755)], [("setuid", "a")]),
        ([link("a", "b"), link("b", "a")], [("dangling-symlink", "a"), ("dangling-symlink", "b")]),
        ([link("a", "../../etc"), file("etc/x")], []),
        ([link("a", "/usr/bin"), file("usr/bin/x")], []),
        ([link("a", "/home/carol/x")], [("build-path", "a"), ("dangling-symlink", "a")]),
        ([file("a", b"#!/usr/bin/env python3\n", 0o755)], [("script-interpreter", "a")]),
        ([file("a", b"#!\n", 0o755)], [("script-interpreter", "a")]),
        ([file("sh"), file("a", b"#!sh\n", 0o755)], [("script-interpreter", "a")]),
        ([file("usr/lib/modules/6.9/vmlinuz")], [("kernel-modules", "usr/lib/modules/6.9/vmlinuz")]),
        ([file("boot/vmlinuz")], []),
        ([file("a", elf_file(needed=["/opt/x.so"])), file("opt/x.so", elf_file())], []),
        (
            [file("a", elf_file(needed=["x.so"])), file("usr/lib/x.so", elf_file(machine=AARCH64))],
            [("elf-library", "a"), ("elf-machine", "usr/lib/x.so")],
        ),
        ([file("a", elf_file(needed=["x.so"])), file("usr/lib/x.so", b"")], []),
    ],
)
def test_the_edges_of_rules(entries: list[Entry], wanted: list[object]) -> None:
    found = said(report(entries, replace(TERMS, builder_folders=(b"/home/carol",))))
    assert found == wanted


def test_a_missing_library_version_and_loader_are_named() -> None:
    found = report(FAULTS["elf-symbol-version"]).findings[0]
    assert found.what == "needs GLIBC_2.99 of libc.so.6"
    assert report(FAULTS["elf-library"]).findings[0].what == "needs libown.so"
    assert report(FAULTS["elf-interpreter"]).findings[0].what == "its loader /lib/ld-musl.so.1 is not in the image"
    (twice,) = report(FAULTS["soname-twice"], owners=OWNERS).findings
    assert (twice.star, twice.what) == (
        "other-1.0.0",
        "is another libapp.so.1 than /opt/app/lib/libapp.so.1 of app-1.0.0",
    )


def test_two_stars_with_the_same_library_or_one_star_with_two_are_no_fault() -> None:
    same = [*CLEAN, file("usr/lib/libapp.so.1", elf_file(soname="libapp.so.1"))]
    assert said(report(same, owners=OWNERS)) == []
    assert said(report(FAULTS["soname-twice"], owners=dict.fromkeys(OWNERS, "app-1.0.0"))) == []


def test_what_the_policy_allows_a_star_is_no_finding() -> None:
    entries = [file("usr/bin/su", mode=0o4755), file("srv/box", mode=0o666)]
    owners = {"usr/bin/su": "su-tools-1.2.0", "srv/box": "su-tools-1.2.0"}
    for powers in ({"setuid": (StarName("su"),)}, {"setuid": (StarName("tools"),)}, {}):
        found = said(report(entries, replace(TERMS, powers=Powers(named=powers)), owners))
        assert found == [("world-writable", "srv/box"), ("setuid", "usr/bin/su")]
    both = Powers(named={"setuid": (StarName("su-tools"),), "chown": (StarName("su-tools"),)})
    assert said(report(entries, replace(TERMS, powers=both), owners)) == []
    assert said(report(entries, replace(TERMS, powers=both))) != []


def test_a_waiver_counts_for_its_paths_until_its_release() -> None:
    entries = [link("a", "x"), link("b/c", "x")]
    waiver = Waiver(reason="made later", until=3)
    all_waived = report(entries, replace(TERMS, counter=3, waivers={"dangling-symlink": waiver}))
    assert (said(all_waived), len(all_waived.waived), all_waived.expired, all_waived.idle) == ([], 2, (), ())
    expired = report(entries, replace(TERMS, counter=4, waivers={"dangling-symlink": waiver}))
    assert (len(expired.findings), expired.waived, expired.expired) == (2, (), ("dangling-symlink",))
    some = report(entries, replace(TERMS, counter=1, waivers={"dangling-symlink": replace(waiver, paths=("b/**",))}))
    assert (said(some), [one.finding.path.text for one in some.waived]) == ([("dangling-symlink", "a")], ["b/c"])
    idle = report([], replace(TERMS, counter=1, waivers={"setuid": waiver}))
    assert idle.idle == ("setuid",)


def test_without_the_library_elf_rules_are_not_judged_and_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ModuleNotFoundError(f"No module named {name.partition('.')[0]!r}")

    monkeypatch.setattr(elf, "find_spec", missing)
    monkeypatch.setattr(elf, "_has_library", elf._has_library.__wrapped__)
    for rule in ("elf-machine", "elf-interpreter", "elf-library", "elf-symbol-version", "soname-twice"):
        found = report(FAULTS[rule], owners=OWNERS)
        assert said(found) == []
        assert [rule in line and "pyelftools" in line for line in found.unjudged] == [True]


def test_a_program_of_a_usual_machine_does_not_load_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    others = {number: name for number, name in elf._machines().items() if number not in elf._MACHINES}
    assert {**others, **elf._MACHINES} == elf._machines()
    assert {name for name, _ in MACHINES.values()} <= {*elf._MACHINES.values()}
    avr = elf.elf_facts(bytes(elf_file(machine=83)))
    assert (avr and avr.machine, elf._machine(60_000)) == ("EM_AVR", "60000")
    monkeypatch.setattr(elf, "_machines", lambda: pytest.fail("the library is loaded"))
    assert said(report(FAULTS["elf-machine"])) == [("elf-machine", "usr/bin/x")]


def test_what_an_image_alone_does_not_say_is_not_judged_and_that_is_said(tmp_path: Path) -> None:
    image = tmp_path / "x.tar.zst"
    layers = (pack_layer("directories", [folder("d", 0o777)], 3), pack_layer("app-1.0.0", [file("d/x", mtime=1)], 3))
    image.write_bytes(b"".join(image_pieces(layers, {})))
    found = lint_release(image)
    assert [(one.rule, one.path.text, one.star) for one in found.findings] == [("world-writable", "d", "")]
    assert len(found.unjudged) == 2
    assert found.entries == len(open_image(image).lines())


def test_a_damaged_program_is_not_judged_and_named() -> None:
    whole = elf_file(needed=["libc.so.6"], needs={"libc.so.6": ["A"]}, defines=["B"])
    found = report([file("usr/bin/x", whole[:200])])
    assert said(found) == []
    assert [line.partition(":")[0] for line in found.unjudged] == ["/usr/bin/x"]


@settings(deadline=None, max_examples=300)
@given(place=st.integers(0, 600), byte=st.integers(0, 255))
def test_no_changed_byte_of_a_program_stops_the_guard(place: int, byte: int) -> None:
    whole = bytearray(elf_file(interpreter="/x", needed=["a"], needs={"a": ["A", "B"]}, defines=["C", "D"]))
    whole[place % len(whole)] = byte
    report([file("usr/bin/x", bytes(whole))])


@pytest.mark.parametrize("where", [0x20, 64 + 8, 64 + 2 * 56 + 8])  # its segments, and the places of two of them
@pytest.mark.parametrize("place", [1 << 40, 1 << 63, (1 << 64) - 1])
def test_a_program_that_names_a_place_beyond_its_end_is_named(where: int, place: int) -> None:
    whole = bytearray(elf_file(interpreter="/x", needed=["a"]))
    whole[where : where + 8] = place.to_bytes(8, "little")
    found = report([file("usr/bin/x", bytes(whole))])
    assert [line.partition(":")[0] for line in found.unjudged] == ["/usr/bin/x"]


NAMES = ["a", "b", "usr/bin/c", "usr/lib/d"]


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(st.sampled_from(NAMES), st.binary(max_size=300)), unique_by=lambda one: one[0]))
def test_plain_files_with_any_bytes_are_clean(rows: list[tuple[str, bytes]]) -> None:
    found = report([*CLEAN, *(file(path, b"." + data) for path, data in rows)])
    assert said(found) == []
