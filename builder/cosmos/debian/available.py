"""All packages that apt's lists offer, each in the version that apt would install: an answer of `apt-cache dumpavail`.

`apt-cache show` unpacks the lists at each call. A closure asks a dozen times, so it asks for everything once.
"""

from __future__ import annotations

from typing import Final

_NAME: Final = b"\nPackage: "
_ESSENTIAL: Final = b"\nEssential: yes\n"


class Available:
    """The paragraphs of the answer, by name. It holds their text as it came: 50 MiB for Debian."""

    __slots__ = ("_places", "_text")

    def __init__(self, text: bytes) -> None:
        self._text = b"\n" + text
        self._places: dict[bytes, int] = {}
        at = self._text.find(_NAME)
        while at >= 0:
            begin = at + len(_NAME)
            self._places.setdefault(self._text[begin : self._text.find(b"\n", begin)].strip(), at)
            at = self._text.find(_NAME, begin)

    def paragraph(self, name: str) -> str | None:
        """Return the record of the package `name` as apt writes it; None for a name that no package has.

        >>> found = Available(b"Package: a\\nVersion: 1\\n\\nPackage: b\\nVersion: 2\\n")
        >>> found.paragraph("b"), found.paragraph("c")
        ('Package: b\\nVersion: 2\\n', None)
        """
        at = self._places.get(name.encode())
        return None if at is None else self._around(at).decode("utf-8", "replace")

    def essential(self) -> set[str]:
        """Return the names of the packages that say that they are essential.

        >>> Available(b"Package: a\\nEssential: yes\\n\\nPackage: b\\nVersion: 2\\n").essential()
        {'a'}
        """
        found: set[str] = set()
        at = self._text.find(_ESSENTIAL)
        while at >= 0:
            around = b"\n" + self._around(at)
            begin = around.find(_NAME) + len(_NAME)
            found.add(around[begin : around.find(b"\n", begin)].strip().decode("utf-8", "replace"))
            at = self._text.find(_ESSENTIAL, at + 1)
        return found

    def _around(self, at: int) -> bytes:
        """Return the paragraph that holds the byte after `at`."""
        begin, end = self._text.rfind(b"\n\n", 0, at + 1), self._text.find(b"\n\n", at + 1)
        return self._text[begin + 2 if begin >= 0 else 1 : end + 1 if end >= 0 else len(self._text)]
