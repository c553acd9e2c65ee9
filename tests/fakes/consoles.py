"""The consoles of a page of docs/: which commands it shows, and what they print there."""

from __future__ import annotations

import re


def shown(page: str) -> list[tuple[str, list[str]]]:
    """The commands of the page, each with the lines that it shows below it."""
    found: list[tuple[str, list[str]]] = []
    for block in re.findall(r"^```console\n(.*?)^```", page, re.DOTALL | re.MULTILINE):
        for line in block.splitlines():
            if line.startswith("$ "):
                found.append((line[2:], []))
            else:
                found[-1][1].append(line)
    return found


def form_of(lines: list[str]) -> str:
    """A pattern of what is printed: a line with nothing but … stands for any lines, … in a line for any characters."""
    return "".join("(?:.*\n)*" if line == "…" else re.escape(line).replace("…", ".*") + "\n" for line in lines)
