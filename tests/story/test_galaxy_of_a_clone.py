"""`.ci/galaxy`: what `make image` does with the archives of the stars. A star that is worked on keeps its version."""

from __future__ import annotations

import os
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

from fakes.programs import Cosmos, write_programs

STAR = 'name = "{name}"\nversion = "1.0.0"\nlicense = "MIT"\ndescription = "{about}"\n'
OTHER = '\n[galaxies.other]\nnumber = 7\ndigest = "sha256:{}"\ntrust-version = 1\n'.format("0" * 64)


@pytest.fixture
def clone(tmp_path: Path, cosmos: Cosmos, stellar: Cosmos) -> Path:
    """A clone with keys and trust as the Makefile makes them, and an image that wants one star."""
    (tmp_path / ".venv").mkdir()
    write_programs(tmp_path / ".venv/bin")
    home = tmp_path / ".cosmos"
    roles = ("root", "galaxy", "author", "release")
    for role in roles:
        cosmos("key", "new", role, "--role", role, "--no-passphrase", "--home", home).ok()
    pins = [word for role in roles for word in (f"--{role}", home / f"keys/{role}.pub")]
    first = home / "first-trust.toml"
    digest = stellar("trust", "new", *pins, "--sign", home / "keys/root.key", "--out", first, "--json").json()["digest"]
    cosmos("trust", "init", first, "--home", home, "--sha256", digest).ok()
    cosmos("new", tmp_path / "image", "--galaxy", "core", "../.cosmos/galaxy", "--epoch", "0").ok()
    definition = tmp_path / "image/image.toml"
    definition.write_text(definition.read_text().replace('"constraint"\n', '"constraint"\nhello = "*"\n'))
    return tmp_path


def work_on(clone: Path, stellar: Cosmos, name: str, about: str) -> None:
    """Build a star as it is now, under the version that it always has."""
    folder = clone / "stars" / name
    (folder / "files").mkdir(parents=True, exist_ok=True)
    (folder / "star.toml").write_text(STAR.format(name=name, about=about))
    (folder / "files/x").write_text(about)
    stellar("build-star", folder, "--out", clone / ".cosmos/made/packages").ok()


