"""Debian's order of versions (Debian Policy 5.6.12, dpkg's `dpkg_version_compare`), as keys that Python compares.

    [epoch:]upstream[-revision]

The epoch is a number; upstream and revision are compared as runs of non-digits and digits in turn. `~` comes before the
end, the end before letters, letters before all else; numbers by value. Versions that are spelt differently may rank
the same: `1.0` and `1.0-0`, `1.0` and `1.00`.
"""

from __future__ import annotations

import re
from typing import Final, TypeAlias

Rank: TypeAlias = tuple[int, tuple[object, ...], tuple[object, ...]]

_FORM: Final = re.compile(r"(?:([0-9]{1,9}):)?([A-Za-z0-9][A-Za-z0-9.+~-]*?)(?:-([A-Za-z0-9.+~]+))?", re.ASCII)
_RUNS: Final = re.compile(r"([^0-9]*)([0-9]*)")
_END: Final = ((0,), 0)


def parts_of(text: str) -> tuple[int, str, str] | None:
    """Return epoch, upstream version and revision ("" if it has none), or None if this is not a Debian version.

    >>> parts_of("1:1.35.0-4+deb12u1"), parts_of("2.4")
    ((1, '1.35.0', '4+deb12u1'), (0, '2.4', ''))
    """
    match = _FORM.fullmatch(text)
    return None if match is None or text.endswith("-") else (int(match[1] or 0), match[2], match[3] or "")


def rank_of(epoch: int, upstream: str, revision: str) -> Rank:
    """Return a key: the keys of two versions compare as dpkg compares the versions.

    >>> rank_of(0, "1.0~rc1", "") < rank_of(0, "1.0", "") == rank_of(0, "1.00", "0") < rank_of(0, "1.0", "1")
    True
    """
    return (epoch, _key(upstream), _key(revision))


def _key(text: str) -> tuple[object, ...]:
    runs = [(_weights(word), int(number or 0)) for word, number in _RUNS.findall(text) if word or number]
    if runs == [_END]:  # a zero alone counts as nothing: 1.0-0 is 1.0
        runs = []
    return (*runs, _END, _END)  # two: whatever follows a zero at the beginning, as in 0~1, is compared with an end, too


def _weights(word: str) -> tuple[int, ...]:
    return (*(-1 if char == "~" else ord(char) if char.isalpha() else ord(char) + 256 for char in word), 0)
