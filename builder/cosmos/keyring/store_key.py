"""HOME/store.key: the key by which a home knows the results in its store as its own (`store.sealed`).

    cosmos-store-key-v1 HEX\\n      32 bytes from the system's randomness

It is made when it is first needed, mode 0600. It lies beside the store and not in it: a store may be shared or copied,
and the key may not. If it is lost, every layer is made again, and nothing else happens.
"""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path
from typing import Final

from nacl import utils

from cosmos.durable import write_durably
from cosmos.errors import Malformed, Refused, WorldFailed, quoted
from cosmos.reading import demand_plain

STORE_KEY_FILE: Final = "store.key"
_SECRET_BYTES: Final = 32
_OWN_MODE: Final = 0o600
_FORM: Final = re.compile(rb"cosmos-store-key-v1 ([0-9a-f]{64})\n")
_FORM_BYTES: Final = 85
_OTHERS: Final = 0o077


def store_key(home: Path) -> bytes:
    """Return the key in the folder `home`; makes a key at the first call.

    Raises `Refused` for a file that others may read, `Malformed` for one of another form, `WorldFailed`.
    """
    file = home / STORE_KEY_FILE
    found = _read(file)
    if found is None:
        write_durably(file, f"cosmos-store-key-v1 {utils.random(_SECRET_BYTES).hex()}\n".encode(), mode=_OWN_MODE)
        found = _read(file)  # of two processes at once the later counts; what the other one seals is made again
    if found is None:
        raise WorldFailed(str(file), "was removed by another process; run the same command once more")
    return found


def _read(file: Path) -> bytes | None:
    try:
        number = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise WorldFailed(str(file), f"cannot be read: {(error.strerror or str(error)).lower()}") from error
    hint = f"remove it: rm {quoted(file)}; then every layer is made again, with a new key"
    try:
        about = os.fstat(number)
        demand_plain(about, file)
        mode = stat.S_IMODE(about.st_mode)
        if mode & _OTHERS:
            raise Refused(str(file), f"others may read it: its mode is {mode:04o}, and 0600 is expected", hint=hint)
        form = _FORM.fullmatch(os.read(number, _FORM_BYTES + 1))
    finally:
        os.close(number)
    if form is None:
        raise Malformed(str(file), "is not a store's key", hint=hint)
    return bytes.fromhex(form[1].decode())
