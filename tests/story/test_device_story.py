"""A system's life, as its operator types it: made of a bare tree or of an image, filled, checked, spoilt, frozen."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cosmos.digest import Digest
from cosmos.model.lock import Lock
from fakes.galaxies import GalaxyFixture, StarSpec, make_galaxy, make_signers
from fakes.images import make_image
from fakes.programs import Cosmos

STARS = (
    StarSpec("zlib", "1.3.1", {"usr/lib/libz.so.1": b"z" * 5000}),
    StarSpec("tool", "2.0.0", {"usr/bin/tool": b"tool"}, {"zlib": "^1.3"}),
    StarSpec("editor", "6.2.0", {"usr/bin/ed": b"ed"}),
    StarSpec("core-stack", "1.0.0", {}, {"tool": "*", "editor": "^6"}, type="nebula"),
)


@pytest.fixture
def galaxy(tmp_path: Path) -> GalaxyFixture:
    return make_galaxy(tmp_path / "galaxy", "core", STARS, make_signers())


@pytest.fixture
def root(tmp_path: Path, galaxy: GalaxyFixture, cosmos: Cosmos) -> Path:
    """A bare tree that was made a system, trusts the galaxy's keys and takes its stars from it."""
    root = tmp_path / "root"
    root.mkdir()
    cosmos("init", "--root", root, "--arch", "x86_64").ok()
    trust = galaxy.signers.write_trust(tmp_path / "trust.toml")
    cosmos("trust", "init", trust, "--sha256", Digest.of(trust.read_bytes()), "--root", root).ok()
    cosmos("add-galaxy", "core", galaxy.path, "--root", root).ok()
    return root


def test_a_bare_tree_is_made_a_system_filled_checked_and_frozen(root: Path, cosmos: Cosmos, tmp_path: Path) -> None:
    assert cosmos("list-galaxies", "--root", root, "--json").json()["galaxies"][0]["name"] == "core"
    assert "would install tool 2.0.0" in cosmos("install", "tool", "--dry-run", "--root", root).ok().out
    assert not (root / "usr").exists()
    done = cosmos("install", "tool@^2", "--offline", "--safe", "--root", root, "--json").json()
    assert [star["name"] for star in done["installed"]] == ["zlib", "tool"]
    (tmp_path / "set.toml").write_text('name = "set"\nmembers = ["core-stack", "zlib"]\n')
    said = cosmos("install", "--constellation", tmp_path / "set.toml", "--root", root).ok().out
    assert "installed editor 6.2.0 from core" in said
    assert "kept zlib" in said
    status = cosmos("status", "--root", root, "--json").json()
    assert status["stars"] == {"core-stack": "1.0.0", "editor": "6.2.0", "tool": "2.0.0", "zlib": "1.3.1"}
    assert status["trust"] is not None
    shown = cosmos("show", "zlib", "--root", root, "--json").json()
    assert shown["needed-by"] == ["tool"]
    assert shown["galaxies"][0]["signers"][0]["name"] == "test-author"
    assert cosmos("verify", "--root", root, "--json").json()["good"] is True
    cosmos("freeze", "--root", root).ok()
    lock = Lock.parse((root / "var/lib/cosmos/universe.lock.toml").read_bytes(), "lock")
    assert {str(star.name): str(star.version) for star in lock.stars} == status["stars"]
    assert set(lock.request.stars) == {"core-stack", "tool", "zlib"}


def test_what_was_spoilt_is_named_with_exit_7(root: Path, cosmos: Cosmos) -> None:
    cosmos("install", "tool", "--root", root).ok()
    (root / "usr/bin/tool").write_bytes(b"evil")
    (root / "usr/lib/libz.so.1").unlink()
    failed = cosmos("verify", "--root", root).fails(7)
    assert "/usr/bin/tool (tool): has other bytes" in failed.err
    assert "/usr/lib/libz.so.1 (zlib): is missing" in failed.err
    rows = json.loads(cosmos("verify", "--root", root, "--json").out)
    assert {(row["path"], row["star"]) for row in rows["differences"]} == {
        ("/usr/bin/tool", "tool"),
        ("/usr/lib/libz.so.1", "zlib"),
    }


