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


def of_page(repo: Path, page: str) -> str:
    """Return the first example of a document on its page."""
    found = re.search(r"^```toml\n(.*?)^```$", (repo / f"docs/formats/{page}.md").read_text(), re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[1]


def alternatives(count: int) -> str:
    return " | ".join(f"a{number}" for number in range(count))


def with_needs(page: str, key: str, value: str) -> bytes:
    """Return a star's document whose list `key` holds `value` alone."""
    kept = "".join(line for line in page.splitlines(keepends=True) if not line.startswith(f"{key} = "))
    top, table, below = kept.partition("\n[")
    return f'{top}\n{key} = ["{value}"]{table}{below}'.encode()


def test_a_star_s_need_has_so_many_alternatives_and_no_more(repo: Path) -> None:
    page = of_page(repo, "star")
    assert len(Star.parse(with_needs(page, "any-of", alternatives(64)), "doc").any_of[0]) == 64
    with pytest.raises(Malformed, match=r"^doc: any-of\[0\]: want at most 64 alternatives, got 65"):
        Star.parse(with_needs(page, "any-of", alternatives(65)), "doc")


def test_a_name_that_a_locked_star_provides_has_a_version_of_a_known_scheme(repo: Path) -> None:
    page = of_page(repo, "lock")
    text, count = re.subn(r"(?m)^provides = \[.*\]$", 'provides = ["mta SCHEME 1.0-1"]', page, count=1)
    assert count == 1
    assert Lock.parse(text.replace("SCHEME", "debian").encode(), "doc")
    problem = r"^doc: star\[\d\]\.provides\[0\]: want NAME, or NAME SCHEME VERSION, got 'mta rpm 1.0-1'"
    with pytest.raises(Malformed, match=problem):
        Lock.parse(text.replace("SCHEME", "rpm").encode(), "doc")
