"""The twelve typical mistakes of a newcomer: the first error names the file or the option, one hint is the way out."""

from __future__ import annotations

import errno
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from cosmos import durable
from fakes.galaxies import StarSpec, make_galaxy
from fakes.images import ImageFixture, make_image, write_image
from fakes.programs import Cosmos, Outcome, write_programs

TOOLS = (
    StarSpec("zlib", "1.3.1", {"usr/lib/libz.so.1": b"z"}),
    StarSpec("tool", "1.0.0", {"usr/bin/tool": b"one"}),
    StarSpec("runner", "1.0.0", {"usr/bin/x": b"x"}, script='function install()\n  run{"/usr/bin/x"}\nend\n'),
)


@pytest.fixture
def image(tmp_path: Path) -> ImageFixture:
    """An image that wishes for one star."""
    return make_image(tmp_path / "site", TOOLS, {"tool": "*"})


@pytest.fixture
def nothing_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine on whose PATH no program is."""
    (tmp_path / "path").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "path"))


def demand_told(outcome: Outcome, code: int, first: str, hint: str) -> None:
    """Demand the exit code, that the one error is `first`, and that the one hint is `hint`."""
    assert outcome.code == code, outcome.err
    assert re.findall(r"^(?:cosmos|stellar): error: (.*)$", outcome.err, re.MULTILINE) == [first]
    assert re.findall(r"^(?:cosmos|stellar): hint: (.*)$", outcome.err, re.MULTILINE) == [hint]
    assert "Traceback" not in outcome.err


# 1. A typo of a star.


def test_a_misspelt_star_is_told_with_the_file_and_the_star_that_was_meant(cosmos: Cosmos, image: ImageFixture) -> None:
    write_image(image, {"tol": "*"})
    first = f"{image.folder}/image.toml: no solution: image wants tol, which no galaxy has"
    demand_told(cosmos("freeze", image.folder, "--home", image.home), 3, first, "did you mean tool?")
    first = f"{image.folder}/image.toml: no solution: image wants zlb, which no galaxy has"
    write_image(image, {"tool": "*"})
    demand_told(cosmos("add", image.folder, "zlb", "--home", image.home), 3, first, "did you mean zlib?")


# 2. A typo of a key in image.toml.


@pytest.mark.parametrize(
    ("right", "wrong", "said", "meant"),
    [
        ("template =", "templat =", "template: missing, but there is templat", "template"),
        ("arch =", "arhc =", "arch: missing, but there is arhc", "arch"),
        ("[galaxies]", "[galaxy]", "galaxies: missing, but there is galaxy", "galaxies"),
        ("[stars]", "[star]", "star: unknown key", "stars"),
    ],
)
def test_a_misspelt_key_is_told_once_with_the_key_that_was_meant(
    cosmos: Cosmos, image: ImageFixture, right: str, wrong: str, said: str, meant: str
) -> None:
    file = image.folder / "image.toml"
    file.write_text(file.read_text().replace(right, wrong))
    for command in ("freeze", "build"):
        failed = cosmos(command, image.folder, "--home", image.home)
        demand_told(failed, 2, f"{file}: {said}", f"did you mean {meant}?")


def test_an_image_definition_that_is_not_toml_is_told_once(cosmos: Cosmos, image: ImageFixture) -> None:
    file = image.folder / "image.toml"
    file.write_text(file.read_text().replace('tool = "*"', "tool = *"))
    told = cosmos("freeze", image.folder, "--home", image.home).fails(2).err
    assert told.count("error: ") == 1
    assert f"error: {file}: is not TOML: invalid value (at line 8, column 8)" in told


# 3. A wrong folder.


@pytest.mark.parametrize("words", ["freeze", "build", "add+tool", "remove+tool", "outdated", "audit"])
def test_a_folder_that_is_no_image_is_told_with_the_image_near_it(
    cosmos: Cosmos, image: ImageFixture, words: str
) -> None:
    command, _, star = words.partition("+")
    more = [star] if star else []
    site, meant = image.folder.parent, f"did you mean {image.folder}?"
    demand_told(cosmos(command, site, *more), 2, f"{site}/image.toml: is not there", meant)
    demand_told(cosmos(command, site / "imag", *more), 2, f"{site}/imag: is not there", meant)


@pytest.mark.parametrize("words", ["tree", "why+tool"])
def test_a_folder_without_a_lock_is_frozen_only_if_it_is_an_image(
    cosmos: Cosmos, image: ImageFixture, words: str
) -> None:
    command, _, star = words.partition("+")
    more = [star] if star else []
    for wrong in (image.folder.parent, image.folder.parent / "imag"):
        failed = cosmos(command, wrong, *more)
        demand_told(failed, 2, f"{wrong}: has no universe.lock.toml", f"did you mean {image.folder}?")
    failed = cosmos(command, image.folder, *more)
    demand_told(failed, 2, f"{image.folder}: has no universe.lock.toml", f"cosmos freeze {image.folder}")


def test_where_no_image_is_near_one_is_made(cosmos: Cosmos, tmp_path: Path) -> None:
    hint = "cosmos new NAME makes a new image definition"
    demand_told(cosmos("build", tmp_path), 2, f"{tmp_path}/image.toml: is not there", hint)


@pytest.mark.parametrize("command", ["boot", "report"])
def test_a_release_that_was_not_built_yet_is_told_with_the_command_that_builds_it(
    cosmos: Cosmos, image: ImageFixture, command: str
) -> None:
    hint = "to make a release: cosmos build IMAGE"
    demand_told(cosmos(command, image.out), 2, f"{image.out}: is not there", hint)


def test_verify_judges_the_folder_before_the_keys(cosmos: Cosmos, image: ImageFixture, tmp_path: Path) -> None:
    hint = "name the folder that `cosmos build` made, such as images/NAME/out"
    failed = cosmos("verify", image.folder, "--home", tmp_path / "no-home")
    demand_told(failed, 2, f"{image.folder}/RELEASE.json: is not there", hint)


@pytest.mark.parametrize("command", ["verify", "boot", "attach-signature", "delta"])
def test_an_image_s_folder_in_place_of_its_release_is_told_with_the_release(
    command: str, cosmos: Cosmos, image: ImageFixture, tmp_path: Path
) -> None:
    image.out.mkdir()
    (image.out / "RELEASE.json").touch()
    (tmp_path / "signature").touch()
    more = {
        "attach-signature": [tmp_path / "signature"],
        "delta": [image.folder, "-o", tmp_path / "d", "--key", image.secret_key],
    }
    hint = f"this is the folder of an image; name its release: {image.out}"
    demand_told(
        cosmos(command, image.folder, *more.get(command, [])), 2, f"{image.folder}/RELEASE.json: is not there", hint
    )


def test_show_with_an_image_in_place_of_a_star_is_told_with_the_option(
    cosmos: Cosmos, image: ImageFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    hint = "to show an image: cosmos show {} --effective"
    first = f"{image.folder}: is an image, not a star"
    demand_told(cosmos("show", image.folder), 2, first, hint.format(image.folder))
    monkeypatch.chdir(image.folder.parent)
    empty = image.folder.parent / "galaxy"
    first = f"{empty}: is no cosmos system: it has no /var/lib/cosmos/universe.toml"
    demand_told(cosmos("show", "image", "--root", empty), 2, first, hint.format("image"))


# 4. A missing galaxy.


@pytest.mark.parametrize("command", ["freeze", "build", "outdated"])
def test_a_missing_galaxy_is_told_with_the_key_that_has_its_address(
    cosmos: Cosmos, image: ImageFixture, command: str
) -> None:
    cosmos("freeze", image.folder, "--home", image.home).ok()
    shutil.rmtree(image.galaxy.path)
    hint = f"its address is galaxies.core in {image.folder}/image.toml; is the disk or stick plugged in and mounted?"
    first = f"{image.folder}/../galaxy: no galaxy is there: no such file or directory"
    demand_told(cosmos(command, image.folder, "--home", image.home), 5, first, hint)


# 5. A wrong key.


def test_a_wrong_key_is_told_with_its_file_and_the_right_one(
    cosmos: Cosmos, image: ImageFixture, tmp_path: Path
) -> None:
    cosmos("freeze", image.folder, "--home", image.home).ok()
    build = ("build", image.folder, "--home", image.home, "--key")
    first = f"{image.public_key}: expected a secret key, found the public key test-release"
    demand_told(cosmos(*build, image.public_key), 2, first, "name the .key that belongs to it")
    missing = tmp_path / "nowhere.key"
    hint = "to make a key: cosmos key new NAME --role ROLE"
    demand_told(cosmos(*build, missing), 2, f"{missing}: is not there", hint)
    cosmos("key", "new", "mine", "--role", "author", "--no-passphrase", "--out", tmp_path).ok()
    hint = "make a key for that role with: cosmos key new --role release NAME"
    first = "key mine: has the role author; expected a key of the role release"
    demand_told(cosmos(*build, tmp_path / "mine.key"), 4, first, hint)


def test_a_release_that_another_key_signed_is_refused(cosmos: Cosmos, image: ImageFixture, tmp_path: Path) -> None:
    cosmos("freeze", image.folder, "--home", image.home).ok()
    cosmos("build", image.folder, "--home", image.home, "--key", image.secret_key).ok()
    cosmos("key", "new", "other", "--role", "release", "--no-passphrase", "--out", tmp_path).ok()
    signer = image.signers["release"].public.id
    first = f"{image.out}/RELEASE.json.dsse (signed by {signer}): want a signature by a pinned key, got none"
    hint = "name the public key that the release's maker gave you: cosmos verify OUT --key PUB"
    demand_told(cosmos("verify", image.out, "--key", tmp_path / "other.pub"), 4, first, hint)
    hint = f"name its public half: {image.public_key}"
    first = f"{image.secret_key}: expected a public key, found a secret key"
    demand_told(cosmos("verify", image.out, "--key", image.secret_key), 2, first, hint)


# 6 and 7. No apt, and no bubblewrap.


@pytest.mark.usefixtures("nothing_installed")
def test_without_apt_debian_packages_are_not_imported(stellar: Cosmos, image: ImageFixture) -> None:
    hint = "this needs Debian's apt: run it on Debian, Ubuntu or in a container of one"
    failed = stellar("import-deb", "zlib1g", "--galaxy", image.galaxy.path)
    demand_told(failed, 5, "apt-config: this program is needed and is not installed", hint)


def test_without_bubblewrap_a_script_that_runs_programs_is_not_staged(
    cosmos: Cosmos, image: ImageFixture, request: pytest.FixtureRequest
) -> None:
    write_image(image, {"runner": "*"}, tables='[policy]\nrun = ["runner"]')
    cosmos("freeze", image.folder, "--home", image.home).ok()
    request.getfixturevalue("nothing_installed")
    hint = "install bubblewrap: sudo apt-get install --no-install-recommends bubblewrap"
    failed = cosmos("build", image.folder, "--home", image.home)
    demand_told(failed, 5, "bwrap: this program is needed and is not installed", hint)


# 8. A full disk.


def test_a_full_disk_is_told_with_the_file_that_was_not_written(
    cosmos: Cosmos, image: ImageFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    monkeypatch.setattr(durable.Draft, "keep_in", full)
    told = cosmos("freeze", image.folder, "--home", image.home)
    first = re.findall(r"^cosmos: error: (.*)$", told.err, re.MULTILINE)
    assert first[0].startswith(str(image.home)), told.err
    demand_told(told, 5, first[0], "make room, then run the same command again")
    assert not (image.folder / "universe.lock.toml").exists()


@pytest.mark.parametrize("buffered", ["", "1"])
@pytest.mark.parametrize("words", ["new --list", "new --list --json", "cat {} etc/hostname", "sbom {}"])
def test_an_answer_that_the_disk_does_not_take_is_told(
    cosmos: Cosmos, image: ImageFixture, tmp_path: Path, words: str, buffered: str
) -> None:
    cosmos("freeze", image.folder, "--home", image.home).ok()
    cosmos("build", image.folder, "--home", image.home).ok()
    program = shlex.quote(str(write_programs(tmp_path / "bin") / "cosmos"))
    command = f"{program} {words.format(shlex.quote(str(image.out)))} >/dev/full"
    environ = {**os.environ, "PYTHONUNBUFFERED": buffered}
    ran = subprocess.run(["sh", "-c", command], env=environ, capture_output=True, text=True)
    told = Outcome(ran.returncode, ran.stdout, ran.stderr)
    demand_told(told, 5, "stdout: no space left on device", "make room, then run the same command again")


# 9. No network.


def test_without_a_network_the_address_and_its_place_are_told(
    cosmos: Cosmos, image: ImageFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_names(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", no_names)
    file = image.folder / "image.toml"
    file.write_text(file.read_text().replace('"../galaxy"', '"http://galaxy.example/core"'))
    first = "http://galaxy.example/core/meta.toml: cannot be reached: temporary failure in name resolution"
    hint = f"its address is galaxies.core in {file}; check the network and the address; a cut-off download is resumed"
    demand_told(cosmos("freeze", image.folder, "--home", image.home), 5, first, hint)


# 10. A stale lock.


def test_a_stale_lock_is_told_with_the_wish_and_the_command(cosmos: Cosmos, image: ImageFixture) -> None:
    build = ("build", image.folder, "--home", image.home)
    lock, freeze = image.folder / "universe.lock.toml", f"cosmos freeze {image.folder}"
    demand_told(cosmos(*build), 3, f"{lock}: is not there", freeze)
    cosmos("freeze", image.folder, "--home", image.home).ok()
    write_image(image, {"tool": "*", "zlib": "*"})
    first = f"{lock}: is stale: stars: zlib * is wished for, but was not when it was locked"
    demand_told(cosmos(*build), 3, first, freeze)


# 11. An unsigned galaxy.


def test_an_unsigned_galaxy_is_told_with_the_command_that_signs_it(cosmos: Cosmos, image: ImageFixture) -> None:
    make_galaxy(image.galaxy.path, "core", TOOLS, image.signers, signed=False, seq=2)
    first = "core: meta.toml: is not signed: there is no .dsse file beside it"
    hint = "nobody signed it; its maintainer signs it with: stellar index-galaxy GALAXY --key GALAXY.key"
    demand_told(cosmos("freeze", image.folder, "--home", image.home), 4, first, hint)


# 12. An old Python.


@pytest.mark.parametrize("goal", ["image", "test", "check"])
def test_an_old_python_is_told_with_the_command_that_names_another(repo: Path, tmp_path: Path, goal: str) -> None:
    clone, path = tmp_path / "clone", tmp_path / "path"
    for name in (".ci", "freeze"):
        shutil.copytree(repo / name, clone / name)
    for name in ("stars", "images"):
        (clone / name).symlink_to(repo / name)
    for name in ("Makefile", *(file.name for file in repo.glob("requirements*"))):
        shutil.copy(repo / name, clone / name)
    path.mkdir()
    (path / "python3").write_text(
        f"#!/bin/sh\nexec {shlex.quote(sys.executable)} -c "
        '"import sys; sys.version_info = (3, 9, 2); exec(sys.argv[1])" "$2"\n'
    )
    (path / "python3").chmod(0o755)
    environ = {"PATH": f"{path}:{os.environ['PATH']}", "HOME": str(tmp_path)}
    ran = subprocess.run(["make", goal], cwd=clone, env=environ, capture_output=True, text=True)
    assert ran.returncode == 2  # make's own code for a command that failed; the command ended with exit 5
    told = ran.stderr.splitlines()
    assert told[:2] == [
        "error: python3: is Python 3.9; expected 3.11 or newer",
        f"hint: name a newer one: make PYTHON=python3.11 {goal}",
    ]
    assert told[2].endswith("Error 5")
    assert not (clone / ".venv").exists()
