"""What is wrong with a star's licence: a form that SPDX does not know, and ids that its list does not have.

The list is the library license-expression's. It takes 0.2 s to load, so that it is read when a licence is judged and
not before. The single-file binary leaves it out (docs/decisions/0019) and judges the form alone.
"""

from __future__ import annotations

import functools
import re
from typing import Final

from cosmos.model.licence import is_expression

_REFERENCE: Final = re.compile(r"LicenseRef-[A-Za-z0-9.-]+")


class _SpdxList:
    """The library's list; to make one raises `ImportError` where the library is not there."""

    def __init__(self) -> None:
        from license_expression import ExpressionError, get_spdx_licensing

        self._licensing = get_spdx_licensing()
        self._error = ExpressionError

    def is_well_formed(self, text: str) -> bool:
        try:
            self._licensing.parse(text, strict=True)
        except self._error:
            return False
        return True

    def unlisted(self, text: str) -> list[str]:
        return [str(name) for name in self._licensing.unknown_license_keys(text)]


def is_well_formed(licence: str) -> bool:
    """Return whether `licence` is an SPDX expression: brackets, AND, OR and WITH stand where they may.

    >>> is_well_formed("MIT OR (Zlib AND ISC)"), is_well_formed("MIT or so")
    (True, False)
    """
    spdx = _spdx_list()
    return is_expression(licence) and (spdx is None or spdx.is_well_formed(licence))


def unlisted_ids(licence: str) -> tuple[str, ...]:
    """Return the ids in a well-formed expression that SPDX does not list; `LicenseRef-…` need not be listed."""
    spdx = _spdx_list()
    names = [] if spdx is None else spdx.unlisted(licence)
    return tuple(name for name in names if not _REFERENCE.fullmatch(name))


@functools.cache
def _spdx_list() -> _SpdxList | None:
    try:
        return _SpdxList()
    except ImportError:
        return None
