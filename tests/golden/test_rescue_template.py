"""What the rescue template lays down: every path with its mode, owner, size and digest."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from cosmos.image.template import read_template, render_template
from cosmos.model.image import Image
from cosmos.tree.manifest import ManifestLine, manifest


def test_the_rescue_template_lays_down_what_it_did(repo: Path, golden: Callable[[str, str], None]) -> None:
    image = Image.parse((repo / "images/rescue/image.toml").read_bytes(), "image.toml")
    template = render_template(read_template(repo / "rootfs-templates/rescue"), image, source="image.toml")
    golden("rescue-template.txt", manifest(map(ManifestLine.of, template.entries)).decode())
