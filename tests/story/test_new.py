"""`cosmos new`: what it makes builds at once; where it cannot, it makes nothing and says what is missing."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from cosmos.durable import write_durably
from cosmos.image.scaffolds import SCAFFOLDS
from fakes.clones import KERNEL, make_clone
from fakes.galaxies import make_galaxy, make_home, make_signers
from fakes.programs import Cosmos


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A folder with a home and its galaxy."""
    return make_clone(tmp_path)


@pytest.mark.parametrize("template", ["minimal", "appliance"])
def test_what_it_makes_builds_at_once_and_can_be_booted(clone: Path, cosmos: Cosmos, template: str) -> None:
    made = clone / "images/demo"
    said = cosmos("new", made, "--template", template, "--arch", "x86_64").ok().out
    assert f"next: cosmos build {made}, then cosmos boot {made / 'out'}" in said
    for file in said.splitlines()[:-1]:
        assert Path(file).is_file()
    built = cosmos("build", made).ok()
    assert f"next: cosmos boot {made / 'out'}" in built.out, "the release has a kernel and an initramfs"
    listed = cosmos("ls", made / "out").ok().out
    assert "etc/init.d/well" in listed


def test_the_default_is_the_least_that_boots(clone: Path, cosmos: Cosmos, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(clone)
    said = cosmos("new", "demo", "--arch", "x86_64", "--json").json()
    assert (said["template"], said["files"][-1]) == ("minimal", "demo/universe.lock.toml")
    definition = tomllib.loads((clone / "demo/image.toml").read_text())
    assert definition["galaxies"] == {"core": "../.cosmos/galaxy"}
    assert definition["name"] == "demo"
    cosmos("freeze", "demo", "--check").ok()


def test_every_file_of_a_template_that_init_starts_can_be_started(clone: Path, cosmos: Cosmos) -> None:
    """Their mode stands in template.toml: a wheel does not keep who may execute what."""
    cosmos("new", clone / "demo", "--template", "appliance", "--arch", "x86_64").ok()
    cosmos("build", clone / "demo").ok()
    manifest = (clone / "demo/out/manifest.txt").read_text()
    modes = {line.split()[-2]: line.split()[1] for line in manifest.splitlines() if "etc/init.d/" in line}
    assert len(modes) == 4
    assert set(modes.values()) == {"0755"}


def test_the_static_address_and_the_key_are_one_line_each(clone: Path, cosmos: Cosmos) -> None:
    cosmos("new", clone / "demo", "--template", "appliance", "--arch", "x86_64").ok()
    file = clone / "demo/image.toml"
    text = file.read_text()
    (address,) = [line for line in text.splitlines() if line.startswith("address = ")]
    (keys,) = [line for line in text.splitlines() if line.startswith("ssh_keys = ")]
    text = text.replace(address, 'address = "192.168.1.9/24 via 192.168.1.1"')
    file.write_text(text.replace(keys, 'ssh_keys = ["ssh-ed25519 AAAA me"]'))
    cosmos("build", clone / "demo").ok()
    assert cosmos("cat", clone / "demo/out", "root/.ssh/authorized_keys").ok().out == "ssh-ed25519 AAAA me\n"
    assert cosmos("cat", clone / "demo/out", "etc/network").ok().out == "address='192.168.1.9/24 via 192.168.1.1'\n"


def test_the_rescue_template_wishes_for_what_the_rescue_image_wishes_for(
    repo: Path, clone: Path, cosmos: Cosmos
) -> None:
    image = tomllib.loads((repo / "images/rescue/image.toml").read_text())
    tools = tomllib.loads((repo / "images/rescue/rescue-tools.toml").read_text())
    members = dict(member.split("@") if "@" in member else (member, "*") for member in tools["members"])
    made = SCAFFOLDS["rescue"].image.format(
        **dict.fromkeys(("name", "description", "arch", "template", "url"), '"x"'), epoch=0, galaxy="core"
    )
    assert tomllib.loads(made)["stars"] == {**image["stars"], **members}
    assert tomllib.loads(made)["output"][2] == image["output"][2]
    assert "exclude" not in tomllib.loads(made)["output"][1], "cosmos verify inside judges /boot, too"
    failed = cosmos("new", clone / "demo", "--template", "rescue").fails(2)
    assert "no rootfs-templates/rescue in this folder or above it" in failed.err
    assert not (clone / "demo").exists()


def test_the_templates_are_listed(cosmos: Cosmos) -> None:
    lines = cosmos("new", "--list").ok().out.splitlines()
    assert [line.split()[0] for line in lines[:-1]] == ["minimal", "appliance", "rescue", "empty"]
    rows = cosmos("new", "--list", "--json").json()["templates"]
    assert rows[0]["name"] == "minimal"


def test_without_a_galaxy_it_says_what_is_missing_and_makes_nothing(
    tmp_path: Path, cosmos: Cosmos, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after the installation of the wheel: nothing on the machine has a kernel."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    failed = cosmos("new", "demo").fails(5)
    assert f"no galaxy to take a kernel and tools from: {tmp_path}/.local/share/cosmos/galaxy is missing" in failed.err
    assert "make image makes one" in failed.err
    assert "cosmos new demo --galaxy NAME PATH-OR-URL" in failed.err
    assert list(tmp_path.iterdir()) == []
    cosmos("new", "demo", "--template", "empty").ok()


def test_a_galaxy_without_the_stars_leaves_nothing_behind(clone: Path, cosmos: Cosmos) -> None:
    signers = make_signers()
    other = make_home(clone / "other", signers)
    make_galaxy(other / "galaxy", "core", (KERNEL,), signers)
    failed = cosmos("new", clone / "demo", "--arch", "x86_64", "--home", other).fails(3)
    assert "busybox" in failed.err
    assert not (clone / "demo").exists()


def test_a_galaxy_that_is_named_begins_empty(tmp_path: Path, cosmos: Cosmos) -> None:
    said = cosmos("new", tmp_path / "demo", "--galaxy", "mine", "../galaxy").ok().out
    assert f"next: add stars to {tmp_path / 'demo/image.toml'}, then cosmos freeze {tmp_path / 'demo'}" in said
    assert not (tmp_path / "demo/universe.lock.toml").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--galaxy", "a b", "x"), "galaxies.a b"),
        (("--galaxy", "mine", "x", "--arch", 'x86"\n'), "arch"),
        (("--galaxy", "a\udcff", "x"), "image.toml: is not UTF-8"),
        (("--galaxy", "mine", "http://x\udcff"), "image.toml: is not UTF-8"),
    ],
)
def test_what_cannot_stand_in_a_definition_is_refused_before_anything_is_written(
    tmp_path: Path, cosmos: Cosmos, words: tuple[str, ...], said: str
) -> None:
    assert said in cosmos("new", tmp_path / "demo", *words).fails(2).err
    assert not (tmp_path / "demo").exists()


