"""Every command that docs/audit.md shows, run in its order beside a small galaxy and an image."""

from __future__ import annotations

from pathlib import Path

import pytest
import tomli_w

from cosmos.trust.roles import TRUST_TYPE
from fakes.consoles import shown
from fakes.galaxies import make_signers
from fakes.images import BASE, make_image
from fakes.programs import Cosmos, typed


def test_the_page_s_commands_do_what_it_says(
    repo: Path, tmp_path: Path, cosmos: Cosmos, stellar: Cosmos, monkeypatch: pytest.MonkeyPatch
) -> None:
    work, signers = tmp_path / "work", make_signers()
    image = make_image(work, (BASE,))
    first = tomli_w.dumps(signers.roots().to_toml()).encode()
    (work / "trust").mkdir()
    (work / "trust" / "1.toml").write_bytes(first)
    (work / "trust" / "1.toml.dsse").write_bytes(signers["root"].sign(TRUST_TYPE, first))
    signers["root"].save(work / "root.key", None)
    monkeypatch.setenv("COSMOS_HOME", str(image.home))
    monkeypatch.setenv("HOME", str(work))
    monkeypatch.chdir(work)
    commands = [command for command, _ in shown((repo / "docs/audit.md").read_text())]
    assert len(commands) == 24
    for command in commands:
        ran = typed(command, {"cosmos": cosmos, "stellar": stellar})
        assert ran.code == 0, f"{command}\n{ran.err}"
    assert "core/log" in (work / "core.head").read_text()
    assert len((image.folder / "out.intoto.jsonl").read_text().splitlines()) == 2
