"""A command that a hint or an answer proposes names the very paths that it is about, when a shell reads it.

The folder of these tests has a space, a quote and what a shell would run. `sh` gets each command as it was printed.
Functions stand in place of the programs, and print the words that they get.
"""

from __future__ import annotations

import re
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from cosmos.device.network import system_network
from cosmos.device.root import LiveRoot
from cosmos.device.settings import read_settings
from cosmos.digest import Digest
from cosmos.errors import Refused
from cosmos.transport.network import Network
from fakes.galaxies import StarSpec, make_galaxy, make_signers
from fakes.images import ImageFixture, make_image, write_image
from fakes.programs import Cosmos, Outcome, write_programs

FOLDER = "my image's $(touch x) {b}"
TOOL = StarSpec("tool", "1.0.0", {"usr/bin/tool": b"one"})
_PROGRAMS = "".join(f"{name}() {{ printf '%s\\0' {name} \"$@\"; }}\n" for name in ("cosmos", "stellar", "chmod", "mv"))


def read_by_a_shell(command: str, folder: Path) -> list[str]:
    """Return the words of a command as a shell reads them, which runs nothing else."""
    ran = subprocess.run(
        ["sh", "-euc", f"{_PROGRAMS}{command}"], cwd=folder, capture_output=True, text=True, timeout=60, check=True
    )
    assert not (folder / "x").exists(), "the shell ran a part of the path"
    return ran.stdout.split("\0")[:-1]


def hint(outcome: Outcome) -> str:
    found = re.search(r"^(?:cosmos|stellar): hint: (.*)", outcome.err, re.MULTILINE)
    assert found, outcome.err
    return found[1]


def proposed(text: str) -> str:
    """Return the command behind the last `next: ` or the like."""
    found = re.search(r"(?:next|there|with|it|if they are the same): ((?:cosmos|stellar) .*)", text)
    assert found, text
    return found[1]


@pytest.fixture
def odd(tmp_path: Path) -> Path:
    (tmp_path / FOLDER).mkdir()
    return tmp_path / FOLDER


@pytest.fixture
def image(odd: Path) -> ImageFixture:
    return make_image(odd, [TOOL], {"tool": "*"})


@pytest.fixture
def system(odd: Path, cosmos: Cosmos) -> Iterator[Path]:
    root = odd / "system"
    root.mkdir()
    cosmos("init", "--root", root, "--arch", "x86_64").ok()
    yield root


def test_the_command_of_a_hint_runs_in_a_shell(image: ImageFixture, cosmos: Cosmos, tmp_path: Path) -> None:
    programs = write_programs(tmp_path / "bin")
    command = hint(cosmos("build", image.folder, "--home", image.home).fails(3))
    env = {"PATH": f"{programs}:/usr/bin:/bin", "COSMOS_HOME": str(image.home)}
    subprocess.run(["sh", "-euc", command], cwd=tmp_path, env=env, check=True, timeout=120)
    cosmos("build", image.folder, "--home", image.home).ok()


def test_commands_on_an_image_name_its_folder(image: ImageFixture, cosmos: Cosmos, tmp_path: Path) -> None:
    folder, home = str(image.folder), ("--home", image.home)
    no_lock = hint(cosmos("build", folder, *home).fails(3))
    assert read_by_a_shell(no_lock, tmp_path) == ["cosmos", "freeze", folder]
    answer = proposed(cosmos("freeze", folder, *home).ok().out)
    assert read_by_a_shell(answer, tmp_path) == ["cosmos", "build", folder]
    taken = hint(cosmos("freeze", *home, "--upgrade", folder).fails(2))
    assert read_by_a_shell(taken, tmp_path) == ["cosmos", "freeze", folder, "--upgrade"]
    image_as_star = hint(cosmos("show", folder).fails(2)).partition(": ")[2]
    assert read_by_a_shell(image_as_star, tmp_path) == ["cosmos", "show", folder, "--effective"]
    not_wished = hint(cosmos("remove", folder, "nothing", *home).fails(3)).partition(": ")[2]
    assert read_by_a_shell(not_wished, tmp_path) == ["cosmos", "why", folder, "nothing"]
    write_image(image, {"tool": "=1.0.0"})
    stale = hint(cosmos("build", folder, *home).fails(3))
    assert read_by_a_shell(stale, tmp_path) == ["cosmos", "freeze", folder]


def test_commands_on_a_release_name_its_folder(image: ImageFixture, cosmos: Cosmos, tmp_path: Path) -> None:
    home = ("--home", image.home)
    cosmos("freeze", image.folder, *home).ok()
    built = cosmos("build", image.folder, *home, "--key", image.secret_key).ok().out
    verify = ["cosmos", "verify", str(image.out), "--key", str(image.public_key)]
    assert read_by_a_shell(proposed(built), tmp_path) == verify
    no_path = hint(cosmos("cat", image.out, "/nowhere").fails(2))
    words = read_by_a_shell(no_path, tmp_path)
    assert words[:2] == ["cosmos", "ls"]
    assert Path(words[2]).parent == image.out
    secret = hint(cosmos("verify", image.out, "--key", image.secret_key).fails(2)).partition(": ")[2]
    assert read_by_a_shell(f"cosmos {secret}", tmp_path) == ["cosmos", str(image.public_key)]
    inside = hint(cosmos("report", image.out, "-o", image.out / "page.html").fails(2))
    page = str(image.folder / "report.html")
    assert read_by_a_shell(inside, tmp_path) == ["cosmos", "report", str(image.out), "-o", page]
    vendored = cosmos("vendor", image.folder, tmp_path / f"{FOLDER} 2", *home).ok().out
    commands = re.findall(r"next, there: (cosmos .*)", vendored)
    assert read_by_a_shell(commands[-1], tmp_path)[2].startswith(str(tmp_path / f"{FOLDER} 2"))


