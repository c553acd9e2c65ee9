"""What an installation takes from a server that is far away: seconds, requests and connections.

    PYTHONPATH=tests .venv/bin/python tests/bench/latency_bench.py [--stars N] [--milliseconds N] [--against SOURCES]…

A server on this machine waits before each answer, and keeps its connections. It has a signed galaxy of `--stars` stars
(100), each with a log proof and without badges. A system that demands the log installs them all. Then a system takes
all stars of a galaxy in upstream's format, of which the index names no version. `--against` names the `builder` folder
of another version, which does the same.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import tomli_w

from cosmos.device.initialise import initialise
from cosmos.device.journal import at_work
from cosmos.device.root import LiveRoot
from cosmos.device.settings import write_settings
from cosmos.device.system import TRUST_PATH
from cosmos.keyring.secret_key import SecretKey
from cosmos.model.image import GalaxySource
from cosmos.model.names import Arch, GalaxyName
from cosmos.model.settings import Settings
from cosmos.model.vouching import Vouching
from cosmos.trust.keys import KeyName
from cosmos.trust.roles import Role
from cosmos.trust.roots import RoleKeys
from fakes.galaxies import GalaxyFixture, StarSpec, index_by_stellar, make_signers, write_spec
from fakes.kept_servers import KeptServer
from fakes.upstream_galaxies import write_upstream

REPO = Path(__file__).resolve().parents[2]
LOG = SecretKey(name=KeyName("core-log"), role="log", seed=b"core-log".ljust(32, b"."))


class FarServer(KeptServer):
    """A server whose answers come late."""

    def __init__(self, folder: Path, seconds: float) -> None:
        super().__init__(folder)
        self.seconds = seconds

    @property
    def handler_class(self) -> Any:
        """The handler of each connection."""
        near: Any = super().handler_class
        server = self

        class Far(near):  # type: ignore[misc]  # the class of the test servers is their own
            def do_GET(self) -> None:  # noqa: N802 - named by http.server
                time.sleep(server.seconds)
                super().do_GET()

        return Far


def run(sources: Path, name: str, *words: object) -> float:
    """Run a command of the sources in this folder, and return its seconds; raises if it fails."""
    code = f"import sys; sys.path.insert(0, {str(sources)!r}); sys.argv[0] = {name!r}; "
    code += f"from cosmos.cli.{name}.main import main; main()"
    compiled = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    began = time.monotonic()
    subprocess.run([sys.executable, "-c", code, *map(str, words)], check=True, capture_output=True, env=compiled)
    return time.monotonic() - began


def signed_galaxy(folder: Path, stars: int) -> list[str]:
    """Make a signed galaxy with a log, and return the names of its stars."""
    galaxy = GalaxyFixture(folder, GalaxyName("core"), make_signers())
    for below in ("packages", "stars", "snapshots"):
        (galaxy.path / below).mkdir(parents=True)
    galaxy.index.write_text('format = 2\nname = "core"\nversion = "2026.01.01"\nseq = 0\n')
    names = [f"star-{number:04}" for number in range(stars)]
    for name in names:
        write_spec(galaxy, StarSpec(name, files={f"usr/share/{name}": name.encode()}))
    index_by_stellar(galaxy)
    key = folder.with_name("log.key")
    LOG.save(key, None)
    run(REPO / "builder", "stellar", "log", "append", galaxy.path, "--key", key)
    return names


def upstream_galaxy(folder: Path, stars: int) -> list[str]:
    """Make a galaxy in upstream's format, whose index lists names alone, and return the names."""
    names = [f"plain-{number:04}" for number in range(stars)]
    index = f'name = "plain"\nversion = "2026.01"\nstars = {names}\n\n[checksums]\n'
    texts = {name: f'name = "{name}"\nversion = "1.0.0"\ntype = "normal"\n' for name in names}
    archives = {f"{name}-1.0.0": {f"./files/usr/share/{name}": name.encode()} for name in names}
    write_upstream(folder, stars=texts, archives=archives, index=index)
    return names


def system(root: Path, galaxy: GalaxySource, vouching: Vouching) -> None:
    """Make a system that takes its stars from this galaxy."""
    signers = make_signers()
    roles: dict[Role, RoleKeys] = {**signers.roots().roles, "log": RoleKeys(threshold=1, keys=(LOG.public,))}
    roots = replace(signers.roots(), roles=roles)
    root.mkdir()
    with LiveRoot.open(root) as live, at_work(live):
        initialise(live, arch=Arch("x86_64"), version="1")
        write_settings(live, Settings(galaxies=(galaxy,), vouching=vouching))
        live.replace_document(TRUST_PATH, tomli_w.dumps(roots.to_toml()).encode())


def main() -> None:
    """Print a row for each galaxy and version."""
    parser = argparse.ArgumentParser(description="Install from a server that is far away.")
    parser.add_argument("--stars", type=int, default=100)
    parser.add_argument("--milliseconds", type=int, default=50)
    parser.add_argument("--against", type=Path, action="append", default=[])
    options = parser.parse_args()
    print(f"{options.stars} stars, {options.milliseconds} ms before each answer")
    with tempfile.TemporaryDirectory(prefix="cosmos-bench-") as name:
        folder = Path(name)
        kinds = {
            "signed, with a log": (signed_galaxy(folder / "core", options.stars), "core", False),
            "upstream's": (upstream_galaxy(folder / "plain", options.stars), "plain", True),
        }
        for kind, (stars, galaxy, is_unsigned) in kinds.items():
            for number, sources in enumerate((*options.against, REPO / "builder")):
                server = FarServer(folder / galaxy, options.milliseconds / 1000)
                source = GalaxySource(name=GalaxyName(galaxy), url=server.address, allow_unsigned=is_unsigned)
                root = folder / f"{galaxy}-{number}"
                system(root, source, Vouching(log=not is_unsigned))
                seconds = run(sources, "cosmos", "install", *stars, "--yes", "--root", root)
                server.close()
                told = f"{seconds:6.1f} s, {len(server.requests):4} requests, {server.connections:3} connections"
                print(f"{kind:20} {told}  {sources}", flush=True)


if __name__ == "__main__":
    main()
