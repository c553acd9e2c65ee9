"""The memory of good signatures (trust.good_signatures) in the builder's sealed store, for `freeze` and `build`.

A record that this home did not write is named in a warning, and every signature is verified again. A record that is
missing or damaged is an empty memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Final

from cosmos.about import VERSION
from cosmos.canon import digest_of
from cosmos.errors import WorldFailed
from cosmos.store.interface import Store
from cosmos.store.sealed import NotSealed
from cosmos.trust.good_signatures import GoodSignatures, remembering

# The version of the program is part of the key: another one may judge a signature more strictly.
_KEY: Final = digest_of({"what": "good-signatures", "format": 1, "cosmos": VERSION})


@contextmanager
def known_signatures(store: Store, warn: Callable[[str], None]) -> Iterator[None]:
    """Verify in the block only the signatures that the sealed `store` does not know; keep the new ones at its end.

    A store that cannot be written keeps none, and they are verified again.
    """
    memory = GoodSignatures.read(_read(store, warn))
    with remembering(memory):
        yield
    if memory.new:
        with suppress(WorldFailed):
            store.put_result(_KEY, memory.to_bytes())


def _read(store: Store, warn: Callable[[str], None]) -> bytes:
    try:
        return store.get_result(_KEY) or b""
    except NotSealed as forged:
        warn(f"{forged}; it is not believed, and every signature is verified again")
        return b""