@pytest.mark.parametrize("epoch", ["now", "-1", "1" * 5000, "\u0663"])
def test_an_epoch_of_the_environment_that_is_none_is_named(
    tmp_path: Path, cosmos: Cosmos, monkeypatch: pytest.MonkeyPatch, epoch: str
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", epoch)
    failed = cosmos("new", tmp_path / "demo", "--galaxy", "mine", "x").fails(2)
    assert "SOURCE_DATE_EPOCH: want seconds since 1970" in failed.err
    assert not (tmp_path / "demo").exists()


def test_the_epoch_of_the_environment_counts_also_if_it_is_0(
    tmp_path: Path, cosmos: Cosmos, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "0")
    cosmos("new", tmp_path / "demo", "--galaxy", "mine", "x").ok()
    assert tomllib.loads((tmp_path / "demo/image.toml").read_text())["source-date-epoch"] == 0


def test_an_address_cannot_bring_keys_of_its_own(tmp_path: Path, cosmos: Cosmos) -> None:
    address = 'x"\n[policy]\nrun = ["a"]'
    cosmos("new", tmp_path / "demo", "--galaxy", "mine", address).ok()
    made = tomllib.loads((tmp_path / "demo/image.toml").read_text())
    assert made["galaxies"] == {"mine": address}
    assert "policy" not in made


def test_a_name_that_is_taken_is_refused(clone: Path, cosmos: Cosmos) -> None:
    (clone / "demo").mkdir()
    (clone / "demo/mine").write_text("mine")
    assert "is there already" in cosmos("new", clone / "demo").fails(2).err
    (clone / "link").symlink_to("nowhere")
    assert "is there already" in cosmos("new", clone / "link").fails(2).err
    assert (clone / "demo/mine").read_text() == "mine"


def test_the_same_words_make_the_same_files(clone: Path, cosmos: Cosmos) -> None:
    for place in ("a", "b"):
        (clone / place).mkdir()
        cosmos("new", clone / place / "demo", "--arch", "x86_64", "--epoch", "1767225600").ok()
    first, second = ((clone / place / "demo/universe.lock.toml").read_bytes() for place in ("a", "b"))
    assert first == second


def test_nothing_is_left_of_a_folder_that_could_not_be_made_whole(
    clone: Path, cosmos: Cosmos, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that is full after the first file, and Ctrl-C: the same command can be given again."""
    for raised in (OSError(28, "No space left on device"), KeyboardInterrupt()):

        def full(file: Path, data: bytes, raised: BaseException = raised) -> None:
            if file.name == "image.toml":
                return write_durably(file, data)
            raise raised

        with monkeypatch.context() as patched:
            patched.setattr("cosmos.image.new.write_durably", full)
            assert cosmos("new", clone / "demo", "--arch", "x86_64").code in (5, 130)
        assert not (clone / "demo").exists()
    cosmos("new", clone / "demo", "--arch", "x86_64").ok()


def test_a_folder_that_was_there_stays_as_it_was(clone: Path, cosmos: Cosmos) -> None:
    (clone / "demo").mkdir()
    (clone / "demo/mine").write_text("mine\n")
    cosmos("new", clone / "demo").fails(2)
    assert [file.name for file in (clone / "demo").iterdir()] == ["mine"]
