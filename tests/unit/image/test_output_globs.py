"""The options of output formats."""

from __future__ import annotations

import pytest

from cosmos.errors import Malformed
from cosmos.image.outputs.initramfs import Initramfs
from cosmos.image.outputs.single_file import SingleFile
from cosmos.tables import Table


def test_a_glob_that_means_nothing_is_refused_before_anything_is_built() -> None:
    with pytest.raises(Malformed, match=r"exclude\[1\]: .*must stand alone between slashes"):
        Initramfs.read(Table.parse(b'exclude = ["boot/**", "usr/lib**"]', "image.toml"))
    with pytest.raises(Malformed, match=r"path: want a glob"):
        SingleFile.read(Table.parse(b'path = "/"\nas = "vmlinuz"', "image.toml"))
