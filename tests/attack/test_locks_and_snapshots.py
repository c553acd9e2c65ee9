"""A lock names every byte, one snapshot names every star, and offline makes no socket; as commands."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cosmos.digest import Digest
from fakes.galaxies import StarSpec, write_index, write_spec
from fakes.images import APP, BASE, META, ImageFixture, make_image
from fakes.programs import REPO, Cosmos

STARS = (BASE, APP, META)


@pytest.fixture
def frozen(tmp_path: Path, cosmos: Cosmos) -> ImageFixture:
    made = make_image(tmp_path, STARS)
    cosmos("freeze", made.folder, "--home", made.home).ok()
    return made


def signed_base(image: ImageFixture, content: bytes) -> tuple[str, str]:
    """Put another, validly signed base-1.2.0 into the galaxy; return the digests of its statement and its archive."""
    row = write_spec(image.galaxy, StarSpec("base", "1.2.0", {"bin/tool": content}))
    return str(row.statement), str(row.archive)


def relocked(image: ImageFixture, of: str, values: dict[str, object]) -> None:
    """Change the lock by hand: in the table of the star called `of`, set these keys."""
    lock = image.folder / "universe.lock.toml"
    parts = re.split(r"(?=\[\[star\]\])", lock.read_text())
    for place, part in enumerate(parts):
        if f'name = "{of}"' in part and part.startswith("[[star]]"):
            for key, value in values.items():
                shown = value if isinstance(value, int) else f'"{value}"'
                parts[place], times = re.subn(rf"(?m)^{key} = .*$", f"{key} = {shown}", parts[place])
                assert times == 1, key
    lock.write_text("".join(parts))


@pytest.mark.objective("SO-08")
def test_a_star_from_another_snapshot_than_the_locked_one_is_refused(frozen: ImageFixture, cosmos: Cosmos) -> None:
    """Its statement and archive are validly signed and pinned; only the snapshot says that they do not belong."""
    statement, archive = signed_base(frozen, b"older")
    size = frozen.galaxy.archive("base-1.2.0").stat().st_size
    unpacked = int(re.search(r"unpacked-bytes = (\d+)", frozen.galaxy.statement("base-1.2.0").read_text())[1])
    pins = {"statement": statement, "archive": archive, "size-bytes": size, "unpacked-bytes": unpacked}
    relocked(frozen, "base", pins)
    failed = cosmos("build", frozen.folder, "--home", frozen.home).fails(4)
    assert "snapshot 1 of galaxy core does not list it as the lock pins it" in failed.err
    assert not frozen.out.exists()


@pytest.mark.objective("SO-06")
def test_other_validly_signed_bytes_under_a_locked_version_are_refused(frozen: ImageFixture, cosmos: Cosmos) -> None:
    signed_base(frozen, b"other")
    failed = cosmos("build", frozen.folder, "--home", frozen.home).fails(4)
    assert "the lock names" in failed.err


@pytest.mark.objective("SO-05")
@pytest.mark.parametrize("signed", [False, True], ids=["unsigned", "by a galaxy's key"])
def test_an_index_that_lists_a_star_does_not_stand_in_for_its_author(
    frozen: ImageFixture, cosmos: Cosmos, signed: bool
) -> None:
    """The index is honestly signed and names the very digests of the star; that vouches for nothing."""
    signer = frozen.signers["galaxy"] if signed else None
    hostile = StarSpec("app", "2.0.1", {"app": b"hostile"}, APP.dependencies, signed=False)
    row = write_spec(frozen.galaxy, hostile, 2)
    if signer is not None:
        statement = frozen.galaxy.statement("app-2.0.1")
        galaxy_type = "application/vnd.cosmos.galaxy.v1+toml"
        Path(f"{statement}.dsse").write_bytes(signer.sign(galaxy_type, statement.read_bytes()))
    write_index(frozen.galaxy, [*(write_spec(frozen.galaxy, spec, 2) for spec in STARS), row], seq=2)
    cosmos("freeze", frozen.folder, "--home", frozen.home, "--upgrade").fails(4)


@pytest.mark.objective("SO-15")
def test_a_dependency_that_was_taken_out_of_the_lock_is_not_fetched_all_the_same(
    frozen: ImageFixture, cosmos: Cosmos
) -> None:
    """The signed statement still asks for it: the build stops, and neither leaves it out nor takes one unpinned."""
    lock = frozen.folder / "universe.lock.toml"
    parts = re.split(r"(?=\[\[star\]\])", lock.read_text())
    kept = "".join(part for part in parts if 'name = "base"' not in part)
    lock.write_text(re.sub(r'dependencies = \[\s*"base",\s*\]', "dependencies = []", kept))
    failed = cosmos("build", frozen.folder, "--home", frozen.home).fails(3)
    assert "app 2.0.0 wants base ^1.2" in failed.err
    assert not frozen.out.exists()


@pytest.mark.objective("SO-15")
def test_what_is_installed_is_what_the_lock_names(frozen: ImageFixture, cosmos: Cosmos) -> None:
    """A star that only the galaxy has, newer or new, is not in the image."""
    more = [StarSpec("base", "1.9.0", {"bin/tool": b"newer"}), StarSpec("stowaway", "1.0.0", {"bin/stowaway": b"x"})]
    rows = [write_spec(frozen.galaxy, spec, 1) for spec in STARS] + [
        write_spec(frozen.galaxy, spec, 2) for spec in more
    ]
    write_index(frozen.galaxy, rows, seq=2)
    cosmos("build", frozen.folder, "--home", frozen.home).ok()
    universe = cosmos("cat", frozen.out, "var/lib/cosmos/universe.toml").ok().out
    assert re.findall(r"(?m)^\[installed\.([a-z]+)\]", universe) == ["app", "base", "everything"]
    assert "1.9.0" not in universe


@pytest.fixture
def no_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    """No socket that could reach a network: scripts' workers talk over a pair of local ones."""
    real = socket.socket

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a socket was made")

    class Local(real):  # type: ignore[valid-type, misc]  # the class is a value here, so that it can be put back
        def __init__(self, family: int = -1, *rest: Any, **more: Any) -> None:
            assert family == socket.AF_UNIX, "a socket was made"
            super().__init__(family, *rest, **more)

    monkeypatch.setattr(socket, "socket", Local)
    for name in ("create_connection", "getaddrinfo"):
        monkeypatch.setattr(socket, name, refuse)


