"""The book: Sphinx makes it of the pages in docs/, which a forge shows as they are. `make book`."""

from __future__ import annotations

from sphinx.application import Sphinx

project = "Cosmos"
html_title = "Cosmos"
author = "the Cosmos authors"
extensions = ["myst_parser"]
root_doc = "README"
html_theme = "furo"  # no font and no script from elsewhere; works from a stick, without a server
html_show_sphinx = False
html_copy_source = False
myst_heading_anchors = 4  # the anchors that a forge makes

PARTS = {
    "Learn": ("tutorial",),
    "Do": ("how-to/*", "network", "air-gap", "ci", "updates", "device", "report", "comparing", "lint", "sbom", "audit"),
    "Look up": ("reference/*", "nova", "binary", "names", "formats/*"),
    "Understand": ("concepts", "trust", "security/*", "performance", "decisions/README"),
    "Decisions": ("decisions/0*", "decisions/template"),
}


def add_contents(_app: Sphinx, name: str, source: list[str]) -> None:
    """Give the start page the tables of contents, which a forge would show as code."""
    if name == root_doc:
        for part, patterns in PARTS.items():
            rows = "\n".join(patterns)
            source[0] += f"\n```{{toctree}}\n:hidden:\n:glob:\n:caption: {part}\n\n{rows}\n```\n"


def setup(app: Sphinx) -> None:
    """Called by Sphinx."""
    app.connect("source-read", add_contents)
