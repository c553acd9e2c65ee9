"""Every command that docs/air-gap.md shows, run in its order; what it prints is what the page says."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

from cosmos.digest import Digest
from fakes.consoles import form_of, shown
from fakes.images import make_image
from fakes.programs import Cosmos, write_programs


def test_the_page_s_commands_do_what_it_says(repo: Path, tmp_path: Path, cosmos: Cosmos) -> None:
    programs, image = write_programs(tmp_path / "bin"), make_image(tmp_path / "work")
    cosmos("freeze", image.folder, "--home", image.home).ok()
    work = image.folder.parent
    environ = {"PATH": f"{programs}{os.pathsep}{os.defpath}", "HOME": str(work)}
    digest = Digest.of((image.home / "trust" / "trust.toml").read_bytes())
    commands = shown((repo / "docs/air-gap.md").read_text())
    assert len(commands) >= 12
    for command, lines in commands:
        words = command.replace("DIGEST", digest)
        ran = subprocess.run(
            ["bash", "-c", words], cwd=work, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        assert ran.returncode == 0, f"{command}\n{ran.stdout}"
        form = form_of(lines)
        assert re.fullmatch(form, ran.stdout), f"{command}\n{ran.stdout}\nwanted {lines}"
