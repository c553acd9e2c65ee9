"""Patches: one content as a zstd frame that refers to an older content (`zstd --patch-from`).

The reference is a zstd prefix: the decoder sees it as bytes that came before the frame (ZSTD_CCtx_refPrefix; RFC 8878
section 5 calls it a raw content dictionary). python-zstandard can read such a frame, but cannot make one: its raw
dictionary is cut to a part of the reference. So `made_patch` takes `backports.zstd`, which Python 3.14 has as
`compression.zstd`. The single-file binary leaves it out (docs/decisions/0043).

A patch is exactly one frame with its content's size and checksum. Its reader checks the frame block by block first, as
`cosmos.pack.zst` does for every frame. It holds the reference twice and the content once.
"""

from __future__ import annotations

from contextlib import suppress
from importlib import import_module
from types import ModuleType
from typing import Final

import zstandard

from cosmos.errors import Refused, WorldFailed
from cosmos.limits import MAX_PATCHED_BYTES
from cosmos.pack.zst import frame_extent

LEAST_REFERENCE_BYTES: Final = 8  # zstd takes no shorter one

_LEVEL: Final = 19
_LEAST_LOG: Final = 10
_MOST_WINDOW_LOG: Final = 31
_LEVEL_HASH_LOG: Final = 22  # of level 19, by itself
_MOST_HASH_LOG: Final = 27
_REACH_LOG: Final = 3  # zstd refers to the last 8 << hash log bytes of a prefix


def made_patch(reference: bytes, content: bytes) -> bytes:
    """Return the patch that makes `content` out of `reference`, which has `LEAST_REFERENCE_BYTES` or more.

    Raises `WorldFailed` if this cosmos lacks the library that makes patches.
    """
    zstd = _library()
    options: dict[int, int] = {
        zstd.CompressionParameter.compression_level: _LEVEL,
        zstd.CompressionParameter.window_log: _window_log(len(reference) + len(content)),
        zstd.CompressionParameter.enable_long_distance_matching: 1,
        zstd.CompressionParameter.checksum_flag: 1,
        zstd.CompressionParameter.content_size_flag: 1,
    }
    hash_log = min(len(reference).bit_length() - _REACH_LOG + 1, _MOST_HASH_LOG)
    if hash_log > _LEVEL_HASH_LOG:  # otherwise zstd forgets the beginning of a large reference
        options[zstd.CompressionParameter.hash_log] = hash_log
    known = zstd.ZstdDict(reference, is_raw=True).as_prefix
    return bytes(zstd.compress(content, options=options, zstd_dict=known))


def patched(patch: bytes, reference: bytes, size_bytes: int, source: str) -> bytes:
    """Return the content of `size_bytes` that `patch` makes out of `reference`. Raises `Refused`."""
    if max(size_bytes, len(reference)) > MAX_PATCHED_BYTES:
        raise Refused(source, f"is larger than a patch may make or refer to, {MAX_PATCHED_BYTES} bytes")
    end, content_bytes = frame_extent(patch, source)
    if end != len(patch) or content_bytes != size_bytes:
        raise Refused(source, f"want a patch of one frame with {size_bytes} bytes of content")
    known = zstandard.ZstdCompressionDict(reference, dict_type=zstandard.DICT_TYPE_RAWCONTENT) if reference else None
    decoder = zstandard.ZstdDecompressor(dict_data=known, max_window_size=1 << _MOST_WINDOW_LOG)
    try:
        content = decoder.decompress(patch, max_output_size=size_bytes, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise Refused(source, f"does not fit its reference, or is damaged: {error}") from error
    if len(content) != size_bytes:
        raise Refused(source, f"makes {len(content)} bytes, not {size_bytes}")
    return content


def _library() -> ModuleType:
    """Return the library that makes patches: Python's own from 3.14 on. Raises `WorldFailed`."""
    for name in ("compression.zstd", "backports.zstd"):
        with suppress(ImportError):
            return import_module(name)
    problem = "this cosmos cannot make patches: it lacks the library backports.zstd"
    raise WorldFailed("delta", problem, hint="make the delta with a cosmos from a checkout")


def _window_log(size_bytes: int) -> int:
    return max(_LEAST_LOG, min(size_bytes.bit_length(), _MOST_WINDOW_LOG))