def galaxy(clone: Path, repo: Path, *stars: str) -> str:
    """Run it, and return what it said."""
    done = subprocess.run(
        [repo / ".ci/galaxy", *stars], cwd=clone, env={"PATH": os.environ["PATH"]}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def freeze(clone: Path, cosmos: Cosmos) -> str:
    """Freeze the image as the Makefile does, and return the digest of the star that was chosen."""
    lock = clone / "image/universe.lock.toml"
    if lock.exists() and (clone / ".cosmos/galaxy-began").stat().st_mtime_ns > lock.stat().st_mtime_ns:
        lock.unlink()
    cosmos("freeze", clone / "image", "--upgrade", "--home", clone / ".cosmos").ok()
    return str(tomllib.loads(lock.read_text())["star"][0]["archive"])


def test_a_new_star_is_added_and_nothing_begins_again(clone: Path, repo: Path, stellar: Cosmos, cosmos: Cosmos) -> None:
    work_on(clone, stellar, "hello", "one")
    assert galaxy(clone, repo, "hello") == ".cosmos/galaxy: 1 star, 1 version, seq 1\n"
    freeze(clone, cosmos)
    work_on(clone, stellar, "more", "one")
    assert galaxy(clone, repo, "hello", "more") == ".cosmos/galaxy: 2 stars, 2 versions, seq 2\n"
    assert galaxy(clone, repo, "hello", "more") == ".cosmos/galaxy: 2 stars, 2 versions, unchanged at seq 2\n"
    freeze(clone, cosmos)


def test_a_star_that_is_worked_on_is_taken_though_its_version_stays(
    clone: Path, repo: Path, stellar: Cosmos, cosmos: Cosmos
) -> None:
    work_on(clone, stellar, "hello", "one")
    galaxy(clone, repo, "hello")
    first = freeze(clone, cosmos)
    state = clone / ".cosmos/trust/state.toml"
    state.write_text(state.read_text() + OTHER)
    work_on(clone, stellar, "hello", "two")
    said = galaxy(clone, repo, "hello")
    assert said.splitlines()[0].startswith("galaxy: a star changed and kept its version, or is gone: ")
    assert said.splitlines()[1] == ".cosmos/galaxy: 1 star, 1 version, seq 1"
    assert freeze(clone, cosmos) != first
    assert tomllib.loads(state.read_text())["galaxies"]["other"]["number"] == 7


def test_after_make_clean_the_galaxy_begins_again_and_is_taken(
    clone: Path, repo: Path, stellar: Cosmos, cosmos: Cosmos
) -> None:
    work_on(clone, stellar, "hello", "one")
    galaxy(clone, repo, "hello")
    freeze(clone, cosmos)
    for folder in (".cosmos/galaxy", ".cosmos/made"):
        shutil.rmtree(clone / folder)
    (clone / "image/universe.lock.toml").unlink()
    work_on(clone, stellar, "hello", "two")
    galaxy(clone, repo, "hello")
    freeze(clone, cosmos)


def test_a_galaxy_that_somebody_else_began_again_is_still_refused(
    clone: Path, repo: Path, stellar: Cosmos, cosmos: Cosmos
) -> None:
    work_on(clone, stellar, "hello", "one")
    galaxy(clone, repo, "hello")
    freeze(clone, cosmos)
    shutil.rmtree(clone / ".cosmos/galaxy")
    shutil.copytree(clone / ".cosmos/trust", clone / "trust-before")
    work_on(clone, stellar, "hello", "two")
    galaxy(clone, repo, "hello")
    shutil.rmtree(clone / ".cosmos/trust")
    (clone / "trust-before").rename(clone / ".cosmos/trust")
    (clone / "image/universe.lock.toml").unlink()
    refused = cosmos("freeze", clone / "image", "--upgrade", "--home", clone / ".cosmos").fails(4)
    assert "two documents with one number are a fork" in refused.err


def test_a_star_that_is_gone_leaves_the_galaxy(clone: Path, repo: Path, stellar: Cosmos, cosmos: Cosmos) -> None:
    for name in ("hello", "hello-2", "gone"):
        work_on(clone, stellar, name, "one")
    galaxy(clone, repo, "hello", "hello-2", "gone")
    freeze(clone, cosmos)
    said = galaxy(clone, repo, "hello", "hello-2")
    assert said.splitlines()[1] == ".cosmos/galaxy: 2 stars, 2 versions, seq 1"
    freeze(clone, cosmos)


def test_a_run_that_was_cut_short_is_made_good_by_the_next(
    clone: Path, repo: Path, stellar: Cosmos, cosmos: Cosmos
) -> None:
    work_on(clone, stellar, "hello", "one")
    galaxy(clone, repo, "hello")
    freeze(clone, cosmos)
    work_on(clone, stellar, "hello", "two")
    program = clone / ".venv/bin/stellar"
    real = program.read_text()
    for cut in ("trust", "galaxy-init", "index-galaxy"):
        program.write_text(f'#!/bin/sh\n[ "$1" != {cut} ] || {{ kill -9 $PPID; exit 9; }}\nexec {program}.real "$@"\n')
        (clone / ".venv/bin/stellar.real").write_text(real)
        (clone / ".venv/bin/stellar.real").chmod(0o755)
        killed = subprocess.run([repo / ".ci/galaxy", "hello"], cwd=clone, capture_output=True, check=False)
        assert killed.returncode != 0
    program.write_text(real)
    assert galaxy(clone, repo, "hello") == ".cosmos/galaxy: 1 star, 1 version, seq 1\n"
    freeze(clone, cosmos)


@pytest.mark.parametrize(
    ("there", "said"),
    [
        ((), "a Python environment, the cosmos binary, 25 stars of Debian packages, and then the image\nabout 2 min"),
        ((".venv/run.stamp", ".cosmos/apt/x"), "the cosmos binary, 25 stars of Debian packages, and then the image\n"),
        ((".venv/run.stamp", "build/binary/cosmos", ".cosmos/made/stars"), ""),
    ],
)
def test_what_a_long_run_will_do_is_said_first(tmp_path: Path, repo: Path, there: tuple[str, ...], said: str) -> None:
    for name in there:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    done = subprocess.run([repo / ".ci/plan", "images/rescue", "25"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0
    lead = "making images/rescue from nothing but this folder: "
    assert done.stdout.startswith(lead + said) if said else done.stdout == ""
    assert ("MB to download" in done.stdout) == bool(said)
