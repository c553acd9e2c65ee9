"""What tells this program's layers from another's."""

from __future__ import annotations

from pathlib import Path

import pytest

from cosmos.about import VERSION
from cosmos.image.home import program_identity


def test_the_frozen_binary_is_known_by_its_version() -> None:
    assert program_identity(None) == VERSION


@pytest.mark.parametrize("file", ["globs.py", "links.py", "nova/verbs.py", "tree/overlay.py"])
def test_a_change_of_what_shapes_layers_makes_another_program(tmp_path: Path, file: str) -> None:
    for name in ("globs.py", "links.py", "nova/verbs.py", "tree/overlay.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("1\n")
    before = program_identity(tmp_path)
    (tmp_path / file).write_text("2\n")
    assert program_identity(tmp_path) != before
