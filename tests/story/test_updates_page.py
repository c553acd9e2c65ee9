"""Every command that docs/updates.md shows, run in its order; what it prints is what the page says."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from fakes.consoles import form_of, shown
from fakes.programs import write_programs
from fakes.ranged_servers import ranged_server
from fakes.updates import make_update


@pytest.fixture
def work(tmp_path: Path, succeed: Callable[..., None]) -> Path:
    write_programs(tmp_path / "bin")
    update = make_update(tmp_path / "work", succeed)
    assert update.old == tmp_path / "work" / "old"
    (tmp_path / "work/root").mkdir()
    unpack = ["tar", "--zstd", "--no-same-owner", "-xpf", next(update.old.glob("*.tar.zst"))]
    subprocess.run([*unpack, "-C", tmp_path / "work/root"], check=True)
    return tmp_path / "work"


def test_the_page_s_commands_do_what_it_says(repo: Path, work: Path) -> None:
    environ = {"PATH": f"{work.parent / 'bin'}{os.pathsep}{os.defpath}", "HOME": str(work)}
    commands = shown((repo / "docs/updates.md").read_text())
    assert len(commands) >= 7
    with ranged_server(work / "new") as server:
        for command, lines in commands:
            words = command.replace("http://localhost:PORT/", server.address)
            ran = subprocess.run(
                ["bash", "-c", words],
                cwd=work,
                env=environ,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
            assert ran.returncode == 0, f"{command}\n{ran.stdout}"
            form = form_of(lines)
            assert re.fullmatch(form, ran.stdout), f"{command}\n{ran.stdout}\nwanted {lines}"
