"""A power cut at any step of a program: killed with SIGKILL in a child, or stopped in this process for good.

A step is a call that changes the disk, or reads where to change it. Python's audit events report Python's own calls,
and `CutKernel` reports direct calls of Linux. A cut comes before its step.

Only the calls of the thread that asked are steps. Meanwhile no garbage is collected: that of other tests may remove a
temporary file when it goes, which would be one step more.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from cosmos.device.kernel import Kernel

_EVENTS = frozenset(
    {
        "os.rename",
        "os.remove",
        "os.mkdir",
        "os.rmdir",
        "os.link",
        "os.symlink",
        "os.chmod",
        "os.chown",
        "os.setxattr",
        "os.removexattr",
        "os.utime",
        "os.truncate",
    }
)


_SMALL = 200  # bytes that are written in one step


class PowerCut(BaseException):
    """The power is cut: no `except` of a program stops it."""


class _Supply:
    """Counts the steps; at step `_cut_at` it calls `_cut`, and from then on at every step."""

    def __init__(self) -> None:
        self._is_watched = False
        self.steps = 0
        self._thread = 0
        self._collects = False
        self._cut_at = -1
        self._cut: Callable[[], None] = _stop
        self._is_hooked = False

    def watch(self, cut_at: int, cut: Callable[[], None]) -> None:
        if not self._is_hooked:
            sys.addaudithook(self._heard)  # for good: it can be switched off alone
            self._is_hooked = True
        self._thread, self._collects = threading.get_ident(), self._collects or gc.isenabled()
        gc.disable()
        self.steps, self._cut_at, self._cut, self._is_watched = 0, cut_at, cut, True

    def end(self) -> None:
        self._is_watched = False
        if self._collects:
            gc.enable()
            self._collects = False

    def step(self) -> None:
        if self._is_watched and threading.get_ident() == self._thread:
            self.steps += 1
            if 0 <= self._cut_at < self.steps:
                self._cut()

    def _heard(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self._is_watched:
            return
        writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)
        if writes or event in _EVENTS:
            self.step()


def _stop() -> None:
    raise PowerCut


def _kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


_supply = _Supply()


@contextmanager
def disk_in_memory() -> Iterator[None]:
    """Wait for no disk, since what a killed process wrote is not lost. Each write is a step, and a long one several."""
    write = os.write

    def half(descriptor: int, data: bytes) -> int:
        _supply.step()
        return write(descriptor, data if len(data) <= _SMALL else data[: len(data) // 2])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _descriptor: None)
        patch.setattr(os, "write", half)
        yield


class CutKernel(Kernel):
    """The real kernel; each of its calls is a step."""

    def open_inside(self, folder: int, path: bytes, flags: int, *, resolve: int, mode: int = 0) -> int:
        _supply.step()
        return super().open_inside(folder, path, flags, resolve=resolve, mode=mode)

    def rename_new(self, folder: int, old: bytes, new: bytes) -> None:
        _supply.step()
        super().rename_new(folder, old, new)

    def exchange(self, folder: int, one: bytes, other: bytes) -> None:
        _supply.step()
        super().exchange(folder, one, other)

    def chown_held(self, held: int, uid: int, gid: int) -> None:
        _supply.step()
        super().chown_held(held, uid, gid)

    def chmod_held(self, held: int, mode: int) -> None:
        _supply.step()
        super().chmod_held(held, mode)

    def sync_file_system(self, descriptor: int) -> None:
        _supply.step()  # and no more: nothing here can lose what the disk has not got yet


class ChangingKernel(CutKernel):
    """The real kernel; each of its calls that changes the disk is a step. To open something is none."""

    def open_inside(self, folder: int, path: bytes, flags: int, *, resolve: int, mode: int = 0) -> int:
        return Kernel.open_inside(self, folder, path, flags, resolve=resolve, mode=mode)


@contextmanager
def power_until(step: int) -> Iterator[None]:
    """Let the block take `step` steps; each later one raises `PowerCut`, which ends the block."""
    _supply.watch(step, _stop)
    try:
        yield
    except PowerCut:
        pass
    finally:
        _supply.end()


@contextmanager
def failing(step: int, code: int, *, times: int) -> Iterator[None]:
    """Let the block take `step` steps; the next `times` fail with the error `code`, and all after them if it is 0."""
    left = times

    def fail() -> None:
        nonlocal left
        left -= 1
        if times == 0 or left >= 0:
            raise OSError(code, os.strerror(code))

    _supply.watch(step, fail)
    try:
        yield
    finally:
        _supply.end()


def steps_of(work: Callable[[], object]) -> int:
    """Return how many steps `work` takes."""
    _supply.watch(-1, _stop)
    try:
        work()
    finally:
        _supply.end()
    return _supply.steps


def killed(work: Callable[[], object], step: int) -> None:
    """Do `step` steps of `work` in a child, which is then killed with SIGKILL."""
    child = os.fork()
    if child == 0:
        try:
            _supply.watch(step, _kill)
            work()
        finally:
            os._exit(1)  # it took fewer steps, or failed
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == -signal.SIGKILL, f"step {step}: {status}"
