"""Base64 (RFC 4648 section 4) with one spelling for each value: standard alphabet, full padding, unused bits zero.

Python's own decoder ignores unused bits, so that several texts mean the same bytes. This one encodes the decoded bytes
again and compares the texts. No error repeats the text: it may be a secret.
"""

from __future__ import annotations

import base64
import binascii


def encoded(data: bytes) -> str:
    """Return `data` in base64."""
    return base64.b64encode(data).decode("ascii")


def decoded(text: str) -> bytes:
    """Return the bytes that `text` is the one spelling of, or raise `ValueError`.

    >>> decoded("QQ==")
    b'A'
    >>> decoded("QR==")
    Traceback (most recent call last):
    ...
    ValueError: want canonical base64 (RFC 4648 section 4)
    """
    try:
        data = base64.b64decode(text.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError):
        data = None
    if data is None or encoded(data) != text:
        raise ValueError("want canonical base64 (RFC 4648 section 4)")
    return data
