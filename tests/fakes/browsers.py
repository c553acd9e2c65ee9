"""Headless Chromium, and axe-core in a page: what a browser and a reader with a screen reader meet."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

REPO = Path(__file__).resolve().parents[2]
CHROMIUM: Final = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
AXE: Final = REPO / "build/axe/node_modules/axe-core/axe.min.js"  # `make test-page` puts it there
_SCHEMES: Final = {"dark": 0, "light": 1}  # as Chromium's settings number them
_RUN: Final = """
const show = text => {
  const out = document.createElement("pre");
  out.id = "found";
  out.textContent = text;
  document.body.append(out);
};
const rules = {resultTypes: ["violations"]};
axe.run(document, rules).then(
  found => show(JSON.stringify({
    dark: matchMedia("(prefers-color-scheme: dark)").matches,
    passes: found.passes.map(one => one.id),
    violations: found.violations.map(one => ({id: one.id, help: one.help,
      nodes: one.nodes.slice(0, 3).map(node => node.html + " " + node.failureSummary)}))})),
  error => show(JSON.stringify({violations: [{id: "failed", help: String(error), nodes: []}]})));
"""


@dataclass(frozen=True)
class Judged:
    """The verdict of axe-core on a page."""

    is_dark: bool
    passes: frozenset[str]
    violations: list[Any]


def chromium(page: Path, *words: str, scheme: str = "light") -> subprocess.CompletedProcess[str]:
    """Open a page in headless Chromium, with nothing but its own profile."""
    assert CHROMIUM is not None
    profile = page.with_suffix(".profile")
    command = [
        *(CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"),
        *("--disable-background-networking", "--hide-scrollbars", f"--user-data-dir={profile}"),
        f"--blink-settings=preferredColorScheme={_SCHEMES[scheme]}",
        *words,
        page.absolute().as_uri(),
    ]
    env = {"PATH": os.environ["PATH"], "HOME": str(page.parent), "LC_ALL": "C.UTF-8"}
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=300, env=env)
    finally:
        shutil.rmtree(profile, ignore_errors=True)


def judged(data: bytes, folder: Path, scheme: str) -> Judged:
    """Return what axe-core says of a page. The page forbids scripts, so a copy without that rule is judged."""
    opened, count = re.subn(rb'<meta http-equiv="Content-Security-Policy"[^>]*>\n', b"", data)
    assert count == 1, "the page has its own rules"
    script = f"<script>{AXE.read_text()}</script><script>{_RUN}</script></body>".encode()
    file = folder / f"judged-{scheme}.html"
    file.write_bytes(opened.replace(b"</body>", script))
    dom = chromium(file, "--virtual-time-budget=60000", "--dump-dom", scheme=scheme).stdout
    found = re.search(r'<pre id="found">(.*?)</pre>', dom, re.DOTALL)
    assert found, f"axe-core did not end: {dom[-300:]}"
    text = found[1].replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", '"').replace("&amp;", "&")
    answer = json.loads(text)
    return Judged(
        is_dark=answer.get("dark", False),
        passes=frozenset(answer.get("passes", ())),
        violations=answer["violations"],
    )


def complaints(page: Path) -> list[str]:
    """Return what Chromium writes on the console about a page as it is."""
    said = chromium(page, "--enable-logging=stderr", "--dump-dom").stderr
    return [line for line in said.splitlines() if "CONSOLE" in line]
