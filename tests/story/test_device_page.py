"""Every command that docs/device.md shows, run in its order; what it prints is what the page says."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

from cosmos.digest import Digest
from cosmos.model.settings import Settings
from cosmos.tree.entry import Entry
from cosmos.treepath import TreePath
from fakes.consoles import form_of, shown
from fakes.galaxies import StarSpec, index_by_stellar, make_galaxy, make_signers
from fakes.programs import write_programs
from fakes.released_systems import make_release

STARS = (
    StarSpec("zlib", "1.3.1", {"usr/lib/libz.so.1": b"z" * 5000}),
    StarSpec("tool", "2.0.0", {"usr/bin/tool": b"tool"}, {"zlib": "^1.3"}),
    StarSpec("editor", "6.1.0", {"usr/bin/ed": b"61"}),
    StarSpec("editor", "6.2.0", {"usr/bin/ed": b"62"}),
    StarSpec("raise", files={"usr/bin/raise": Entry(path=TreePath(b"usr/bin/raise"), kind="file", mode=0o4755)}),
)
UNSET = re.compile(r"cosmos: warning: \d+ owners and capabilities were not set: only root can set them")
UNJUDGED = "; owners were not judged: this root belongs to an ordinary user"
FAILS = {
    "cosmos install raise --root system": 6,
    "cosmos install tool@1.0.0 --root system": 3,
    "cosmos owns /usr/bin/mine --root system": 3,
    "cosmos repair --root appliance": 4,
    "cosmos uninstall zlib --root system": 3,
    "cosmos verify --root system": 7,
}  # where the page shows an error


@pytest.fixture
def work(tmp_path: Path) -> Path:
    write_programs(tmp_path / "bin")
    folder = tmp_path / "work"
    folder.mkdir()
    signers = make_signers()
    index_by_stellar(make_galaxy(folder / "galaxy", "core", STARS, signers))
    signers.write_trust(folder / "trust.toml")
    made = make_release(tmp_path / "made")
    subprocess.run(["cp", "-a", tmp_path / "made/kept", folder / "appliance"], check=True)
    shutil.copytree(made.out, folder / "stick/release")
    shutil.copy(made.public_key, folder / "release.pub")
    return folder


def test_the_page_s_commands_do_what_it_says(repo: Path, work: Path) -> None:
    environ = {"PATH": f"{work.parent / 'bin'}{os.pathsep}{os.defpath}", "HOME": str(work)}
    digest = Digest.of((work / "trust.toml").read_bytes())
    commands = shown((repo / "docs/device.md").read_text())
    assert len(commands) >= 13
    for command, lines in commands:
        words = command.replace("DIGEST", digest)
        ran = subprocess.run(
            ["bash", "-c", words], cwd=work, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        is_error = any(line.startswith("cosmos: error: ") for line in lines)
        assert ran.returncode == (FAILS[command] if is_error else 0), f"{command}\n{ran.stdout}"
        told = ran.stdout if os.geteuid() == 0 else ran.stdout.replace(UNJUDGED, "")
        printed = [line for line in told.splitlines() if not is_progress(line) and not is_for_users_alone(line)]
        form = form_of(lines)
        assert re.fullmatch(form, "".join(f"{line}\n" for line in printed)), f"{command}\n{ran.stdout}\nwanted {lines}"


STEPS = ("fetch and verify ", "pin ", "put ", "hash ", "unpack the image, ")


def is_progress(line: str) -> bool:
    return line == "resolve" or line.startswith(STEPS)


def is_for_users_alone(line: str) -> bool:
    """Say whether root, for whom the page is written, would not be told this."""
    return os.geteuid() != 0 and bool(UNSET.fullmatch(line))


def test_the_format_page_s_example_is_a_document(repo: Path) -> None:
    page = (repo / "docs/formats/config.md").read_text()
    example = re.search(r"^```toml\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    assert example
    assert Settings.parse(example[1].encode(), "config.toml").to_toml() == tomllib.loads(example[1])
