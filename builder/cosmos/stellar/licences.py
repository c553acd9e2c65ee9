"""Check a star's licence: its form as an SPDX expression, and its ids against the list of SPDX.

The list is from the library license-expression. It takes 0.2 s to load, so it is loaded only when a licence is checked.
The single-file binary does not contain it (docs/decisions/0019), and checks only the form.
"""

from __future__ import annotations

import functools
import re
from typing import Final, Protocol

from cosmos.model.licence import is_expression
from cosmos.records import dataclass

_REFERENCE: Final = re.compile(r"LicenseRef-[A-Za-z0-9.-]+")


class _Licensing(Protocol):
    """The methods of the library's object that we use. The library has no type hints."""

    def parse(self, text: str, *, strict: bool) -> object: ...
    def unknown_license_keys(self, text: str) -> list[str]: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class _SpdxList:
    licensing: _Licensing
    error: type[Exception]

    def is_well_formed(self, text: str) -> bool:
        try:
            self.licensing.parse(text, strict=True)
        except self.error:
            return False
        return True


def is_well_formed(licence: str) -> bool:
    """Return whether `licence` is an SPDX expression, with brackets, AND, OR and WITH in the right places.

    >>> is_well_formed("MIT OR (Zlib AND ISC)"), is_well_formed("MIT or so")
    (True, False)
    """
    spdx = _spdx_list()
    return is_expression(licence) and (spdx is None or spdx.is_well_formed(licence))


def unlisted_ids(licence: str) -> tuple[str, ...]:
    """Return the ids in a well-formed expression that SPDX does not list; `LicenseRef-…` need not be listed."""
    spdx = _spdx_list()
    names = [] if spdx is None else spdx.licensing.unknown_license_keys(licence)
    return tuple(name for name in names if not _REFERENCE.fullmatch(name))


@functools.cache
def _spdx_list() -> _SpdxList | None:
    try:
        import license_expression
    except ImportError:
        return None
    return _SpdxList(licensing=license_expression.get_spdx_licensing(), error=license_expression.ExpressionError)
