"""An HTML page, parsed strictly: every element closed in order, every id unique, every inner link led to a place."""

from __future__ import annotations

from dataclasses import replace
from html.parser import HTMLParser

from cosmos.model.names import StarName
from cosmos.release.report.facts import Description, Facts

VOID = {"meta", "br"}


class ParsedPage(HTMLParser):
    """What a page holds: the names of its elements and attributes, its links, and its text."""

    def __init__(self, data: bytes) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.links: list[str] = []
        self.ids: list[str] = []
        self.headings: list[str] = []
        self.text = ""
        self.style = ""
        self._open: list[str] = []
        self.feed(data.decode("utf-8", "strict"))
        self.close()
        assert self._open == [], f"not closed: {self._open}"
        assert len(set(self.ids)) == len(self.ids), "an id is there twice"
        assert [link for link in self.links if link.startswith("#") and link[1:] not in self.ids] == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an element, which stays open unless it is void."""
        self.handle_startendtag(tag, attrs)
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an element that is closed at once."""
        self.tags.add(tag)
        for name, value in attrs:
            self.attributes.add(name)
            if name in ("href", "src", "action", "data", "srcset", "xlink:href"):
                self.links.append(value or "")
            if name == "id":
                self.ids.append(value or "")

    def handle_endtag(self, tag: str) -> None:
        """Close the element that was opened last."""
        assert self._open, f"</{tag}> closes nothing"
        assert self._open.pop() == tag, f"</{tag}> closes another element"

    def handle_data(self, data: str) -> None:
        """Note text."""
        if self._open and self._open[-1] == "style":
            self.style += data
            return
        self.text += data
        if self._open and self._open[-1] in ("h1", "h2", "h3"):
            self.headings.append(data)


def many(facts: Facts, number: int) -> Facts:
    """Return the facts of a release with `number` stars: each needs up to four of those before it."""
    one = facts.lock.stars[0]
    names = [StarName(f"star-number-{n}") for n in range(number)]
    stars = tuple(
        replace(
            one,
            name=name,
            size_bytes=n * 1000,
            unpacked_bytes=n * 3000,
            dependencies=tuple({names[n // 2], names[n // 3], names[n - 1], names[n // 5]} - {name}) if n else (),
            wanted_by=("image",) if n % 10 == 9 else (str(names[min(n + 1, number - 1)]),),
        )
        for n, name in enumerate(names)
    )
    text = Description(licence="GPL-2.0-or-later AND MIT", text="what such a star is for, in one line of a sentence")
    return replace(
        facts,
        lock=replace(facts.lock, stars=stars),
        layers={},
        bill={str(name): replace(text, origins=(f"deb:{name}@1.2.3-4+deb12u1",)) for name in names},
        deeds={str(name): ("copy 3, symlink 12", 'run ["ldconfig"]') for name in names},
    )
