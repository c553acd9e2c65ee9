"""A key that should be a name and is none is refused with its file and its place, in every document."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from cosmos.errors import Malformed
from cosmos.model.image import Image
from cosmos.model.lock import Lock
from cosmos.model.settings import Settings
from cosmos.model.star import Star
from cosmos.model.universe import Universe
from cosmos.trust.memory import Memory
from cosmos.trust.roots import TrustRoots

NAMES = ['""', '".."', '"a b"', '"/"', f'"{"x" * 300}"']
# document, page, the line whose key is changed, the place that the error names
PLACES: dict[str, tuple[Callable[[bytes, str], object], str, str, str]] = {
    "lock's wish": (Lock.parse, "lock", r"(?<=\[request\.stars\]).*?\n(\S+) = ", "request.stars"),
    "lock's galaxy": (Lock.parse, "lock", r"(?<=\[request\.galaxies\]).*?\n(\S+) = ", "request.galaxies"),
    "image's galaxy": (Image.parse, "image", r"(?<=\[galaxies\]).*?\n(\S+) = ", "galaxies"),
    "image's star": (Image.parse, "image", r"(?<=\[stars\]).*?\n(\S+) = ", "stars"),
    "star's need": (Star.parse, "star", r"(?<=\[dependencies\]).*?\n(\S+) = ", "dependencies"),
    "universe's star": (Universe.parse, "universe", r"\[installed\.(\w+)\]", "installed"),
}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("place", PLACES)
def test_a_key_of_a_page_s_example_that_is_no_name_is_refused(place: str, name: str, repo: Path) -> None:
    parse, page, pattern, where = PLACES[place]
    found = re.search(r"^```toml\n(.*?)^```$", (repo / f"docs/formats/{page}.md").read_text(), re.MULTILINE | re.DOTALL)
    assert found is not None
    line = re.search(pattern, found[1], re.DOTALL)
    assert line is not None
    text = found[1][: line.start(1)] + name + found[1][line.end(1) :]
    with pytest.raises(Malformed, match=rf"^doc: {where}.*: want "):
        parse(text.encode(), "doc")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("parse", "text", "where"),
    [
        (Settings.parse, "[galaxies]\nNAME = 'x'\n", "galaxies"),
        (Memory.parse, "state-version = 1\n[galaxies.NAME]\nnumber = 1\n", "galaxies|NAME"),
        (TrustRoots.parse, "trust-version = 1\nversion = 1\n[roots]\n[floor.galaxies]\nNAME = 1\n", ""),
    ],
)
def test_a_key_of_settings_memory_or_trust_that_is_no_name_is_refused(
    parse: Callable[[bytes, str], object], text: str, where: str, name: str
) -> None:
    with pytest.raises(Malformed, match=r"^doc: "):
        parse(text.replace("NAME", name).encode(), "doc")
