"""The rescue image, started in QEMU: it says that it is well if it is, and only then."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cosmos.digest import Digest
from cosmos.pack.cpio import cpio_pieces
from cosmos.tree.entry import Entry
from cosmos.treepath import TreePath

pytestmark = [pytest.mark.boot, pytest.mark.slow, pytest.mark.xdist_group("boot")]

MARKER = "COSMOS-READY"
SECONDS = 900  # alone it takes 45


def booted(release: Path) -> subprocess.CompletedProcess[str]:
    """Run `cosmos boot` as a person would."""
    cosmos = Path(sys.executable).with_name("cosmos")
    return subprocess.run(
        [cosmos, "boot", release, "--timeout", str(SECONDS)],
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS + 60,
        stdin=subprocess.DEVNULL,
    )


def with_a_changed_file(release: Path, copy: Path, path: str, content: bytes) -> Path:
    """Return a copy of `release` whose initramfs lays another file at `path`, stated as if it had been built so."""
    shutil.copytree(release, copy)
    initramfs = next(copy.glob("*.cpio.zst"))
    changed = Entry(path=TreePath(path.encode()), kind="file", mode=0o644, content=content)
    with initramfs.open("ab") as stream:
        stream.write(bytes(-stream.tell() % 4))  # a kernel reads archive after archive, each at a multiple of four
        stream.writelines(cpio_pieces([changed]))
    statement = json.loads((copy / "RELEASE.json").read_text())
    for subject in statement["subject"]:
        if subject["name"] == initramfs.name:
            subject["digest"]["sha256"] = Digest.of(initramfs.read_bytes()).hex
            subject["annotations"]["sizeBytes"] = initramfs.stat().st_size
    (copy / "RELEASE.json").write_text(json.dumps(statement))
    return copy


def test_the_rescue_image_boots_and_says_itself_that_it_is_well(release: Path) -> None:
    answer = booted(release)
    console = answer.stdout + answer.stderr
    assert answer.returncode == 0, console
    assert MARKER in console.splitlines() or any(line.startswith(MARKER) for line in console.splitlines()), console


@pytest.mark.exhaustive  # tests/unit/image/test_rescue_start.py tries the same question without a machine
def test_a_system_whose_file_was_changed_does_not_say_that_it_is_well(release: Path, tmp_path: Path) -> None:
    spoilt = with_a_changed_file(release, tmp_path / "out", "usr/bin/tree", b"#!/bin/sh\n")
    answer = booted(spoilt)
    console = answer.stdout + answer.stderr
    assert answer.returncode == 5, console
    assert "COSMOS-FAILED" in console
    assert "usr/bin/tree" in console
