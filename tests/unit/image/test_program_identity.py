"""What tells one program's layers from another's counts every file that can change a layer's bytes."""

from __future__ import annotations

from pathlib import Path

import pytest

from cosmos.about import VERSION
from cosmos.image.home import program_identity


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("nova/run.py", True),
        ("nova/lua/base.lua", True),
        ("sandbox/kernel.py", True),
        ("globs.py", True),
        ("links.py", True),
        ("cli/words.py", False),
        ("nova/__pycache__/run.cpython-311.pyc", False),
    ],
)
def test_a_file_that_can_change_a_layer_counts_and_no_other(tmp_path: Path, name: str, counts: bool) -> None:
    file = tmp_path / name
    for module in ("globs.py", "links.py"):
        (tmp_path / module).write_text("")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("one")
    before = program_identity(tmp_path)
    file.write_text("two")
    assert (program_identity(tmp_path) != before) is counts


def test_the_binary_is_told_by_its_version_alone() -> None:
    assert program_identity(None) == VERSION
