"""An error about a TOML file that a person writes names the line to mend, and what stands there."""

from __future__ import annotations

from pathlib import Path

import pytest

from cosmos.cli.toml_lines import line_hint
from cosmos.errors import Malformed, of_document
from cosmos.model.image import Image
from cosmos.model.template import Declarations
from cosmos.tables import BadKey, Table
from fakes.programs import Cosmos

IMAGE = """\
name = "small"
version = "1.0.0"
arch = "x86_64"
template = "./template"
source-date-epoch = 1

[stars]
base = "*"
"app" = "^^2"  # a typo

[galaxies]
core = "../galaxy"

[[output]]
format = "tar.zst"

[[output]]
format = "cpio.zst"
level = 99
"""


def hint(folder: Path, text: str) -> str | None:
    """Return the hint to the first fault of an image.toml."""
    file = folder / "image.toml"
    file.write_text(text)
    with pytest.raises(Malformed) as caught:
        Image.parse(file.read_bytes(), str(file))
    return caught.value.hint or line_hint(caught.value)


def test_a_malformed_version_range_is_shown_with_its_line(tmp_path: Path) -> None:
    assert hint(tmp_path, IMAGE) == 'mend line 9: "app" = "^^2"  # a typo'


def test_a_key_of_one_of_several_tables_is_found_in_its_own(tmp_path: Path) -> None:
    file = tmp_path / "image.toml"
    file.write_text(IMAGE)
    with pytest.raises(Malformed) as caught:
        Table.parse(file.read_bytes(), str(file)).tables("output")[1].count("level", least=1, most=22)
    assert line_hint(caught.value) == "mend line 19: level = 99"
    with pytest.raises(Malformed) as caught:
        Table.parse(file.read_bytes(), str(file)).tables("output")[1].need("as", str)
    assert line_hint(caught.value) == "mend line 17: [[output]]", "the table that lacks a key"


@pytest.mark.parametrize(
    ("wrong", "line"),
    [
        ('foo = "bar', 'foo = "bar'),
        ('foo = "bar\n', 'foo = "bar'),
        ("= 3\n", "= 3"),
        ("[stars]\n", "[stars]"),
        ("arch\n", "arch"),
        ("x = 1\nx = 2\n", None),
    ],
)
def test_broken_toml_is_shown_with_its_line(tmp_path: Path, wrong: str, line: str | None) -> None:
    found = hint(tmp_path, IMAGE + wrong)
    assert found is not None
    number = IMAGE.count("\n") + (1 if line is not None else 2)
    assert found == f"mend line {number}: {line or 'x = 2'}"


@pytest.mark.parametrize("cut", ['[galaxies]\ncore = "../galaxy"\n', 'core = "../galaxy"\n'])
def test_an_image_without_a_galaxy_gets_the_lines_to_write(tmp_path: Path, cut: str) -> None:
    said = hint(tmp_path, IMAGE.replace("^^", "^").replace(cut, ""))
    assert said == 'write [galaxies] and, in the line below it, core = "../galaxy": a folder, or an http:// address'


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ('[a]\nb = """\nc = 1\n"""\n[d]\nc = 2\n', "a.x"),
        ("[a]\nb = 1\n[a.c]\n[b]\n", "c.b"),
        ('[[a]]\n[[a]]\nx = """\nx = 1\n"""\n', "a[1].x"),
        ("\x1b]0;evil\x07 = 1\n", "a"),
    ],
)
def test_a_line_that_may_be_another_is_not_shown(tmp_path: Path, text: str, path: str) -> None:
    (tmp_path / "x.toml").write_text(text)
    found = line_hint(BadKey(str(tmp_path / "x.toml"), path, "is wrong"))
    assert found in (None, "mend line 1: [a]")


def test_no_line_is_told_of_what_cosmos_writes_or_of_what_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "universe.lock.toml").write_text("a = 1\n")
    assert line_hint(BadKey(str(tmp_path / "universe.lock.toml"), "a", "is wrong")) is None
    assert line_hint(BadKey(str(tmp_path / "none.toml"), "a", "is wrong")) is None
    assert line_hint(BadKey("star.toml", "a", "is wrong")) is None


def test_of_a_system_below_root_its_own_line_is_shown_and_not_that_of_the_machine(
    tmp_path: Path, cosmos: Cosmos
) -> None:
    """Its config.toml is named as /etc/cosmos/config.toml, which this machine may have as well."""
    cosmos("init", "--root", tmp_path).ok()
    file = tmp_path / "etc/cosmos/config.toml"
    file.write_text("# ours\n[policy]\nsetuid = 3  # of this system\n")
    said = cosmos("status", "--root", tmp_path).fails(2).err
    assert "error: /etc/cosmos/config.toml: policy.setuid: want an array" in said
    assert "hint: mend line 3: setuid = 3  # of this system" in said
    file.write_text("galaxies\n")
    assert "hint: mend line 1: galaxies" in cosmos("status", "--root", tmp_path).fails(2).err


def test_a_document_that_was_read_is_not_read_again_from_where_its_path_leads(tmp_path: Path) -> None:
    other = tmp_path / "x.toml"
    other.write_text("a = 1\n")
    with pytest.raises(Malformed) as caught, of_document(b"\na = 2\n"):
        raise BadKey(str(other), "a", "is wrong")
    assert line_hint(caught.value) == "mend line 2: a = 2"


def test_the_line_of_a_template_is_shown(tmp_path: Path) -> None:
    with pytest.raises(Malformed) as caught:
        Declarations.parse(b"merged-usr = 3\n", "template/template.toml")
    assert line_hint(caught.value) == "mend line 1: merged-usr = 3"


def test_a_line_that_a_terminal_would_obey_is_only_numbered(tmp_path: Path) -> None:
    (tmp_path / "x.toml").write_text('a = "\x1b[2J"\n')
    assert line_hint(BadKey(str(tmp_path / "x.toml"), "a", "is wrong")) == "mend line 1"


def test_the_command_line_names_file_line_and_way_out(tmp_path: Path, cosmos: Cosmos) -> None:
    (tmp_path / "image.toml").write_text(IMAGE)
    said = cosmos("freeze", tmp_path).fails(2)
    assert f"{tmp_path}/image.toml: stars.app: want a constraint such as ^1.36" in said.err
    assert 'hint: mend line 9: "app" = "^^2"  # a typo' in said.err


@pytest.mark.parametrize("line", ['password = "hunter2"', 'url = "http://reader:hunter2@10.0.0.1/core"'])
def test_a_line_that_may_hold_a_password_is_numbered_and_not_shown(line: str) -> None:
    error = BadKey("template.toml", line.split(" ")[0], "is malformed")
    error.document = f"a = 1\n{line}\n".encode()
    assert line_hint(error) == "mend line 2"
