"""`cosmos build --var` and `--vars`: the values of one device, typed as the template says, and kept in the release."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import pytest

from fakes.images import ImageFixture, make_image
from fakes.programs import Cosmos

DECLARED = """\
merged-usr = true
[variables.hostname]
type = "string"
default = "cosmos"
meaning = "the name"
[variables.port]
type = "integer"
default = 80
meaning = "the port"
[variables.led]
type = "boolean"
default = false
meaning = "whether the lamp is lit"
[variables.ssh_keys]
type = "strings"
default = []
meaning = "the keys"
[variables.mode]
type = "string"
choices = ["dhcp", "none"]
default = "none"
meaning = "how it gets its address"
"""
SECRET = '[variables.psk]\ntype = "secret"\nmeaning = "the passphrase"\n[paths]\n"etc/psk" = { mode = "0600" }\n'
VALUES = "{{ hostname }} {{ port }} {{ led }} {{ mode }}{% for key in ssh_keys %} <{{ key }}>{% endfor %}\n"


@pytest.fixture
def image(tmp_path: Path, cosmos: Cosmos) -> ImageFixture:
    """A frozen image whose template writes all its variables into one file."""
    made = make_image(tmp_path, tables='[vars]\nhostname = "of-the-image"\nport = 81')
    (made.folder / "template/template.toml").write_text(DECLARED)
    (made.folder / "template/root/etc/values.j2").write_text(VALUES)
    cosmos("freeze", made.folder, "--home", made.home).ok()
    return made


def values(image: ImageFixture, cosmos: Cosmos, *words: object) -> str:
    """Build the image with these words, and return the file with its variables."""
    cosmos("build", image.folder, "--home", image.home, *words).ok()
    return cosmos("cat", image.out, "etc/values").ok().out.strip()


def given(image: ImageFixture) -> object:
    """Return what RELEASE.json names as given."""
    statement = json.loads((image.out / "RELEASE.json").read_bytes())
    return statement["predicate"]["buildDefinition"]["externalParameters"].get("vars")


def test_a_value_of_the_command_counts_before_the_file_and_the_file_before_the_image(
    image: ImageFixture, cosmos: Cosmos, tmp_path: Path
) -> None:
    file = tmp_path / "device.toml"
    file.write_text('hostname = "of-the-file"\nport = 82\nled = true\nssh_keys = ["a"]\n')
    words = ("--vars", file, "--var", "hostname=of=the=word", "--var", "ssh_keys=k 1", "--var", "ssh_keys=k 2")
    assert values(image, cosmos, *words) == "of=the=word 82 True none <k 1> <k 2>"
    assert given(image) == {"hostname": "of=the=word", "led": True, "port": 82, "ssh_keys": ["k 1", "k 2"]}


def test_without_them_nothing_of_a_release_changes(image: ImageFixture, cosmos: Cosmos) -> None:
    assert values(image, cosmos) == "of-the-image 81 False none"
    assert given(image) is None
    with tarfile.open(image.out / "definition.tar") as packed:
        member = packed.extractfile("image/image.toml")
        assert member is not None
        assert member.read() == (image.folder / "image.toml").read_bytes()


def test_each_device_is_built_anew_and_the_same_device_is_not(image: ImageFixture, cosmos: Cosmos) -> None:
    for number, is_built in ((1, True), (2, True), (2, False)):
        said = cosmos("build", image.folder, "--home", image.home, "--var", f"port={number}", "--json").json()
        assert (said["changed"], said["content-root"] is not None) == (is_built, True)
        assert given(image) == {"port": number}
    assert values(image, cosmos).split()[1] == "81", "and without a value, the image's own counts again"


def test_a_release_of_a_device_is_rebuilt_from_itself(image: ImageFixture, cosmos: Cosmos) -> None:
    """Also by a person who does not know the values: they stand in the release."""
    words = ("--key", image.secret_key, "--var", "hostname=kiosk-7", "--var", "ssh_keys=k")
    cosmos("build", image.folder, "--home", image.home, *words).ok()
    cosmos("verify", image.out, "--key", image.public_key).ok()
    image.folder.joinpath("image.toml").unlink()
    done = cosmos("rebuild", image.out, "--home", image.home, "--key", image.public_key).ok()
    assert "same" in done.out


@pytest.mark.parametrize(
    ("words", "said", "hint"),
    [
        (("--var", "hostnam=x"), "--var hostnam: the template template declares no such variable", "mean hostname?"),
        (("--var", "port=x"), "--var port: want an integer, got 'x'", "it is the port"),
        (("--var", "port=1.5"), "--var port: want an integer, got '1.5'", "it is the port"),
        (("--var", f"port={'9' * 30}"), "--var port: want an integer", "it is the port"),
        (("--var", "led=yes"), "--var led: want true or false, got 'yes'", "it is whether"),
        (("--var", "mode=static"), "--var mode: want one of dhcp, none, got 'static'", "it is how"),
        (("--var", "hostname=a\nb"), "--var hostname: want one line", "it is the name"),
        (("--var", "hostname=a", "--var", "hostname=b"), "--var hostname: is given twice", "leave one out"),
        (("--var", "hostname"), "--var: want NAME=VALUE", "--var hostname=kiosk-7"),
        (("--var", "=x"), "--var: want NAME=VALUE", "--var hostname=kiosk-7"),
        (("--var", "hostname=a\udcff"), "--var: 'hostname=a\\udcff' is not UTF-8", "a terminal with UTF-8"),
        (("--var", "\udcff=a"), "--var: '\\udcff=a' is not UTF-8", "a terminal with UTF-8"),
        (("--vars", "missing.toml"), "missing.toml: is not there", "write one"),
    ],
)
def test_a_wrong_value_is_told_with_its_name(
    image: ImageFixture, cosmos: Cosmos, words: tuple[str, ...], said: str, hint: str
) -> None:
    failed = cosmos("build", image.folder, "--home", image.home, *words).fails(2)
    assert said in failed.err
    assert hint in failed.err
    assert not image.out.exists()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('port = "82"\n', "d.toml: port: want an integer, got '82'"),
        ("hostnam = 1\n", "d.toml: hostnam: the template template declares no such variable"),
        ("port = \n", "d.toml: is not TOML"),
        ("[port]\n", "d.toml: port: want an integer"),
        ("ssh_keys = [1]\n", "d.toml: ssh_keys: want an array of strings"),
    ],
)
def test_a_file_of_values_is_judged_as_strictly_as_an_image(
    image: ImageFixture, cosmos: Cosmos, tmp_path: Path, text: str, said: str
) -> None:
    (tmp_path / "d.toml").write_text(text)
    assert said in cosmos("build", image.folder, "--home", image.home, "--vars", tmp_path / "d.toml").fails(2).err


@pytest.mark.parametrize("word", ["--var", "--vars"])
def test_a_secret_is_not_taken_from_a_command_line_or_a_plain_file(
    image: ImageFixture, cosmos: Cosmos, tmp_path: Path, word: str
) -> None:
    (image.folder / "template/template.toml").write_text(DECLARED + SECRET)
    (image.folder / "template/root/etc/psk.j2").write_text("{{ psk }}\n")
    file = tmp_path / "d.toml"
    file.write_text('psk = "hunter-two-and-more"\n')
    value = file if word == "--vars" else "psk=hunter-two-and-more"
    failed = cosmos("build", image.folder, "--home", image.home, word, value).fails(2)
    assert "--secret psk=FILE" in failed.err
    assert "hunter" not in failed.err


def test_a_secret_and_a_value_go_together_and_the_record_has_the_secret_by_name_only(
    image: ImageFixture, cosmos: Cosmos, tmp_path: Path
) -> None:
    (image.folder / "template/template.toml").write_text(DECLARED + SECRET)
    (image.folder / "template/root/etc/psk.j2").write_text("{{ psk }}\n")
    secret = tmp_path / "psk"
    secret.write_text("hunter-two-and-more\n")
    secret.chmod(0o600)
    assert values(image, cosmos, "--secret", f"psk={secret}", "--var", "port=7").split()[1] == "7"
    statement = (image.out / "RELEASE.json").read_text()
    external = json.loads(statement)["predicate"]["buildDefinition"]["externalParameters"]
    assert (external["vars"], external["secrets"]) == ({"port": 7}, ["psk"])
    assert "hunter" not in statement
    assert b"hunter" not in (image.out / "definition.tar").read_bytes()


def test_given_names_only_what_is_there(image: ImageFixture, cosmos: Cosmos) -> None:
    file = image.folder / "image.toml"
    file.write_text(file.read_text().replace("[stars]", 'given = ["nothing"]\n[stars]', 1))
    assert "given: names nothing, which is not in [vars]" in cosmos("freeze", image.folder, "--check").fails(2).err
