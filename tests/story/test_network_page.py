"""Every command that docs/network.md shows, run in its order; the servers that it names are behind a proxy of the test.

`http_proxy` stands for the network of the page: the proxy answers for every host with the folder of the galaxies.
"""

from __future__ import annotations

import os
import re
import subprocess
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from cosmos.digest import Digest
from cosmos.errors import Refused
from cosmos.transport import opening
from cosmos.transport.carrier import NotThere
from cosmos.transport.proxies import basic
from fakes.galaxies import StarSpec, make_galaxy, make_signers
from fakes.kept_servers import KeptProxy, proxy
from fakes.programs import Cosmos, write_programs
from story.test_device_page import is_progress, shown

STARS = [StarSpec("zlib", "1.3.1", {"usr/lib/libz.so.1": b"z" * 5000}), StarSpec("tool", "2.0.0", {"usr/bin/t": b"t"})]
PASSWORD_NEEDED = "http://10.0.0.1:8000"


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """A folder with a system, a stick, a list of mirrors, and the galaxies that the servers of the page have."""
    write_programs(tmp_path / "bin")
    folder = tmp_path / "work"
    signers = make_signers()
    make_galaxy(folder / "served" / "core", "core", STARS, signers)
    make_galaxy(folder / "stick", "core", STARS, signers)
    (folder / "mirrors.txt").write_text("# ours\nhttp://10.0.0.2/core\nstick\n")
    trust = signers.write_trust(folder / "trust.toml")
    (folder / "system").mkdir()
    environ = {"PATH": f"{tmp_path / 'bin'}{os.pathsep}{os.defpath}", "HOME": str(folder)}
    for words in ("init --arch x86_64", f"trust init trust.toml --sha256 {Digest.of(trust.read_bytes())}"):
        subprocess.run(["bash", "-c", f"cosmos {words} --root system"], cwd=folder, env=environ, check=True)
    return folder


@pytest.fixture
def network(work: Path) -> Iterator[KeptProxy]:
    with proxy(work / "served") as server:
        yield server


@pytest.fixture
def strict(work: Path) -> Iterator[KeptProxy]:
    """A proxy that wants a password."""
    with proxy(work / "served", login=basic("worker", "WORD")) as server:
        yield server


def test_the_page_s_commands_do_what_it_says(repo: Path, work: Path, network: KeptProxy, strict: KeptProxy) -> None:
    environ = {
        "PATH": f"{work.parent / 'bin'}{os.pathsep}{os.defpath}",
        "HOME": str(work),
        "http_proxy": network.address,
    }
    commands = shown((repo / "docs/network.md").read_text())
    assert len(commands) >= 13
    at_password = False
    for command, lines in commands:
        if "add-galaxy" in command:
            at_password = PASSWORD_NEEDED in command
            network.login_behind = basic("reader", "SECRET") if at_password else ""
        words = command.replace("/media/stick", str(work / "stick")).replace(
            "10.0.0.9:3128", f"127.0.0.1:{strict.port}"
        )
        ran = subprocess.run(
            ["bash", "-c", words], cwd=work, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        is_error = any(line.startswith("cosmos: error: ") for line in lines)
        assert ran.returncode == (5 if is_error else 0), f"{command}\n{ran.stdout}"
        told = ran.stdout.replace(f"127.0.0.1:{strict.port}", "10.0.0.9:3128")
        printed = [line for line in told.splitlines() if not is_progress(line) and not line.startswith("sync ")]
        form = "".join("(?:.*\n)*" if line == "…" else re.escape(line).replace("…", ".*") + "\n" for line in lines)
        assert not lines or re.fullmatch(form, "".join(f"{line}\n" for line in printed)), f"{command}\n{told}\n{lines}"
    asked = {target.split("/core/")[0] for _, target, _ in network.requests}
    assert {"http://10.0.0.1", "http://10.0.0.2", PASSWORD_NEEDED} <= asked
    assert strict.requests


def test_the_page_s_carrier_works_and_its_bytes_are_judged(
    repo: Path, work: Path, cosmos: Cosmos, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocks = re.findall(r"^```python\n(.*?)^```", (repo / "docs/network.md").read_text(), re.DOTALL | re.MULTILINE)
    assert len(blocks) == 1
    names: dict[str, type] = {}
    exec(blocks[0], names)
    monkeypatch.setattr(opening, "CARRIERS", {**opening.CARRIERS, "zip": names["ZipCarrier"]})
    root, packed = work / "system", work / "core.zip"

    def pack(spoil: str = "") -> None:
        with zipfile.ZipFile(packed, "w") as archive:
            for file in sorted((work / "served/core").rglob("*")):
                data = file.read_bytes() if file.is_file() else b""
                archive.writestr(
                    str(file.relative_to(work / "served/core")), data[:-1] + b"!" if file.name == spoil else data
                )

    pack()
    carrier = opening.open_carrier(f"zip://{packed}", work, work)
    with pytest.raises(NotThere):
        carrier.read("nothing", max_bytes=9)
    with pytest.raises(Refused, match="has more than 3 bytes"):
        carrier.read("meta.toml", max_bytes=3)
    cosmos("add-galaxy", "core", f"zip://{packed}", "--root", root)
    assert "2 versions, 2 archives" in cosmos("sync", "--full", "--root", root).ok().out
    cosmos("install", "zlib", "--yes", "--root", root).ok()
    pack(spoil="tool-2.0.0.tar.zst")
    cosmos("sync", "--full", "--root", root).fails(4)