def test_commands_on_a_system_name_its_root(system: Path, cosmos: Cosmos, tmp_path: Path) -> None:
    no_system = hint(cosmos("status", "--root", system.parent).fails(2)).rpartition(": ")[2]
    assert read_by_a_shell(no_system, tmp_path) == ["cosmos", "init", "--root", str(system.parent)]
    for words in (("search", "x"), ("show", "nowhere"), ("sync", "away"), ("update", "nowhere")):
        read = read_by_a_shell(hint(cosmos(*words, "--root", system).fails(3)), tmp_path)
        assert read[-2:] == ["--root", str(system)]


def take_stars(system: Path, cosmos: Cosmos, tmp_path: Path, star: StarSpec) -> None:
    """Let the system take `star` from a galaxy."""
    galaxy = make_galaxy(tmp_path / "galaxy", "core", [star], make_signers())
    trust = make_signers().write_trust(tmp_path / "trust.toml")
    cosmos("trust", "init", trust, "--sha256", Digest.of(trust.read_bytes()), "--root", system).ok()
    cosmos("add-galaxy", "core", galaxy.path, "--root", system).ok()


def test_a_star_that_no_galaxy_has_is_told_on_a_system_with_any_name(
    system: Path, cosmos: Cosmos, tmp_path: Path
) -> None:
    """Braces in the folder's name are no field of a template."""
    take_stars(system, cosmos, tmp_path, TOOL)
    told = hint(cosmos("install", "nowhere", "--root", system).fails(3)).partition(": ")
    assert told[0] == "to add a galaxy that has nowhere"
    assert read_by_a_shell(told[2], tmp_path)[-2:] == ["--root", str(system)]


def test_a_file_in_the_way_is_moved_by_the_hint(system: Path, cosmos: Cosmos, tmp_path: Path) -> None:
    name = "usr/lib/it's a\\x2db"
    take_stars(system, cosmos, tmp_path, StarSpec("unit", files={name: b"ours"}))
    (system / "usr/lib").mkdir(parents=True)
    (system / name).write_text("mine")
    command = hint(cosmos("install", "unit", "--root", system).fails(3)).partition(": ")[2]
    assert read_by_a_shell(command, tmp_path) == ["mv", str(system / name), f"{system / name}.old"]
    subprocess.run(["sh", "-euc", command], cwd=tmp_path, check=True, timeout=60)
    cosmos("install", "unit", "--root", system).ok()
    assert ((system / name).read_text(), (system / f"{name}.old").read_text()) == ("ours", "mine")


def test_a_secret_file_that_others_may_read_is_closed_by_the_hint(
    image: ImageFixture, system: Path, cosmos: Cosmos, tmp_path: Path
) -> None:
    image.secret_key.chmod(0o644)
    cosmos("freeze", image.folder, "--home", image.home).ok()
    command = hint(cosmos("build", image.folder, "--home", image.home, "--key", image.secret_key).fails(4))
    assert read_by_a_shell(command, tmp_path) == ["chmod", "600", str(image.secret_key)]
    subprocess.run(["sh", "-euc", command], cwd=tmp_path, check=True, timeout=60)
    assert stat.S_IMODE(image.secret_key.stat().st_mode) == 0o600


def test_the_file_of_passwords_of_a_system_is_named_as_this_machine_knows_it(system: Path, tmp_path: Path) -> None:
    """The file of the same name on the machine itself is another one."""
    settings = system / "etc/cosmos/config.toml"
    settings.write_text(f'{settings.read_text()}\n[network]\nnetrc = "/etc/netrc"\n')
    (system / "etc/netrc").write_text("machine 127.0.0.1 login a password b\n")
    (system / "etc/netrc").chmod(0o644)
    with LiveRoot.open(system) as root, Network() as network, pytest.raises(Refused, match=r"^/etc/netrc: ") as caught:
        system_network(root, read_settings(root), network).netrc()
    assert read_by_a_shell(str(caught.value.hint), tmp_path) == ["chmod", "600", str(system / "etc/netrc")]


def test_commands_on_a_galaxy_name_its_folder(odd: Path, stellar: Cosmos, tmp_path: Path) -> None:
    galaxy = odd / "galaxy"
    none = hint(stellar("index-galaxy", galaxy).fails(2))
    assert read_by_a_shell(none, tmp_path)[:3] == ["stellar", "galaxy-init", str(galaxy)]
    begun = proposed(stellar("galaxy-init", galaxy, "--name", "core").ok().err)
    assert read_by_a_shell(begun, tmp_path)[3:5] == ["--galaxy", str(galaxy)]
    unsigned = stellar("index-galaxy", galaxy).ok().err
    assert read_by_a_shell(proposed(unsigned), tmp_path)[:3] == ["stellar", "sign", str(galaxy)]
    no_recipe = hint(stellar("build-star", odd, "--galaxy", galaxy).fails(2)).partition(": ")[2]
    assert read_by_a_shell(no_recipe, tmp_path) == ["stellar", "new-star", FOLDER]


def test_a_path_to_name_instead_is_one_word(image: ImageFixture, cosmos: Cosmos, tmp_path: Path) -> None:
    meant = hint(cosmos("build", image.folder.parent).fails(2))
    found = re.fullmatch(r"did you mean (.*)\?", meant)
    assert found, meant
    assert read_by_a_shell(f"cosmos build {found[1]}", tmp_path) == ["cosmos", "build", str(image.folder)]
