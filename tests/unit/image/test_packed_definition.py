"""A definition comes out of its release as it went in, wherever its files lie beside the image."""

from __future__ import annotations

import tarfile
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import pytest
import tomli_w

from cosmos.errors import Malformed, Refused
from cosmos.image.definition import Definition, read_definition
from cosmos.image.packed_definition import DEFINITION_FILE, packed_definition, unpack_definition
from fakes.galaxies import make_signers

IMAGE = """name = "small"
version = "1.0.0"
arch = "x86_64"
template = "{template}"
source-date-epoch = 1700000000
constellations = ["{constellation}"]
finish = "scripts/finish.lua"
trust = "../keys/trust.toml"
[stars]
base = "*"
[galaxies]
core = "../galaxy"
"""


def write(folder: Path, template: str, constellation: str) -> Definition:
    """Write an image definition below `folder`, and read it."""
    image = folder / "our" / "images" / "small"
    files = {
        image / "image.toml": IMAGE.format(template=template, constellation=constellation),
        image / constellation: 'name = "tools"\nmembers = ["nano"]\n',
        image / "scripts" / "finish.lua": "function install() end\n",
        image / ".." / "keys" / "trust.toml": tomli_w.dumps(make_signers().roots().to_toml()),
    }
    home = image / template if template.startswith(".") else folder / "our" / "rootfs-templates" / template
    files |= {
        home / "template.toml": "merged-usr = true\n",
        home / "root" / "etc" / "hostname.j2": "{{ image.name }}\n",
        home / "root" / "usr" / "run": "#!/bin/sh\n",
    }
    for file, text in files.items():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    (home / "root" / "usr" / "run").chmod(0o755)
    (home / "root" / "etc" / "link").symlink_to("../usr/run")
    (home / "root" / "var" / "empty").mkdir(parents=True)
    return read_definition(image)


@pytest.mark.parametrize("template", ["./template", "../shared/rescue", "../../../far/rescue", "rescue"])
@pytest.mark.parametrize("constellation", ["tools.toml", "../tools.toml", "sets/tools.toml"])
def test_a_definition_comes_out_as_it_went_in(tmp_path: Path, template: str, constellation: str) -> None:
    before = write(tmp_path / "a", template, constellation)
    data = b"".join(packed_definition(before))
    folder = unpack_definition(data, tmp_path / "b", DEFINITION_FILE)
    after = read_definition(folder)
    assert replace(after, folder=before.folder) == before
    assert b"".join(packed_definition(after)) == data


def test_the_archive_is_one_that_any_tar_reads_and_has_no_user_and_no_clock(tmp_path: Path) -> None:
    data = b"".join(packed_definition(write(tmp_path, "rescue", "tools.toml")))
    with tarfile.open(fileobj=BytesIO(data)) as archive:
        members = {member.name: member for member in archive.getmembers()}
    assert "up/image/image.toml" in members
    assert "rootfs-templates/rescue/template.toml" in members
    assert {(one.uid, one.gid, one.mtime) for one in members.values()} == {(0, 0, 1_700_000_000)}


def test_an_absolute_path_is_refused_because_nobody_else_has_it(tmp_path: Path) -> None:
    definition = write(tmp_path, "rescue", "tools.toml")
    named = replace(definition, image=replace(definition.image, finish=str(tmp_path / "finish.lua")))
    with pytest.raises(Malformed, match="an absolute path: nobody else can build this image"):
        packed_definition(named)


def test_an_archive_without_an_image_or_with_a_climbing_name_is_refused(tmp_path: Path) -> None:
    for number, name in enumerate(("other.toml", "../image/image.toml")):
        buffer = BytesIO()
        with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
            archive.addfile(tarfile.TarInfo(name))
        with pytest.raises((Malformed, Refused)):
            unpack_definition(buffer.getvalue(), tmp_path / f"{number}", DEFINITION_FILE)
    assert not (tmp_path.parent / "image").exists()


def test_a_hard_link_in_the_archive_is_refused(tmp_path: Path) -> None:
    """Cosmos packs none. Before, a folder took its place in silence."""
    buffer = BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        archive.addfile(tarfile.TarInfo("image/image.toml"))
        link = tarfile.TarInfo("image/link")
        link.type, link.linkname = tarfile.LNKTYPE, "image/image.toml"
        archive.addfile(link)
    with pytest.raises(Refused, match="image/link: is a hardlink"):
        unpack_definition(buffer.getvalue(), tmp_path / "out", DEFINITION_FILE)


@pytest.mark.parametrize("name", ["image/image.toml", "image/universe.lock.toml", "image/root/finish.lua", "template"])
def test_a_link_outside_of_a_template_is_refused(tmp_path: Path, name: str) -> None:
    """Cosmos opens everything else by its name, and writes the lock beside the definition."""
    buffer = BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        link = tarfile.TarInfo(name)
        link.type, link.linkname = tarfile.SYMTYPE, str(tmp_path / "victim")
        archive.addfile(link)
    with pytest.raises(Refused, match=f"{name}: is a symlink outside of a template's root/"):
        unpack_definition(buffer.getvalue(), tmp_path / "out", DEFINITION_FILE)


def test_an_image_toml_in_a_template_may_be_no_link_either(tmp_path: Path) -> None:
    buffer = BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        archive.addfile(tarfile.TarInfo("template.toml"))
        link = tarfile.TarInfo("root/image/image.toml")
        link.type, link.linkname = tarfile.SYMTYPE, str(tmp_path / "victim")
        archive.addfile(link)
    with pytest.raises(Malformed, match=r"has no image/image\.toml"):
        unpack_definition(buffer.getvalue(), tmp_path / "out", DEFINITION_FILE)
