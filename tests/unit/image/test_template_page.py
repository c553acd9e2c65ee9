"""The documentation of templates shows one that works."""

from __future__ import annotations

import re
from pathlib import Path

from cosmos.model.template import Declarations


def test_the_template_in_the_documentation_is_read(repo: Path) -> None:
    page = (repo / "docs" / "formats" / "template.md").read_text()
    example = re.search(r"```toml\n(.*?)```", page, re.DOTALL)
    assert example is not None
    declared = Declarations.parse(example[1].encode(), "template.toml")
    assert declared.merged_usr
    assert set(declared.variables) == {"hostname", "wifi_psk"}
    assert declared.secrets == ("wifi_psk",)
