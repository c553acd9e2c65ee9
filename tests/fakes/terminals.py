"""All that was written to a terminal (pty(7)) until now.

One read brings a part of it, 4 KiB at the most. That nothing comes for a moment does not say that this was all: the
machine may be busy.
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
