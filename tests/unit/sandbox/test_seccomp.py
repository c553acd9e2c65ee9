"""The two filters: their tables of calls are the kernel's, and each decides as it says. The decisions are computed here
by a small reading of the filter's own code; that the kernel agrees is tried in tests/attack.
"""

from __future__ import annotations

import errno
import os
import re
import struct
from pathlib import Path

import pytest

from cosmos.sandbox.seccomp import (
    AARCH64,
    COMMON,
    LAST,
    MACHINES,
    PLAIN,
    REFUSED,
    X86_64,
    Machine,
    bubble_filter,
    worker_filter,
)

OTHER_HEADERS = os.environ.get("COSMOS_KERNEL_HEADERS")  # a folder with those of a newer kernel, NAME/unistd_64.h
HEADERS = {
    "x86_64": [Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h")],
    "aarch64": [Path("/usr/include/asm-generic/unistd.h")],  # the table of every younger architecture
}
ALLOW, KILL = 0x7FFF0000, 0x80000000
EPERM, ENOSYS = 0x50000 | errno.EPERM, 0x50000 | errno.ENOSYS
I386, ARM = 0x40000003, 0x40000028
NEW_USER = 0x10000000


def headers(name: str) -> dict[str, int]:
    """The numbers of the calls of an architecture, of the newest headers that are there."""
    files = [*([Path(OTHER_HEADERS, name, "unistd_64.h")] if OTHER_HEADERS else []), *HEADERS[name]]
    file = next((file for file in files if file.is_file()), None)
    if file is None:
        pytest.skip(f"{files[0]} is not there: linux-libc-dev is not installed")
    found = re.findall(r"^#define __NR(?:3264)?_(\w+)\s+(\d+)$", file.read_text(), re.MULTILINE)
    return {call: int(number) for call, number in found if call not in ("syscalls", "arch_specific_syscall")}


@pytest.mark.parametrize("name", list(MACHINES))
def test_the_numbers_of_calls_are_those_of_the_kernels_headers(name: str) -> None:
    numbers = headers(name)
    ours = MACHINES[name].calls
    known = {call: number for call, number in ours.items() if number <= max(numbers.values())}
    assert {call: numbers[call] for call in known} == known
    assert ours.keys() - known.keys() <= set(COMMON)


@pytest.mark.parametrize("name", list(MACHINES))
def test_every_call_of_the_kernels_headers_was_judged_or_is_refused(name: str) -> None:
    """A call that a newer kernel has is refused by its number; who wants it adds it to `COMMON`, and judges it."""
    machine, numbers = MACHINES[name], headers(name)
    program = bubble_filter(machine)
    for call, number in numbers.items():
        if number >= 424:
            is_judged = machine.calls.get(call) == number
            assert is_judged or decision(program, number, architecture=machine.architecture) == ENOSYS, call


def test_a_call_above_the_last_that_was_judged_is_unknown(machine: Machine) -> None:
    program = bubble_filter(machine)
    assert LAST == machine.calls[COMMON[-1]] == 471
    above = [*range(LAST + 1, 1200), (1 << 30) - 1]
    assert {decision(program, number, architecture=machine.architecture) for number in above} == {ENOSYS}


def test_the_calls_that_open_other_trees_and_list_namespaces_are_refused(asked) -> None:
    assert asked("open_tree_attr") == asked("listns") == EPERM


def test_no_call_is_missing_from_a_table() -> None:
    assert set(REFUSED) - X86_64.calls.keys() == set()
    assert set(REFUSED) - AARCH64.calls.keys() == {"iopl", "ioperm"}
    assert set(X86_64.calls) - set(AARCH64.calls) == {"iopl", "ioperm"}
    assert set(AARCH64.calls) - set(X86_64.calls) == set()


def decision(program: bytes, number: int, *arguments: int, architecture: int) -> int:
    """Return what the filter answers to one call: the kernel's reading of it (filter.txt), in few lines."""
    data = struct.pack("=IIQ6Q", number, architecture, 0, *[*arguments, *[0] * 6][:6])
    code = list(struct.iter_unpack("=HBBI", program))
    held, place = 0, 0
    while True:
        what, if_true, if_false, value = code[place]
        place += 1
        if what == 0x20:
            held = struct.unpack_from("=I", data, value)[0]
        elif what == 0x06:
            return value
        else:
            holds = {0x15: held == value, 0x35: held >= value, 0x45: bool(held & value)}[what]
            place += if_true if holds else if_false


@pytest.fixture(params=list(MACHINES))
def machine(request: pytest.FixtureRequest) -> Machine:
    return MACHINES[request.param]


@pytest.fixture
def asked(machine: Machine):
    """What the filter of `run()` says to a call by name."""
    program = bubble_filter(machine)
    return lambda call, *words: decision(program, machine.calls[call], *words, architecture=machine.architecture)


def test_what_no_program_may_call_answers_eperm(asked, machine):
    assert {call: asked(call) for call in REFUSED if call in machine.calls if asked(call) != EPERM} == {}


@pytest.mark.parametrize("family", range(46))
def test_sockets_are_of_the_families_that_the_network_namespace_holds(asked, family):
    assert asked("socket", family, 1) == (ALLOW if family in (1, 2, 10, 16) else EPERM)


def test_a_new_namespace_is_refused_by_either_call(asked):
    for flag in (NEW_USER, 0x20000, 0x02000000, 0x04000000, 0x08000000, 0x20000000, 0x40000000):
        assert asked("clone", flag | 17) == EPERM
    assert asked("clone", 17) == asked("clone", 0x3D0F00) == ALLOW  # a fork, a thread
    assert asked("clone3") == ENOSYS


def test_no_word_is_put_into_a_terminals_mouth(asked):
    assert asked("ioctl", 0, 0x5412) == asked("ioctl", 0, 0x541C) == EPERM
    assert asked("ioctl", 0, 0x5401) == ALLOW
    assert asked("ioctl", 0, (1 << 32) | 0x5412) == EPERM, "the kernel looks at the lower half alone"


def test_a_program_stays_a_program_of_linux(asked):
    assert asked("personality", 0) == asked("personality", 0xFFFFFFFF) == ALLOW
    assert asked("personality", 0x40000) == asked("personality", 8) == EPERM


def test_compilers_and_shells_have_what_they_need(asked, machine):
    program = bubble_filter(machine)
    refused = {machine.calls[call] for call in (*REFUSED, "clone3") if call in machine.calls}
    special = {machine.calls[call] for call in ("socket", "personality")}
    for number in set(range(LAST + 1)) - refused - special:
        assert decision(program, number, architecture=machine.architecture) == ALLOW


@pytest.mark.parametrize("assembled", [worker_filter, bubble_filter])
def test_a_call_of_another_table_kills_the_process(machine, assembled):
    program = assembled(machine)
    for other in {I386, ARM, X86_64.architecture, AARCH64.architecture} - {machine.architecture}:
        assert decision(program, 0, architecture=other) == KILL
    if machine.has_x32:
        assert decision(program, 0x40000000 | 2, architecture=machine.architecture) == KILL


def test_a_worker_has_its_few_calls_and_no_other(machine):
    program = worker_filter(machine)
    allowed = {number for number in range(460) if decision(program, number, architecture=machine.architecture) == ALLOW}
    assert allowed == {machine.calls[call] for call in (*PLAIN, "mmap", "mprotect")}
    for call in ("mmap", "mprotect"):
        assert decision(program, machine.calls[call], 0, 0, 4, architecture=machine.architecture) == EPERM
    for option in (21, 39):
        assert decision(program, machine.calls["prctl"], option, architecture=machine.architecture) == ALLOW
