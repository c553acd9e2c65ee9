"""Every command that docs/trust.md shows, run in its order in an empty folder."""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path

import pytest

from cosmos.digest import Digest
from cosmos.model.statement import Statement
from cosmos.trust.roots import TrustRoots
from fakes.consoles import shown
from fakes.programs import Cosmos, typed, write_programs

EXIT_CODES = {"cosmos trust init trust.toml": 2}  # shown because it refuses


def test_the_page_s_commands_do_what_it_says(
    repo: Path, tmp_path: Path, cosmos: Cosmos, stellar: Cosmos, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = tmp_path / "work"
    work.mkdir()
    (work / "passphrase.txt").write_text("correct horse battery staple\n")
    monkeypatch.setenv("COSMOS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HOME", str(work))
    monkeypatch.setenv("PATH", f"{write_programs(tmp_path / 'bin')}{os.pathsep}{os.defpath}")  # for a shell's lines
    monkeypatch.chdir(work)
    commands = [command for command, _ in shown((repo / "docs/trust.md").read_text())]
    assert len(commands) >= 20
    for command in commands:
        digest = Digest.of((work / "trust.toml").read_bytes()).hex if "DIGEST" in command else ""
        ran = typed(command.replace("DIGEST", digest), {"cosmos": cosmos, "stellar": stellar})
        assert ran.code == EXIT_CODES.get(command, 0), f"{command}\n{ran.err}"
    assert (tmp_path / "home/trust/trust.toml.dsse").is_file()
    assert (work / "system/etc/cosmos/trust.toml").read_bytes() == (work / "trust/4.toml").read_bytes()


def test_the_format_page_s_example_is_a_document(repo: Path) -> None:
    page = (repo / "docs/formats/trust.md").read_text()
    example = re.search(r"^```toml\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    assert example
    roots = TrustRoots.parse(example[1].encode(), "trust.toml")
    assert roots.to_toml() == tomllib.loads(example[1])


def test_the_statement_page_s_example_is_a_statement(repo: Path) -> None:
    page = (repo / "docs/formats/statement.md").read_text()
    example = re.search(r"^```toml\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    assert example
    statement = Statement.parse(example[1].encode(), "zlib-1.3.1.toml")
    assert (statement.star.id, statement.galaxy, statement.seq) == ("zlib-1.3.1", "core", 7)