@pytest.mark.objective("SO-16")
def test_an_offline_build_from_a_galaxy_behind_a_server_makes_no_socket(
    frozen: ImageFixture, cosmos: Cosmos, no_sockets: None, tmp_path: Path
) -> None:
    cosmos("build", frozen.folder, "--home", frozen.home).ok()
    for name in ("image.toml", "universe.lock.toml"):
        file = frozen.folder / name
        file.write_text(file.read_text().replace('"../galaxy"', '"http://galaxy.invalid/core"'))
    cosmos("build", frozen.folder, "--home", frozen.home, "--offline", "--out", tmp_path / "again").ok()
    failed = cosmos("build", frozen.folder, "--home", tmp_path / "cold", "--offline", "--out", tmp_path / "third")
    assert failed.code in (4, 5), failed.err
    with pytest.raises(AssertionError, match="a socket was made"):
        socket.create_connection(("galaxy.invalid", 80))


# Python's own names for everything that starts a process (docs.python.org, "Audit events table").
STARTS_NOTHING = """
import os, sys
def hook(event, words):
    if event in ("os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "os.system", "subprocess.Popen"):
        os.write(2, event.encode())
        os._exit(99)
sys.addaudithook(hook)
from cosmos.cli.cosmos.main import main
main()
"""


@pytest.mark.objective("SO-17")
def test_resolving_starts_no_process_and_opens_no_archive(tmp_path: Path) -> None:
    """A star's code is in its archive, and a worker would run it. The same hook stops a build, which starts workers."""
    image = make_image(tmp_path, STARS)
    archives = [image.galaxy.archive(name) for name in ("base-1.2.0", "app-2.0.0", "everything-1.0.0")]
    kept = [archive.read_bytes() for archive in archives]
    said = []
    for command in ("freeze", "build"):
        for archive, data in zip(archives, kept, strict=True):
            archive.unlink(missing_ok=True)
            if command == "build":
                archive.write_bytes(data)
        words = [sys.executable, "-c", STARTS_NOTHING, command, image.folder, "--home", image.home]
        surroundings = {"PATH": os.defpath, "PYTHONPATH": str(REPO / "builder"), "PYTHONDONTWRITEBYTECODE": "1"}
        said.append(subprocess.run(words, env=surroundings, capture_output=True, text=True))
    assert [one.returncode for one in said] == [0, 99], said[0].stderr
    assert (image.folder / "universe.lock.toml").is_file()


@pytest.mark.objective("SO-17")
def test_unpacking_and_building_run_no_program_of_a_star(frozen: ImageFixture, cosmos: Cosmos, tmp_path: Path) -> None:
    """A star's own programs are bytes to the builder, its maintainer scripts as well."""
    trap = tmp_path / "sprung"
    program = f"#!/bin/sh\ntouch {trap}\n".encode()
    names = (
        "postinst",
        "preinst",
        "install.sh",
        "usr/bin/ldconfig",
        "sbin/init",
        "usr/lib/systemd/system-generators/x",
    )
    spec = StarSpec("trap", "1.0.0", dict.fromkeys(names, program))
    image = make_image(tmp_path / "trapped", (spec,), tables='[policy]\noutside = ["trap"]\n')
    cosmos("freeze", image.folder, "--home", image.home).ok()
    cosmos("build", image.folder, "--home", image.home).ok()
    assert Digest.of(cosmos("cat", image.out, "usr/bin/ldconfig").ok().out.encode()) == Digest.of(program)
    assert not trap.exists()
