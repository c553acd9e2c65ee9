"""The colours of the page: each text differs enough from what it is written on (WCAG 2.2, 1.4.3: 4.5 to 1)."""

from __future__ import annotations

import re
from itertools import product
from pathlib import Path

import pytest

import cosmos.release.report.page as room

STYLE = (Path(room.__file__).parent / "page.css").read_text()
THEMES = {
    name: dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6})", block))
    for name, block in zip(("light", "dark", "print"), re.findall(r":root \{(.*?)\}", STYLE, re.DOTALL), strict=True)
}
PAIRS = [
    *product(("text", "quiet", "link", "good", "bad"), ("ground", "raised")),
    *product(("cell-text",), ("asked", "needed", "own", "rest")),
]


def luminance(colour: str) -> float:
    """Return the relative luminance of `#rrggbb` (WCAG 2.2)."""
    parts = (int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5))
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("theme", THEMES)
def test_every_text_of_the_page_can_be_read_on_its_ground(theme: str) -> None:
    colours = THEMES[theme]
    for text, ground in PAIRS:
        darker, lighter = sorted(luminance(colours[name]) for name in (text, ground))
        assert (lighter + 0.05) / (darker + 0.05) >= 4.5, (text, ground)
