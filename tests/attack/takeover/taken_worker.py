"""A worker whose script has taken it over: what it would do with Python, ctypes and any system call it likes.

The zygote of `test_taken_over_worker.py` loads this module in the place of `cosmos.nova.worker`. The "script" is
Python. It runs where Lua would: after every lock is on. `say(text)` is the script's log.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import signal
import socket
import struct
import time

from cosmos.nova import worker
from cosmos.nova.messages import CALL
from cosmos.nova.outcome import Outcome
from cosmos.sandbox import locked
from cosmos.sandbox.wire import OUTCOME, frame

LIBC = ctypes.CDLL(None, use_errno=True)


def say(text: object) -> None:
    """Put a line into the receipt, as a script may."""
    worker._call(b"log", str(text).encode())


def syscall(number: int, *args: object) -> int:
    """Make a raw system call; returns its result, or minus the error number."""
    result = LIBC.syscall(ctypes.c_long(number), *args)
    return -ctypes.get_errno() if result == -1 else result


def raw(data: bytes) -> None:
    """Write bytes on the channel, whatever they are."""
    locked.write(worker._channels[0], data)


def taken_over(script: bytes, _name: str, _function: str, _start: object) -> Outcome:
    """Run the attack."""
    names = {"say": say, "syscall": syscall, "raw": raw, "frame": frame, "CALL": CALL, "OUTCOME": OUTCOME, "os": os,
             "mmap": mmap, "signal": signal, "socket": socket, "struct": struct, "time": time, "ctypes": ctypes,
             "LIBC": LIBC, "channel": worker._channels[0]}  # fmt: skip
    exec(script.decode(), names)
    return Outcome(ending="done", problem="")


def work(channel: int) -> None:
    """Do what a worker does, with the script in command."""
    worker.work(channel, run=taken_over)
