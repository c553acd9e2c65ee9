"""A render worker that a template has taken over: the "template" is Python, and runs where Jinja2 would.

The zygote of `test_taken_over_worker.py` loads this module in the place of `cosmos.nova.template_worker`. What the
Python leaves as `made` is what the template makes.
"""

from __future__ import annotations

import mmap
import os
import signal
import socket
import struct
import time

from cosmos.nova import template_worker, templates
from cosmos.nova.messages import ANSWER, CALL
from cosmos.sandbox import locked
from cosmos.sandbox.wire import OUTCOME, frame

_channels: list[int] = []


def raw(data: bytes) -> None:
    """Write bytes on the channel, whatever they are."""
    locked.write(_channels[0], data)


def taken_over(template: bytes, variables: bytes) -> bytes:
    """Run the attack."""
    names = {"raw": raw, "frame": frame, "ANSWER": ANSWER, "CALL": CALL, "OUTCOME": OUTCOME, "os": os, "mmap": mmap,
             "signal": signal, "socket": socket, "struct": struct, "time": time, "channel": _channels[0],
             "variables": variables, "made": b""}  # fmt: skip
    exec(template.decode(), names)
    return names["made"]


def work(channel: int) -> None:
    """Do what a render worker does, with the template in command."""
    _channels.append(channel)
    templates.rendered = taken_over
    template_worker.work(channel)
