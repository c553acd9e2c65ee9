"""What was written to a terminal (pty(7)), also the last of it.

A worker of the kernel carries it from one end to the other. On a busy machine, what a program wrote before it ended
comes some time after its end. So "nothing to read at this moment" does not say that this was all.
"""

from __future__ import annotations

import os
import select

from fakes.waiting import LONG_SECONDS

_END = b"<the end of what was written>"


def written(ours: int, its: int) -> bytes:
    """Return all that was written to `its` until now and was not yet read from `ours`, the other end."""
    os.write(its, _END)  # comes last
    data = b""
    while not data.endswith(_END):
        assert select.select([ours], [], [], LONG_SECONDS)[0], data
        data += os.read(ours, 1 << 16)
    return data.removesuffix(_END)
