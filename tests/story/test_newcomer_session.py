"""The recorded session of a newcomer: new, edit, build, report; with the seconds of each command (`pytest -rP`)."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest

from fakes.clones import make_clone
from fakes.programs import write_programs

SESSION = (
    ("cosmos new demo --arch x86_64", "next: cosmos build demo"),
    ("cosmos build demo", "next: cosmos boot demo/out"),
    ("""sed -i 's/^hostname = .*/hostname = "box"/' demo/image.toml""", ""),
    ("echo 'welcome to {{ hostname }}' > demo/template/root/etc/motd.j2", ""),
    ("cosmos build demo --explain", "built demo/out"),
    ("cosmos cat demo/out etc/motd", "welcome to box\n"),
    ("cosmos add demo dropbear", 'demo/image.toml: dropbear = "*"'),
    ("cosmos build demo", "built demo/out"),
    ("cosmos ls demo/out 'usr/sbin/*'", "usr/sbin/dropbear"),
    ("cosmos tree demo", "dropbear 2022.83.0"),
    ("cosmos why demo/out /usr/sbin/dropbear", "image -> dropbear"),
    ("cosmos outdated demo", "every star is the newest that there is (4 stars)"),
    ("cosmos report demo", "demo-0.1.0-report.html: "),
    ("cosmos show demo --effective", 'hostname = "box"'),
    ("cosmos build demo", "demo/out"),
)


@pytest.mark.slow
def test_a_newcomer_makes_changes_builds_and_reads_about_an_image(tmp_path: Path) -> None:
    """Every command is typed as it stands here, in a folder that has what `make image` leaves, and ends with exit 0."""
    clone, programs = make_clone(tmp_path / "clone"), write_programs(tmp_path / "bin")
    environ = {"PATH": f"{programs}:{os.environ['PATH']}", "HOME": str(tmp_path), "LC_ALL": "C.UTF-8", "TERM": "dumb"}
    for command, said in SESSION:
        began = time.monotonic()
        ran = subprocess.run(["sh", "-c", command], cwd=clone, env=environ, capture_output=True, text=True)
        print(f"{time.monotonic() - began:6.2f} s  $ {command}")
        assert ran.returncode == 0, f"{command}\n{ran.stdout}\n{ran.stderr}"
        assert said in ran.stdout
        assert "error: " not in ran.stderr
    assert b"<html" in (clone / "demo-0.1.0-report.html").read_bytes()