def test_each_refusal_has_its_exit_code(root: Path, galaxy: GalaxyFixture, cosmos: Cosmos, tmp_path: Path) -> None:
    assert "did you mean" in cosmos("install", "tol", "--root", root).fails(3).err
    cosmos("install", "tool@^3", "--root", root).fails(3)
    cosmos("install", "tool@^^3", "--root", root).fails(2)
    cosmos("install", "--root", root).fails(2)
    cosmos("show", "nothing", "--root", root).fails(3)
    cosmos("remove-galaxy", "far", "--root", root).fails(3)
    cosmos("status", "--root", tmp_path).fails(2)
    cosmos("verify", "--root", tmp_path).fails(2)
    cosmos("status", "--root", tmp_path / "nowhere").fails(2)
    data = bytearray(galaxy.archive("tool-2.0.0").read_bytes())
    data[-1] ^= 1
    galaxy.archive("tool-2.0.0").write_bytes(data)
    assert "tool-2.0.0" in cosmos("install", "tool", "--root", root).fails(4).err
    assert not (root / "usr").exists()
    (root / "etc/cosmos/config.toml").write_text("galaxy = 1\n")
    cosmos("status", "--root", root).fails(2)


def test_an_image_takes_more_stars_and_still_verifies(tmp_path: Path, cosmos: Cosmos) -> None:
    image = make_image(tmp_path)
    cosmos("freeze", image.folder, "--home", image.home).ok()
    cosmos("build", image.folder, "--home", image.home).ok()
    root = tmp_path / "root"
    root.mkdir()
    subprocess.run(["tar", "--zstd", "-xpf", next(image.out.glob("*.tar.zst")), "-C", root], check=True)
    assert cosmos("verify", "--root", root, "--json").json()["good"] is True
    trust = image.signers.write_trust(tmp_path / "trust.toml")
    cosmos("trust", "init", trust, "--sha256", Digest.of(trust.read_bytes()), "--root", root).ok()
    more = make_galaxy(tmp_path / "more", "more", [StarSpec("extra", files={"bin/extra": b"e"})], image.signers)
    cosmos("add-galaxy", "core", image.galaxy.path, "--root", root).ok()
    cosmos("add-galaxy", "more", more.path, "--root", root).ok()
    cosmos("install", "extra", "--root", root).ok()
    assert (root / "usr/bin/extra").read_bytes() == b"e", "/bin is a link on this image"
    assert cosmos("verify", "--root", root, "--json").json()["good"] is True
    cosmos("freeze", "--root", root).ok()
    ours = Lock.parse((root / "var/lib/cosmos/universe.lock.toml").read_bytes(), "lock")
    theirs = Lock.parse((image.folder / "universe.lock.toml").read_bytes(), "lock")
    pinned = {star.name: (star.archive, star.statement, star.size_bytes, star.signers) for star in ours.stars}
    for star in theirs.stars:
        assert pinned[star.name] == (star.archive, star.statement, star.size_bytes, star.signers)
    assert ours.build.source_date_epoch >= theirs.build.source_date_epoch


@pytest.mark.slow
def test_killed_at_any_time_the_next_command_puts_things_right(root: Path, cosmos: Cosmos) -> None:
    program = "import sys; from cosmos.cli.cosmos.main import main; sys.argv = ['cosmos', *sys.argv[1:]]; main()"
    words = [sys.executable, "-c", program, "install", "core-stack", "--root", str(root)]
    began = time.monotonic()
    subprocess.run([*words, "--dry-run"], check=True, capture_output=True)
    whole = time.monotonic() - began
    rounds = 12
    for number in range(rounds):
        process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(whole * (0.5 + 0.6 * number / rounds))
        process.send_signal(signal.SIGKILL)
        process.wait()
        stars = cosmos("status", "--root", root, "--json").json()["stars"]
        assert set(stars) in (set(), {"core-stack", "editor", "tool", "zlib"})
    cosmos("install", "core-stack", "--root", root).ok()
    assert cosmos("verify", "--root", root, "--json").json()["good"] is True
    left = [name for _, _, names in os.walk(root) for name in names if name.startswith(".cosmos-")]
    assert left == []
