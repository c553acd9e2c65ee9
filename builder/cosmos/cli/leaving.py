"""Run a program and leave its process at once, when all that it has to do is done.

At the end of a process, Python takes all modules and objects apart, one after the other, and gives their memory back.
The kernel does this at once. So a process ends as `sys.exit` ends it (docs.python.org, `sys.exit` and `atexit`), but
without that: threads are waited for, the functions of `atexit` are run, and stdout and stderr are flushed.
"""

from __future__ import annotations

import atexit
import os
import sys
import threading
from collections.abc import Sequence
from typing import NoReturn

import click

from cosmos.cli.endings import run


def run_and_leave(command: click.Command, program: str, arguments: Sequence[str] | None = None) -> NoReturn:
    """Run `command` as the program, as `run` does, and end the process with the code of its outcome."""
    try:
        run(command, program, arguments)
    except SystemExit as ended:
        if not isinstance(ended.code, int) or _is_watched() or threading.active_count() > 1:
            raise
        atexit._run_exitfuncs()
        if not _is_flushed():
            raise
        os._exit(ended.code)


def _is_watched() -> bool:
    """Return whether a profiler or a debugger is at work: it writes at Python's own end."""
    return sys.getprofile() is not None or sys.gettrace() is not None


def _is_flushed() -> bool:
    """Flush stdout and stderr; return whether that succeeded. If not, Python's own end says so."""
    try:
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
    except (OSError, ValueError):
        return False
    return True
